// Package quantize implements the quantize step: the linear layers of a model,
// all but the output head, are stored in few bits. Dynamic quantization leaves
// some of them as they are, those whose outputs suffer most for their size.
package quantize

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"

	"github.com/pipe-run/pipe/pipeline"
	"github.com/pipe-run/pipe/steps/internal/artifact"
	"github.com/pipe-run/pipe/steps/internal/decoder"
	"github.com/pipe-run/pipe/steps/internal/kin"
	"github.com/pipe-run/pipe/steps/internal/quant"
	"github.com/pipe-run/pipe/steps/internal/weights"
)

// Kind is the quantize step.
var Kind = kind()

func kind() pipeline.Kind {
	k := pipeline.Define("quantize", 1, run)
	k.Estimate, k.Garbage = estimate, decoder.Garbage
	k.Vet = vet
	return k
}

// vet says what is wrong with parameters that the schema cannot say.
func vet(raw json.RawMessage, inputs []string) error {
	p, err := pipeline.DecodeParams[Params](raw)
	if err != nil {
		return err
	}
	return p.check(nil, slices.Contains(inputs, "calibration"))
}

func run(ctx context.Context, p Params, t *pipeline.Task) error {
	model, out := t.In["model"], t.Out["model"]
	c, err := decoder.ReadConfig(model)
	if err != nil {
		return &pipeline.FieldError{Field: "in.model", Err: err}
	}
	if err := p.check(c.Modules(), t.In["calibration"] != ""); err != nil {
		return err
	}
	if dir := t.In["calibration"]; dir != "" {
		if err := calibrates(os.DirFS(dir), kin.In(model)); err != nil {
			return err
		}
	}
	from, err := artifact.Read(model)
	if err != nil {
		return err
	}
	w, err := weights.Open(model)
	if err != nil {
		return err
	}
	defer w.Close()
	if w.Quantized() || from.Quantization != nil {
		return alreadyQuantized()
	}
	q, err := newQuantizer(c, p, t, w)
	if err != nil {
		return err
	}
	if err := q.quantize(ctx); err != nil {
		return err
	}
	if p.Dynamic != nil {
		if err := p.checkBudget(c.Modules(), q.storedSize); err != nil {
			return err
		}
		if err := q.choose(ctx); err != nil {
			return err
		}
	}
	if err := q.write(ctx, out); err != nil {
		return err
	}
	if err := q.report(out); err != nil {
		return err
	}
	if err := q.writeConfig(model, out); err != nil {
		return err
	}
	return q.writeProvenance(from, model, out)
}

// calibrates refuses tokens that another tokenizer than the model's made.
func calibrates(tokens fs.FS, model kin.Tokenizer) error {
	from, err := artifact.ReadFS(tokens)
	if err == nil {
		_, err = kin.Tokens("calibration", from, model)
	}
	return err
}

func alreadyQuantized() error {
	return &pipeline.FieldError{
		Field: "in.model", Err: errors.New("the model is already quantized"),
		Hint: "quantize the model that it was made from",
	}
}

// skipped are the modules that stay as they are, sorted: all linears but these
// are quantized.
func (q *quantizer) skipped() []string {
	list := []string{"lm_head"}
	for name := range q.kept {
		list = append(list, q.linear[name].Path)
	}
	slices.Sort(list)
	return list
}

// writeConfig writes config.json with the description that transformers needs
// to load the weights, and the other side files as they are.
func (q *quantizer) writeConfig(model, out string) error {
	compute, ok := artifact.TorchDType(string(q.mostDType()))
	if !ok {
		return fmt.Errorf("the weights are of %s", q.mostDType())
	}
	err := artifact.RewriteConfig(model, out, map[string]any{
		"quantization_config": quant.Config(q.p.options(""), q.skipped(), compute),
	})
	if err != nil {
		return err
	}
	return artifact.CopySideFiles(model, out)
}

// writeProvenance says what the model was made of.
func (q *quantizer) writeProvenance(from artifact.Provenance, model, out string) error {
	digest, err := artifact.Digest(model)
	if err != nil {
		return err
	}
	from.Type, from.Base = pipeline.TypeModel, digest
	from.Quantization = &artifact.Quantization{
		Scheme: q.p.Scheme, BlockSize: q.p.options("").BlockSize, DoubleQuant: q.p.DoubleQuant,
		Skip: q.skipped(),
	}
	return artifact.Write(out, from)
}
