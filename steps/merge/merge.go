// Package merge implements the merge step: a LoRA adapter is added to the
// weights of its base model, and the sum is a model of its own.
package merge

import (
	"context"
	"fmt"
	"strings"

	"github.com/pipe-run/pipe/pipeline"
	"github.com/pipe-run/pipe/steps/internal/artifact"
	"github.com/pipe-run/pipe/steps/internal/decoder"
	"github.com/pipe-run/pipe/steps/internal/kin"
	"github.com/pipe-run/pipe/steps/internal/lora"
	"github.com/pipe-run/pipe/steps/internal/tensor"
	"github.com/pipe-run/pipe/steps/internal/weights"
)

// Kind is the merge step.
var Kind = kind()

func kind() pipeline.Kind {
	k := pipeline.Define("merge", 1, run)
	k.Estimate, k.Garbage = estimate, decoder.Garbage
	return k
}

// estimate foretells nothing, but refuses what run would, as far as a look at
// the inputs shows it.
func estimate(_ context.Context, q *pipeline.EstimateRequest) (*pipeline.Estimate, error) {
	return nil, kin.Plan(q)
}

// Params mirrors schemas/merge.cue.
type Params struct {
	Base  string `json:"base"`
	DType string `json:"dtype"`
}

// The values of Params.Base.
const (
	original  = "original"
	quantized = "quantized"
)

func run(ctx context.Context, p Params, t *pipeline.Task) error {
	model, out := t.In["model"], t.Out["model"]
	c, err := decoder.ReadConfig(model)
	if err != nil {
		return &pipeline.FieldError{Field: "in.model", Err: err}
	}
	adapter, err := lora.Read(t.In["adapter"])
	if err != nil {
		return err
	}
	if err := adapter.Check(c); err != nil {
		return &pipeline.FieldError{Field: "in.adapter", Err: err}
	}
	if err := kin.Run(t); err != nil {
		return err
	}
	from, err := readOrigins(model, t.In["adapter"])
	if err != nil {
		return err
	}
	w, err := weights.Open(model)
	if err != nil {
		return err
	}
	defer w.Close()
	base, round, err := chooseBase(p.Base, w.Quantized(), from.adapter.TrainedOn)
	if err != nil {
		return &pipeline.FieldError{Field: "base", Err: err}
	}
	t.Log.Info(fmt.Sprintf("adding the adapter to the %s weights", base))
	dtype := tensor.DType(strings.ToUpper(p.DType))
	err = lora.Merge(ctx, c, w, adapter, out, lora.MergeOptions{
		Round: round, DType: dtype, Threads: t.Threads,
		Progress: func(done, total int64) {
			t.Emit(pipeline.Progress{Done: done, Total: total, Unit: "bytes"})
		},
	})
	if err != nil {
		return err
	}
	if err := writeConfig(model, out, string(dtype), adapter.Unties(c)); err != nil {
		return err
	}
	return artifact.Write(out, from.merged(base))
}

// chooseBase decides what the adapter is added to, and whether dense weights
// are first rounded to what quantizing them leaves. trainedOn is nil for an
// adapter of dense weights, or of another program.
func chooseBase(want string, stored4bit bool, trainedOn *artifact.Quantization) (string, *artifact.Quantization, error) {
	if want == "" {
		want = original
		if trainedOn != nil || stored4bit {
			want = quantized
		}
	}
	switch {
	case want == original && stored4bit:
		return "", nil, fmt.Errorf("the model's weights are quantized: to merge into the original ones, give the model they were made from")
	case want == quantized && stored4bit:
		return want, nil, nil
	case want == quantized && trainedOn == nil:
		return "", nil, fmt.Errorf("the adapter does not say how its base was quantized, and the model is not: give the quantized model")
	case want == quantized:
		return want, trainedOn, nil
	}
	return want, nil, nil
}

// writeConfig writes the side files, with a configuration that states the dtype
// and no quantization, and whether head and embeddings are no longer tied.
func writeConfig(model, out, dtype string, untied bool) error {
	name, ok := artifact.TorchDType(dtype)
	if !ok {
		return fmt.Errorf("dtype %q is none of f32, bf16 and f16", dtype)
	}
	set := map[string]any{"torch_dtype": name, "dtype": nil, "quantization_config": nil}
	if untied {
		set["tie_word_embeddings"] = false
	}
	if err := artifact.RewriteConfig(model, out, set); err != nil {
		return err
	}
	return artifact.CopySideFiles(model, out)
}

// origins is what is known of the two inputs.
type origins struct {
	model, adapter             artifact.Provenance
	modelDigest, adapterDigest string
}

func readOrigins(model, adapter string) (o origins, err error) {
	if o.model, err = artifact.Read(model); err != nil {
		return o, fmt.Errorf("model: %w", err)
	}
	if o.adapter, err = artifact.Read(adapter); err != nil {
		return o, fmt.Errorf("adapter: %w", err)
	}
	if o.modelDigest, err = artifact.Digest(model); err != nil {
		return o, err
	}
	o.adapterDigest, err = artifact.Digest(adapter)
	return o, err
}

// merged is the provenance of the result. It was trained with the adapter's
// chat template.
func (o origins) merged(base string) artifact.Provenance {
	p := artifact.Provenance{
		Type: pipeline.TypeModel, Source: o.model.Source,
		Base: o.modelDigest, Original: kin.Model{From: o.model, Digest: o.modelDigest}.Original(), Adapter: o.adapterDigest, MergedInto: base,
		Tokenizer: o.model.Tokenizer, ChatTemplate: o.adapter.ChatTemplate, License: o.model.License,
	}
	if p.ChatTemplate == nil {
		p.ChatTemplate = o.model.ChatTemplate
	}
	return p
}
