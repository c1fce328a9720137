package train

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/pipe-run/pipe/pipeline"
	"github.com/pipe-run/pipe/steps/internal/artifact"
	"github.com/pipe-run/pipe/steps/internal/decoder"
	"github.com/pipe-run/pipe/steps/internal/kin"
	"github.com/pipe-run/pipe/steps/internal/lora"
	"github.com/pipe-run/pipe/steps/internal/safetensors"
	"github.com/pipe-run/pipe/steps/internal/tensor"
)

// logFile lists the updates, one JSON object a line.
const logFile = "training.jsonl"

// dtypes are those in which trained weights can be stored.
var dtypes = map[string]tensor.DType{"f32": tensor.F32, "bf16": tensor.BF16, "f16": tensor.F16}

// provenance is where model and tokens come from.
type provenance struct {
	model, tokens artifact.Provenance
	digest        string // of the model
}

// origin reads the provenance of the inputs and makes sure that the tokens are
// this model's and what the objective wants. unknown lists those of which nothing
// says which tokenizer made them.
func origin(in map[string]fs.FS, tok kin.Tokenizer, params *Params) (p provenance, unknown []string, err error) {
	if p.model, err = artifact.ReadFS(in["model"]); err != nil {
		return p, nil, fmt.Errorf("reading the model: %w", err)
	}
	for _, name := range []string{"tokens", "validation"} {
		files, ok := in[name]
		if !ok {
			continue
		}
		from, err := artifact.ReadFS(files)
		if err != nil {
			return p, nil, fmt.Errorf("reading %s: %w", name, err)
		}
		if name == "tokens" {
			p.tokens = from
		}
		if err := params.checkPairs(from, name); err != nil {
			return p, nil, err
		}
		known, err := kin.Tokens(name, from, tok)
		if err != nil {
			return p, nil, err
		}
		if !known {
			unknown = append(unknown, name)
		}
	}
	return p, unknown, nil
}

// output leaves what was trained in the step's output.
func (tr *trainer) output(from provenance) error {
	if tr.weights.full != nil {
		return tr.writeModel(tr.task.Out["model"], from)
	}
	return tr.writeAdapter(tr.task.Out["adapter"], from)
}

func (tr *trainer) writeAdapter(dir string, from provenance) error {
	a := tr.weights.lora.Ordinary()
	if s := from.model.Source; s != nil {
		a.Config.BaseModel = s.Repo
	}
	text := fmt.Sprintf("# LoRA adapter\n\nRank %d, alpha %g, trained by pipe for %d updates (training.jsonl).",
		a.Config.Rank, a.Config.Alpha, tr.kept)
	if err := a.Write(dir, lora.Card{License: from.model.License, Text: text}); err != nil {
		return fmt.Errorf("writing the adapter: %w", err)
	}
	p := artifact.Provenance{
		Type: pipeline.TypeAdapter, Base: from.digest, TrainedOn: from.model.Quantization,
		Source: from.model.Source, Tokenizer: from.tokens.Tokenizer, ChatTemplate: from.tokens.ChatTemplate,
		License: from.model.License,
	}
	if from.model.Quantization != nil {
		p.Original = from.model.Base
	}
	return tr.describe(dir, p)
}

// describe writes provenance and training.jsonl.
func (tr *trainer) describe(dir string, p artifact.Provenance) error {
	if err := os.WriteFile(filepath.Join(dir, logFile), tr.log, 0o644); err != nil {
		return fmt.Errorf("writing %s: %w", logFile, err)
	}
	return artifact.Write(dir, p)
}

func (tr *trainer) writeModel(dir string, from provenance) error {
	dtype := dtypes[tr.p.DType]
	torch, _ := artifact.TorchDType(string(dtype))
	if err := artifact.RewriteConfig(tr.weights.dir, dir, map[string]any{"torch_dtype": torch, "dtype": nil, "quantization_config": nil}); err != nil {
		return err
	}
	if err := artifact.CopySideFiles(tr.weights.dir, dir); err != nil {
		return err
	}
	if err := tr.writeWeights(filepath.Join(dir, "model.safetensors"), dtype); err != nil {
		return fmt.Errorf("writing the model: %w", err)
	}
	p := artifact.Provenance{
		Type: pipeline.TypeModel, Tokenizer: from.tokens.Tokenizer,
		ChatTemplate: from.tokens.ChatTemplate, License: from.model.License,
	}
	if tr.p.Init != "random" {
		p.Base, p.Source = from.digest, from.model.Source
	}
	return tr.describe(dir, p)
}

// writeWeights stores the trained tensors, rounded to dtype.
func (tr *trainer) writeWeights(path string, dtype tensor.DType) error {
	var specs []safetensors.Spec
	for i, name := range tr.net.names {
		shape := tr.cfg.FileShape(decoder.Tensor{Name: name, Shape: tr.net.shapes[i]})
		specs = append(specs, safetensors.Spec{Name: name, DType: dtype, Shape: shape})
	}
	w, err := safetensors.Create(path, specs, safetensors.PyTorch())
	if err != nil {
		return err
	}
	var buf []byte // for one tensor after another
	for _, s := range safetensors.Order(specs) {
		x := tr.weights.get(s.Name)
		if tr.cfg.Transposed(s.Name) {
			x = decoder.Transpose(x, s.Shape[1], s.Shape[0])
		}
		buf = slices.Grow(buf[:0], len(x)*dtype.Size())
		raw := buf[:len(x)*dtype.Size()]
		err := tensor.Encode(raw, dtype, x)
		if err == nil && dtype == tensor.F16 && !fitsF16(x) {
			err = fmt.Errorf("a weight of %s is beyond the range of f16: store the model as f32 or bf16", s.Name)
		}
		if err != nil {
			return errors.Join(err, w.Close())
		}
		if err := w.Write(s.Name, raw); err != nil {
			return errors.Join(err, w.Close())
		}
	}
	return w.Close()
}

// fitsF16 says that no element becomes infinite when it is rounded to F16.
func fitsF16(x []float32) bool {
	for _, v := range x {
		if v >= 65520 || v <= -65520 {
			return false
		}
	}
	return true
}
