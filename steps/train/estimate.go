package train

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/pipe-run/pipe/pipeline"
	"github.com/pipe-run/pipe/steps/internal/dataset"
	"github.com/pipe-run/pipe/steps/internal/decoder"
	"github.com/pipe-run/pipe/steps/internal/kin"
)

// estimate foretells what a training costs from the model's configuration and
// the tokens' real lengths. FLOPs are those that the matrix products execute, a
// multiply-add counting two. A training that this machine has no memory for is
// refused.
func estimate(ctx context.Context, q *pipeline.EstimateRequest) (*pipeline.Estimate, error) {
	p, err := pipeline.DecodeParams[Params](q.Params)
	if err == nil {
		err = p.check()
	}
	if err != nil {
		return nil, err
	}
	cfg, err := decoder.ReadConfigFS(q.Inputs["model"])
	if err != nil {
		return nil, &pipeline.FieldError{Field: "in.model", Err: err}
	}
	tok := kin.Of(q.Inputs["model"])
	if _, _, err := origin(q.Inputs, tok, &p); err != nil {
		return nil, err
	}
	if err := p.nameTokens(tok); err != nil {
		return nil, err
	}
	stored, err := weightBytes(q.Inputs["model"])
	if err != nil {
		return nil, fmt.Errorf("reading the model: %w", err)
	}
	f, err := newForecast(cfg, p, stored)
	if err != nil {
		return nil, err
	}
	rows, held, err := estimatedRows(ctx, cfg, q, p.preference())
	if err != nil {
		return nil, err
	}
	if err := p.checkInputs(held != nil); err != nil {
		return nil, err
	}
	perEpoch, total := p.updates(len(rows.number))
	if _, err := p.schedule(total); err != nil {
		return nil, err
	}
	f.about(rows, held, q.Threads)
	if err := f.fits(totalMemory()); err != nil {
		return nil, err
	}
	f.keep(within(q.Memory, availableMemory()))
	flops := f.all(rows, held, perEpoch, total)
	return &pipeline.Estimate{
		Parameters: cfg.Params(), Trainable: f.trained, Updates: int64(total),
		Tokens: int64(float64(total) / float64(perEpoch) * float64(sum(rows.length))),
		FLOPs:  flops, Memory: f.memory(),
		Seconds: flops / (efficiency * peakRate(f.spec, p, q.Threads)),
	}, nil
}

// estimatedRows reads the lengths of all rows; held is nil without validation.
func estimatedRows(ctx context.Context, cfg decoder.Config, q *pipeline.EstimateRequest, pairs decoder.Preference) (rows, held *rowSet, err error) {
	if rows, err = rowsOf(ctx, cfg, q.Inputs["tokens"], pairs); err != nil {
		return nil, nil, bad("in.tokens", "reading tokens: %w", err)
	}
	if v, ok := q.Inputs["validation"]; ok {
		if held, err = rowsOf(ctx, cfg, v, pairs); err != nil {
			return nil, nil, bad("in.validation", "reading validation: %w", err)
		}
	}
	return rows, held, nil
}

func rowsOf(ctx context.Context, cfg decoder.Config, tokens fs.FS, pairs decoder.Preference) (*rowSet, error) {
	if tokens == nil {
		return nil, errors.New("no such input")
	}
	t, err := dataset.OpenTokensFS(tokens)
	if err != nil {
		return nil, err
	}
	defer t.Close()
	return scan(ctx, cfg, t, pairs)
}

func sum(x []int) (s int) {
	for _, v := range x {
		s += v
	}
	return s
}
