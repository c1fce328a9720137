package quantize

import (
	"context"
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"strings"

	"github.com/pipe-run/pipe/pipeline"
	"github.com/pipe-run/pipe/steps/internal/decoder"
	"github.com/pipe-run/pipe/steps/internal/quant"
	"github.com/pipe-run/pipe/steps/internal/safetensors"
	"github.com/pipe-run/pipe/steps/internal/tensor"
	"github.com/pipe-run/pipe/steps/internal/weights"
)

// quantizer turns one model's tensors into another's. The codes of all tensors
// are held in memory, because a file begins with the sizes of all tensors and
// keeps those of one dtype together.
type quantizer struct {
	p      Params
	t      *pipeline.Task
	c      decoder.Config
	w      *weights.Dir
	files  decoder.Files             // w, linears as [Out, In]
	linear map[string]decoder.Module // by the name of their weight

	few     map[string]quant.Tensor // by name
	errors  []tensorError
	dtypes  map[tensor.DType]int // elements quantized, by the dtype they were stored in
	sizes   map[string]int64     // bytes of a stored weight, by name
	dynamic *dynamicSummary      // what was chosen; nil when nothing was to be
	kept    map[string]bool      // the linears left as they are, by the name of their weight

	specs []safetensors.Spec
	parts map[string][]byte // by name; tensors that are copied are not among them
}

func newQuantizer(c decoder.Config, p Params, t *pipeline.Task, w *weights.Dir) (*quantizer, error) {
	q := &quantizer{
		p: p, t: t, c: c, w: w, linear: map[string]decoder.Module{}, few: map[string]quant.Tensor{},
		dtypes: map[tensor.DType]int{}, sizes: map[string]int64{}, kept: map[string]bool{}, parts: map[string][]byte{},
	}
	for _, m := range c.Modules() {
		if _, err := w.Shape(m.Tensor); err != nil {
			return nil, err
		}
		q.linear[m.Tensor] = m
	}
	var err error
	q.files, err = c.Oriented(w)
	return q, err
}

// quantize quantizes all linears.
func (q *quantizer) quantize(ctx context.Context) error {
	names := q.w.Names()
	for i, name := range names {
		if err := ctx.Err(); err != nil {
			return err
		}
		if m, ok := q.linear[name]; ok {
			if err := q.add(name, m); err != nil {
				return err
			}
		}
		q.t.Emit(pipeline.Progress{Done: int64(i + 1), Total: int64(len(names)), Unit: "tensors"})
	}
	return nil
}

// add quantizes one linear.
func (q *quantizer) add(name string, m decoder.Module) error {
	stored, err := q.w.DType(name)
	if err != nil {
		return err
	}
	shape, err := q.files.Shape(name)
	if err != nil {
		return err
	}
	if want := []int{m.Out, m.In}; !slices.Equal(shape, want) {
		return fmt.Errorf("tensor %q has shape %v, not %v as config.json says", name, shape, want)
	}
	values, err := q.files.F32(name)
	if err != nil {
		return err
	}
	dtype := tensor.DType(stored)
	few, err := quant.Quantize(q.t.Threads, values, shape, q.p.options(dtype))
	if err != nil {
		return &pipeline.FieldError{
			Field: "in.model", Err: fmt.Errorf("%s: tensor %q: %w", q.w.File(name), name, err),
			Hint: "the model is damaged or diverged when it was trained",
		}
	}
	q.few[name] = few
	q.dtypes[dtype] += len(values)
	q.sizes[name] = int64(dtype.Size())
	q.errors = append(q.errors, measure(q.t.Threads, name, few, values))
	return nil
}

// storedSize is how many bytes a weight of a linear took.
func (q *quantizer) storedSize(m decoder.Module) int64 { return q.sizes[m.Tensor] }

// mostDType is the dtype that most quantized weights had.
func (q *quantizer) mostDType() tensor.DType {
	most := tensor.F32
	for _, d := range []tensor.DType{tensor.F16, tensor.BF16} {
		if q.dtypes[d] > q.dtypes[most] {
			most = d
		}
	}
	return most
}

// plan lists the tensors of the output.
func (q *quantizer) plan() error {
	for _, name := range q.w.Names() {
		few, linear := q.few[name]
		if !linear || q.kept[name] {
			spec, err := q.copied(name)
			if err != nil {
				return err
			}
			q.specs = append(q.specs, spec)
			continue
		}
		parts, err := few.Parts()
		if err != nil {
			return fmt.Errorf("tensor %q: %w", name, err)
		}
		for _, part := range parts {
			q.specs = append(q.specs, safetensors.Spec{Name: name + part.Suffix, DType: part.DType, Shape: part.Shape})
			q.parts[name+part.Suffix] = part.Data
		}
	}
	return nil
}

// copied is a tensor that stays as it is stored.
func (q *quantizer) copied(name string) (safetensors.Spec, error) {
	stored, err := q.w.DType(name)
	if err != nil {
		return safetensors.Spec{}, err
	}
	shape, err := q.w.Shape(name)
	if err != nil {
		return safetensors.Spec{}, err
	}
	return safetensors.Spec{Name: name, DType: tensor.DType(stored), Shape: shape}, nil
}

// data is the content of a tensor of the output.
func (q *quantizer) data(s safetensors.Spec) ([]byte, error) {
	if data, ok := q.parts[s.Name]; ok {
		return data, nil
	}
	_, data, err := q.w.Stored(s.Name)
	return data, err
}

// write writes model.safetensors.
func (q *quantizer) write(ctx context.Context, out string) error {
	if err := q.plan(); err != nil {
		return err
	}
	w, err := safetensors.Create(filepath.Join(out, weights.SingleFile), q.specs, safetensors.PyTorch())
	if err != nil {
		return err
	}
	for _, s := range safetensors.Order(q.specs) {
		var data []byte
		if err = ctx.Err(); err == nil {
			data, err = q.data(s)
		}
		if err == nil {
			err = w.Write(s.Name, data)
		}
		if err != nil {
			w.Close()
			return fmt.Errorf("writing %s: %w", weights.SingleFile, err)
		}
	}
	if err := w.Close(); err != nil {
		return fmt.Errorf("writing %s: %w", weights.SingleFile, err)
	}
	return nil
}

// tensorError is what quantizing cost a tensor. Both errors are relative: the
// root of the mean square over that of the weights, and the largest over the
// largest weight.
type tensorError struct {
	Name  string  `json:"name"`
	Shape []int   `json:"shape"`
	Bits  float64 `json:"bitsPerParameter"` // codes and scales
	RMS   float64 `json:"rmsError"`
	Max   float64 `json:"maxError"`
}

// measure compares a quantized tensor with what it was. The sums run in order
// in float64, so the figures are the same everywhere.
func measure(threads int, name string, few quant.Tensor, values []float32) tensorError {
	back := make([]float32, len(values))
	quant.Dequantize(threads, few, back)
	rows, columns := few.Shape()
	var squares, errors, largest, worst float64
	for i, v := range values {
		x, d := float64(v), float64(back[i])-float64(v)
		squares += float64(x * x)
		errors += float64(d * d)
		largest, worst = max(largest, math.Abs(x)), max(worst, math.Abs(d))
	}
	return tensorError{
		Name: strings.TrimSuffix(name, ".weight"), Shape: []int{rows, columns},
		Bits: ratio(float64(8*few.Bytes()), float64(len(values))),
		RMS:  math.Sqrt(ratio(errors, squares)), Max: ratio(worst, largest),
	}
}

// ratio is a/b, or 0 where there was nothing to begin with.
func ratio(a, b float64) float64 {
	if b == 0 {
		return 0
	}
	return a / b
}
