// Package train implements the train step: LoRA, QLoRA and full-parameter
// training of language models.
//
//	params.go     what the user asks for; lora.go, options.go: parts of it
//	rows.go       token rows: checked and joined to microbatches
//	order.go      which rows come when
//	weights.go    what is trained, and its first values
//	objective.go  what the loss is, where it is not the supervised tokens
//	network.go    one microbatch as a graph: decoder's ops joined by autograd
//	loop.go       updates
//	validate.go   the validation loss, and what follows from it; best.go: the best weights
//	guard.go      weights that are no numbers, and losses that run away
//	record.go     training.jsonl and events
//	checkpoint.go what a killed training continues from
//	prefix.go     what a longer training continues from
//	output.go     the adapter or model, and training.jsonl
//	estimate.go   the forecast for pipe plan; forecast.go: what is counted for it;
//	              savings.go: what would need less memory; rate.go: how fast this machine is
//
// Equal inputs give equal bytes on any machine, with any number of threads, and
// however often training was interrupted.
package train

import (
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"slices"

	"github.com/pipe-run/pipe/pipeline"
	"github.com/pipe-run/pipe/steps/internal/artifact"
	"github.com/pipe-run/pipe/steps/internal/dataset"
	"github.com/pipe-run/pipe/steps/internal/decoder"
	"github.com/pipe-run/pipe/steps/internal/kin"
)

// Kind is the train step.
var Kind = kind()

func kind() pipeline.Kind {
	k := pipeline.Define("train", 2, run)
	k.Estimate, k.Garbage = estimate, decoder.Garbage
	k.Vet, k.Shapes = vet, shapes
	return k
}

// vet says what is wrong with parameters that the schema cannot say.
func vet(raw json.RawMessage, inputs []string) error {
	p, err := pipeline.DecodeParams[Params](raw)
	if err != nil {
		return err
	}
	if err := p.check(); err != nil {
		return err
	}
	return p.checkInputs(slices.Contains(inputs, "validation"))
}

// shapes refuses pairs where one answer is learnt, and tokens that are no pairs
// where two are compared.
func shapes(raw json.RawMessage, inputs map[string]string) (string, error) {
	p, err := pipeline.DecodeParams[Params](raw)
	if err != nil {
		return "", err
	}
	for _, name := range []string{"tokens", "validation"} {
		if shape := inputs[name]; shape != "" {
			if err := p.checkPairs(artifact.Provenance{Pairs: shape == string(dataset.Preference)}, name); err != nil {
				return "", err
			}
		}
	}
	return "", nil
}

func run(ctx context.Context, p Params, t *pipeline.Task) error {
	if err := p.check(); err != nil {
		return err
	}
	_, validated := t.In["validation"]
	if err := p.checkInputs(validated); err != nil {
		return err
	}
	cfg, err := decoder.ReadConfig(t.In["model"])
	if err != nil {
		return &pipeline.FieldError{Field: "in.model", Err: err}
	}
	tok := kin.In(t.In["model"])
	from, err := originOf(t, tok, &p)
	if err != nil {
		return err
	}
	rows, done, err := openRows(ctx, cfg, t.In["tokens"], "tokens", p.preference())
	if err != nil {
		return err
	}
	defer done()
	var validation *rowSet
	if dir, ok := t.In["validation"]; ok {
		var done func() error
		if validation, done, err = openRows(ctx, cfg, dir, "validation", p.preference()); err != nil {
			return err
		}
		defer done()
	}
	if rows.skipped > 0 {
		t.Log.Info(fmt.Sprintf("%d rows hold no supervised token and are left out", rows.skipped))
	}
	plan, err := planned(cfg, p, t, rows, validation)
	if err != nil {
		return err
	}
	if p.Init != "random" {
		if err := checkStored(ctx, t.In["model"], t.Threads); err != nil {
			return err
		}
	}
	w, err := newWeights(ctx, cfg, p, t, tok)
	if err != nil {
		return err
	}
	tr, err := newTrainer(cfg, p, t, w, rows, validation, plan)
	if err != nil {
		return err
	}
	defer tr.close()
	if err := tr.judged(ctx); err != nil {
		return err
	}
	if err := tr.run(ctx); err != nil {
		return err
	}
	return tr.output(from)
}

// planned is what a training will hold, refused if the machine has less.
func planned(cfg decoder.Config, p Params, t *pipeline.Task, rows, validation *rowSet) (*forecast, error) {
	stored, err := weightBytes(os.DirFS(t.In["model"]))
	if err != nil {
		return nil, fmt.Errorf("reading the model: %w", err)
	}
	f, err := newForecast(cfg, p, stored)
	if err != nil {
		return nil, err
	}
	f.about(rows, validation, t.Threads)
	return f, f.fits(totalMemory())
}

// originOf is origin of a step that runs.
func originOf(t *pipeline.Task, tok kin.Tokenizer, params *Params) (provenance, error) {
	in := map[string]fs.FS{}
	for name, dir := range t.In {
		in[name] = os.DirFS(dir)
	}
	p, unknown, err := origin(in, tok, params)
	if err != nil {
		return p, err
	}
	for _, name := range unknown {
		t.Log.Warn(fmt.Sprintf("nothing says which tokenizer made %s: ids are taken as they are", name))
	}
	p.digest, err = artifact.Digest(t.In["model"])
	return p, err
}

// openRows reads and checks a tokens input: see scan.
func openRows(ctx context.Context, cfg decoder.Config, dir, name string, pairs decoder.Preference) (*rowSet, func() error, error) {
	tokens, err := dataset.MapTokens(dir)
	if err != nil {
		return nil, nil, fmt.Errorf("reading %s: %w", name, err)
	}
	rows, err := scan(ctx, cfg, tokens, pairs)
	if err != nil {
		tokens.Close()
		return nil, nil, &pipeline.FieldError{Field: "in." + name, Err: fmt.Errorf("reading %s: %w", name, err)}
	}
	return rows, tokens.Close, nil
}
