package evaluate

import (
	"context"
	"errors"
	"io"
	"math/bits"
	"slices"

	"github.com/pipe-run/pipe/pipeline"
	"github.com/pipe-run/pipe/steps/internal/dataset"
	"github.com/pipe-run/pipe/steps/internal/decoder"
	"github.com/pipe-run/pipe/steps/internal/kin"
	"github.com/pipe-run/pipe/steps/internal/metric"
)

// What a core is taken to reach, in FLOP/s: when scoring many tokens at once,
// and when generating one at a time, which waits for memory.
const (
	scoreRate    = 50e9
	generateRate = 4e9
)

// markup is about how many tokens a template puts around a message.
const markup = 6

// estimate foretells tokens, FLOPs, memory and time. Texts are not tokenized:
// their tokens are guessed from their bytes and the size of the vocabulary.
// Every answer is taken to be as long as it may.
func estimate(ctx context.Context, q *pipeline.EstimateRequest) (*pipeline.Estimate, error) {
	p, err := pipeline.DecodeParams[Params](q.Params)
	if err != nil {
		return nil, err
	}
	c, err := decoder.ReadConfigFS(q.Inputs["model"])
	if err != nil {
		return nil, &pipeline.FieldError{Field: "in.model", Err: err}
	}
	if err := kin.Plan(q); err != nil {
		return nil, err
	}
	if q.Inputs["records"] == nil {
		return nil, errors.New("reading records: no such input")
	}
	r, err := dataset.OpenRecordsFS(q.Inputs["records"])
	if err != nil {
		return nil, err
	}
	defer r.Close()
	var rows, tokens int64
	for ; p.Limit == 0 || rows < int64(p.Limit); rows++ {
		record, err := r.Next()
		if err == io.EOF {
			break
		}
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return nil, err
		}
		tokens += min(guess(record, c.VocabSize), int64(c.MaxPositions))
	}
	e := &pipeline.Estimate{Parameters: c.Params(), Tokens: tokens}
	token := 2 * float64(c.Params())
	score, ask := token*float64(tokens), 0.0
	if asks(r.Shape()) && (p.Metrics == nil || slices.Contains(p.Metrics, metric.ExactMatch)) {
		answers := rows * int64(min(p.MaxNewTokens, c.MaxPositions))
		e.Tokens += tokens + answers
		ask = token * float64(tokens+answers)
	}
	e.FLOPs = score + ask
	e.Seconds = (score/scoreRate + ask/generateRate) / float64(max(1, q.Threads))
	e.Memory = memory(c, max(1, q.Threads))
	return e, nil
}

// guess returns about how many tokens a record has: a token takes about a
// quarter as many bytes as the vocabulary size has bits.
func guess(r dataset.Record, vocab int) int64 {
	size, messages := len(r.Text)+len(r.Prompt)+len(r.Completion)+len(r.Tools), 1
	for _, s := range r.Segments {
		size += len(s.Text)
	}
	for _, m := range r.Messages {
		size += len(m.Content) + len(m.ToolCalls)
		messages++
	}
	return int64(4*size/max(4, bits.Len(uint(vocab))) + markup*messages)
}

// memory is that of float32 weights, the activations of a batch and, for every
// thread, a cache of keys and values.
func memory(c decoder.Config, threads int) int64 {
	width := 4*c.Hidden + 4*c.Heads*c.HeadDim + 3*c.Intermediate
	cache := 2 * c.Layers * c.KVHeads * c.HeadDim * min(c.MaxPositions, batchTokens)
	return 4 * (c.Params() + int64(c.VocabSize*c.Hidden) + int64(batchTokens*width) + int64(c.LossChunk()*c.VocabSize) + int64(threads*cache))
}
