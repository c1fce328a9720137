package quantize

import (
	"context"
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"strings"

	"github.com/pipe-run/pipe/pipeline"
	"github.com/pipe-run/pipe/steps/internal/artifact"
	"github.com/pipe-run/pipe/steps/internal/decoder"
	"github.com/pipe-run/pipe/steps/internal/quant"
	"github.com/pipe-run/pipe/steps/internal/safetensors"
	"github.com/pipe-run/pipe/steps/internal/tensor"
	"github.com/pipe-run/pipe/steps/internal/weights"
)

// quantizer turns one model's tensors into another's. The codes of all tensors
// are held in memory, half a byte per weight, because a file begins with the
// sizes of all tensors and keeps those of one dtype together.
type quantizer struct {
	p      Params
	t      *pipeline.Task
	w      decoder.Files
	linear map[string][]int

	specs  []safetensors.Spec
	parts  map[string][]byte // by name; tensors that are copied are not among them
	errors []tensorError
	dtypes map[tensor.DType]int // elements quantized, by the dtype they were stored in
}

// quantize quantizes the linears and plans the output.
func (q *quantizer) quantize(ctx context.Context) error {
	q.parts, q.dtypes = map[string][]byte{}, map[tensor.DType]int{}
	for name := range q.linear {
		if _, err := q.w.Shape(name); err != nil {
			return err
		}
	}
	for i, name := range q.w.Names() {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := q.add(name); err != nil {
			return err
		}
		q.t.Emit(pipeline.Progress{Done: int64(i + 1), Total: int64(len(q.w.Names())), Unit: "tensors"})
	}
	return nil
}

// add quantizes a tensor, or plans to copy it.
func (q *quantizer) add(name string) error {
	stored, err := q.w.DType(name)
	if err != nil {
		return err
	}
	shape, err := q.w.Shape(name)
	if err != nil {
		return err
	}
	dtype := tensor.DType(stored)
	want, linear := q.linear[name]
	if !linear {
		q.specs = append(q.specs, safetensors.Spec{Name: name, DType: dtype, Shape: shape})
		return nil
	}
	if !slices.Equal(shape, want) {
		return fmt.Errorf("tensor %q has shape %v, not %v as config.json says", name, shape, want)
	}
	values, err := q.w.F32(name)
	if err != nil {
		return err
	}
	few, err := quant.Quantize(q.t.Threads, values, shape, quant.Options{
		Scheme: q.p.Scheme, BlockSize: q.p.BlockSize, DoubleQuant: q.p.DoubleQuant, DType: dtype,
	})
	if err != nil {
		return fmt.Errorf("tensor %q: %w", name, err)
	}
	parts, err := few.Parts()
	if err != nil {
		return fmt.Errorf("tensor %q: %w", name, err)
	}
	for _, part := range parts {
		q.specs = append(q.specs, safetensors.Spec{Name: name + part.Suffix, DType: part.DType, Shape: part.Shape})
		q.parts[name+part.Suffix] = part.Data
	}
	q.dtypes[dtype] += len(values)
	q.errors = append(q.errors, measure(q.t.Threads, name, few, values))
	return nil
}

// computeDType is the dtype that most quantized weights had, as torch calls it.
func (q *quantizer) computeDType() string {
	most := tensor.F32
	for _, d := range []tensor.DType{tensor.F16, tensor.BF16} {
		if q.dtypes[d] > q.dtypes[most] {
			most = d
		}
	}
	name, _ := artifact.TorchDType(string(most))
	return name
}

// write writes model.safetensors.
func (q *quantizer) write(ctx context.Context, out string) error {
	w, err := safetensors.Create(filepath.Join(out, weights.SingleFile), q.specs, safetensors.PyTorch())
	if err != nil {
		return err
	}
	for _, s := range safetensors.Order(q.specs) {
		data, ok := q.parts[s.Name]
		if err = ctx.Err(); err == nil && !ok {
			_, data, err = q.w.Stored(s.Name)
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
		Name: strings.TrimSuffix(name, ".weight"), Shape: []int{rows, columns}, Bits: ratio(float64(8*few.Bytes()), float64(len(values))),
		RMS: math.Sqrt(ratio(errors, squares)), Max: ratio(worst, largest),
	}
}

// ratio is a/b, or 0 where there was nothing to begin with.
func ratio(a, b float64) float64 {
	if b == 0 {
		return 0
	}
	return a / b
}
