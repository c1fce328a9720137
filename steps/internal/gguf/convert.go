package gguf

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"sync/atomic"

	"github.com/pipe-run/pipe/steps/internal/safetensors"
	"github.com/pipe-run/pipe/steps/internal/tensor"
)

// weightsFile is the name that Hugging Face libraries look for.
const weightsFile = "model.safetensors"

// Info is what Convert learns of a model beside its files.
type Info struct {
	Name    string // general.name
	License string // general.license
	Stored  string // the type of most weights in the source: "Q4_1", "F16", …
}

// Convert writes the llama model in the GGUF file src to the existing directory
// dst in the Hugging Face layout: config.json, generation_config.json,
// model.safetensors, tokenizer.json, tokenizer_config.json and
// special_tokens_map.json. Equal files give equal bytes.
//
// Tensors stored as floats keep their dtype and their bits. Block formats are
// unpacked and rounded to F16: their own scales are halves, so the rounding
// (at most 2^-12 of a value) is far below what the format had already lost, and
// F32 would double the size for nothing. A tensor with values beyond F16's
// range is written as F32. The number of threads changes no bit.
func Convert(ctx context.Context, threads int, src, dst string) (Info, error) {
	f, err := Open(src)
	if err != nil {
		return Info{}, err
	}
	defer f.Close()
	info, err := f.convert(ctx, threads, dst)
	if err != nil {
		return Info{}, fmt.Errorf("converting %s: %w", src, err)
	}
	return info, nil
}

func (f *File) convert(ctx context.Context, threads int, dst string) (Info, error) {
	m, err := f.llama()
	if err != nil {
		return Info{}, err
	}
	plan, err := f.plan(m)
	if err != nil {
		return Info{}, err
	}
	vocab, err := f.vocabulary(m.VocabSize)
	if err != nil {
		return Info{}, err
	}
	m.setTokens(vocab)
	files := map[string]any{
		"config.json":             m,
		"generation_config.json":  vocab.generation(),
		"tokenizer_config.json":   vocab.tokenizerConfig(m.MaxPositions),
		"special_tokens_map.json": vocab.specialTokens(),
	}
	if files["tokenizer.json"], err = vocab.tokenizer(); err != nil {
		return Info{}, fmt.Errorf("tokenizer: %w", err)
	}
	if m.TorchDType, err = f.writeWeights(ctx, threads, filepath.Join(dst, weightsFile), plan); err != nil {
		return Info{}, err
	}
	for name, content := range files {
		if err := writeJSON(filepath.Join(dst, name), content); err != nil {
			return Info{}, err
		}
	}
	info := Info{Stored: plan[0].source.Type.String()}
	info.Name, _ = f.Text("general.name")
	info.License, _ = f.Text("general.license")
	for _, p := range plan {
		if p.heads > 0 {
			info.Stored = p.source.Type.String()
			break
		}
	}
	return info, nil
}

// writeJSON writes two-space JSON, without escapes for HTML, and a final newline.
func writeJSON(path string, content any) error {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(content); err != nil {
		return fmt.Errorf("encoding %s: %w", filepath.Base(path), err)
	}
	return os.WriteFile(path, b.Bytes(), 0o644)
}

// writeWeights writes the planned tensors, one at a time, and returns the dtype
// of most elements as torch calls it.
func (f *File) writeWeights(ctx context.Context, threads int, path string, plan []planned) (string, error) {
	byName := map[string]planned{}
	specs := make([]safetensors.Spec, len(plan))
	elements := map[tensor.DType]int{}
	for i, p := range plan {
		dtype, err := f.target(ctx, threads, p.source)
		if err != nil {
			return "", err
		}
		byName[p.name] = p
		specs[i] = safetensors.Spec{Name: p.name, DType: dtype, Shape: p.source.Shape}
		elements[dtype] += p.source.Elements()
	}
	w, err := safetensors.Create(path, specs, safetensors.PyTorch())
	if err != nil {
		return "", err
	}
	for _, s := range safetensors.Order(specs) {
		if err = ctx.Err(); err == nil {
			err = f.writeTensor(threads, w, byName[s.Name], s.DType)
		}
		if err != nil {
			w.Close()
			return "", err
		}
	}
	if err := w.Close(); err != nil {
		return "", fmt.Errorf("writing %s: %w", path, err)
	}
	dtype := tensor.F32
	for _, d := range []tensor.DType{tensor.F16, tensor.BF16} {
		if elements[d] > elements[dtype] {
			dtype = d
		}
	}
	return map[tensor.DType]string{tensor.F32: "float32", tensor.F16: "float16", tensor.BF16: "bfloat16"}[dtype], nil
}

// maxHalf is the largest finite F16.
const maxHalf = 65504

// target is the dtype that a tensor is written as.
func (f *File) target(ctx context.Context, threads int, t Tensor) (tensor.DType, error) {
	if dtype, ok := t.Type.Float(); ok {
		return dtype, nil
	}
	if err := ctx.Err(); err != nil {
		return "", err
	}
	var beyond atomic.Bool
	err := f.unpack(threads, t, func(_ int, values []float32) error {
		for _, v := range values {
			if !(math.Abs(float64(v)) <= maxHalf) {
				beyond.Store(true)
			}
		}
		return nil
	})
	if beyond.Load() {
		return tensor.F32, err
	}
	return tensor.F16, err
}

// chunk is how many elements are unpacked at a time; a whole number of blocks of any type.
const chunk = 1 << 16

// unpack calls use for pieces of the tensor's elements, first saying which is
// the first of each, on up to threads goroutines.
func (f *File) unpack(threads int, t Tensor, use func(first int, values []float32) error) error {
	data, err := f.Read(t)
	if err != nil {
		return err
	}
	n, l := t.Elements(), t.Type.layout()
	pieces := (n + chunk - 1) / chunk
	errs := make([]error, pieces)
	tensor.Parallel(threads, pieces, func(i int) {
		from, to := i*chunk, min((i+1)*chunk, n)
		values := make([]float32, to-from)
		errs[i] = t.Type.decode(values, data[from/l.elements*l.bytes:to/l.elements*l.bytes])
		if errs[i] == nil {
			errs[i] = use(from, values)
		}
	})
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("tensor %q: %w", t.Name, err)
	}
	return nil
}

// writeTensor unpacks, reorders and writes one tensor.
func (f *File) writeTensor(threads int, w *safetensors.Writer, p planned, dtype tensor.DType) error {
	var data []byte
	var err error
	if stored, ok := p.source.Type.Float(); ok && stored == dtype {
		data, err = f.Read(p.source)
	} else {
		data, err = f.repack(threads, p.source, dtype)
	}
	if err != nil {
		return err
	}
	if p.heads > 0 {
		data = unpermute(data, p.source.Shape[0], p.heads)
	}
	if err := w.Write(p.name, data); err != nil {
		return fmt.Errorf("tensor %q: %w", p.name, err)
	}
	return nil
}

// repack returns a tensor's elements as dtype.
func (f *File) repack(threads int, t Tensor, dtype tensor.DType) ([]byte, error) {
	data := make([]byte, t.Elements()*dtype.Size())
	return data, f.unpack(threads, t, func(first int, values []float32) error {
		at := first * dtype.Size()
		return tensor.Encode(data[at:at+len(values)*dtype.Size()], dtype, values)
	})
}

// unpermute undoes the reordering of query and key rows in llama GGUFs: within
// each head, GGUF interleaves the two halves that the Hugging Face layout of
// rotary embeddings keeps apart. data holds rows of equal size, head by head.
func unpermute(data []byte, rows, heads int) []byte {
	out := make([]byte, len(data))
	size, dim := len(data)/rows, rows/heads
	for row := range rows {
		head, i := row/dim, row%dim
		from := head*dim + i%(dim/2)*2 + i/(dim/2)
		copy(out[row*size:(row+1)*size], data[from*size:])
	}
	return out
}
