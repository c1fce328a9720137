// Package quantize implements the quantize step: the linear layers of a model,
// all but the output head, become NF4, in the layout of bitsandbytes.
package quantize

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/pipe-run/pipe/pipeline"
	"github.com/pipe-run/pipe/steps/internal/artifact"
	"github.com/pipe-run/pipe/steps/internal/decoder"
	"github.com/pipe-run/pipe/steps/internal/weights"
)

// Kind is the quantize step.
var Kind = kind()

func kind() pipeline.Kind {
	k := pipeline.Define("quantize", 1, run)
	k.Estimate = estimate
	return k
}

// Params mirrors schemas/quantize.cue.
type Params struct {
	Scheme      string `json:"scheme"`
	DoubleQuant bool   `json:"doubleQuant"`
	BlockSize   int    `json:"blockSize"`
}

func run(ctx context.Context, p Params, t *pipeline.Task) error {
	if p.Scheme != "nf4" {
		return &pipeline.FieldError{Field: "scheme", Err: fmt.Errorf("unknown scheme %q", p.Scheme), Hint: "nf4 is the only one"}
	}
	model, out := t.In["model"], t.Out["model"]
	c, err := decoder.ReadConfig(model)
	if err != nil {
		return err
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
		return &pipeline.FieldError{
			Field: "in.model", Err: errors.New("the model is already quantized"),
			Hint: "quantize the model that it was made from",
		}
	}
	files, err := c.Oriented(w)
	if err != nil {
		return err
	}
	q := &quantizer{p: p, t: t, w: files, linear: linears(c)}
	if err := q.quantize(ctx); err != nil {
		return err
	}
	if err := q.write(ctx, out); err != nil {
		return err
	}
	if err := q.report(out); err != nil {
		return err
	}
	if err := writeConfig(p, model, out, q.computeDType()); err != nil {
		return err
	}
	return writeProvenance(p, from, model, out)
}

// skipped are the modules that stay as they are: all linears but these are quantized.
func skipped() []string { return []string{"lm_head"} }

// linears are the weights to quantize, by name, with their shapes. All are
// quantized as [out, in], as transformers does where a model of floats stores
// the transpose.
func linears(c decoder.Config) map[string][]int {
	list := map[string][]int{}
	for _, m := range c.Modules() {
		list[m.Tensor] = []int{m.Out, m.In}
	}
	return list
}

// writeConfig writes config.json with the description that transformers needs
// to load the weights, and the other side files as they are.
func writeConfig(p Params, model, out, compute string) error {
	err := artifact.RewriteConfig(model, out, map[string]any{"quantization_config": map[string]any{
		"_load_in_4bit":                    true,
		"_load_in_8bit":                    false,
		"bnb_4bit_compute_dtype":           compute,
		"bnb_4bit_quant_storage":           "uint8",
		"bnb_4bit_quant_type":              p.Scheme,
		"bnb_4bit_use_double_quant":        p.DoubleQuant,
		"llm_int8_enable_fp32_cpu_offload": false,
		"llm_int8_has_fp16_weight":         false,
		"llm_int8_skip_modules":            skipped(),
		"llm_int8_threshold":               json.Number("6.0"), // transformers insists on a float
		"load_in_4bit":                     true,
		"load_in_8bit":                     false,
		"quant_method":                     "bitsandbytes",
	}})
	if err != nil {
		return err
	}
	return artifact.CopySideFiles(model, out)
}

// writeProvenance says what the model was made of.
func writeProvenance(p Params, from artifact.Provenance, model, out string) error {
	digest, err := artifact.Digest(model)
	if err != nil {
		return err
	}
	from.Type, from.Base = pipeline.TypeModel, digest
	from.Quantization = &artifact.Quantization{
		Scheme: p.Scheme, BlockSize: p.BlockSize, DoubleQuant: p.DoubleQuant, Skip: skipped(),
	}
	return artifact.Write(out, from)
}
