package decoder

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/pipe-run/pipe/steps/internal/safetensors"
	"github.com/pipe-run/pipe/steps/internal/weights"
)

// Transposed says whether files hold the named tensor as [In, Out]: the Conv1D
// of GPT-2. Quantized to 4 bits it is [Out, In] there too, as transformers
// stores it.
func (c Config) Transposed(tensor string) bool {
	n := c.names()
	if !n.transposed || !strings.HasSuffix(tensor, ".weight") {
		return false
	}
	path := strings.TrimSuffix(tensor, ".weight")
	return slices.ContainsFunc(n.proj[:], func(p string) bool { return p != "" && strings.HasSuffix(path, "."+p) })
}

// FileShape is the shape of a tensor of Tensors in a file of floats.
func (c Config) FileShape(t Tensor) []int {
	if !c.Transposed(t.Name) {
		return t.Shape
	}
	return []int{t.Shape[1], t.Shape[0]}
}

// Initial is how transformers begins a tensor of Tensors that is not trained
// yet: with mean, or, where spread is above 0, with normal numbers around 0 whose
// deviation is spread times initializer_range. GPT-2 begins what is added to the
// residual stream smaller, by the root of how often that happens.
func (c Config) Initial(t Tensor) (mean, spread float32) {
	switch {
	case len(t.Shape) > 1 && c.names().transposed && strings.HasSuffix(t.Name, ".c_proj.weight"):
		return 0, float32(1 / math.Sqrt(float64(2*c.Layers)))
	case len(t.Shape) > 1:
		return 0, 1
	case strings.HasSuffix(t.Name, ".bias") || c.Norm == RMSPlusOne:
		return 0, 0
	}
	return 1, 0
}

// flipped finds the linears of w that are stored as [In, Out]: those of floats
// in a family that transposes.
func (c Config) flipped(w *weights.Dir) (map[string]bool, error) {
	flip := map[string]bool{}
	if !c.names().transposed {
		return flip, nil
	}
	for _, m := range c.Modules() {
		if !w.Has(m.Tensor) {
			continue
		}
		dtype, err := w.DType(m.Tensor)
		if err != nil {
			return nil, err
		}
		flip[m.Tensor] = dtype == "F32" || dtype == "BF16" || dtype == "F16"
	}
	return flip, nil
}

// Files are a model's weights with every linear as [Out, In], however it is stored.
type Files struct {
	*weights.Dir
	flip map[string]bool
}

// Oriented presents open weights of configuration c.
func (c Config) Oriented(w *weights.Dir) (Files, error) {
	flip, err := c.flipped(w)
	return Files{w, flip}, err
}

// Flipped says whether the file holds the transpose of what F32 and Stored give.
func (f Files) Flipped(name string) bool { return f.flip[name] }

// Shape is that of the tensor as F32 gives it.
func (f Files) Shape(name string) ([]int, error) {
	shape, err := f.Dir.Shape(name)
	if err == nil && f.flip[name] {
		slices.Reverse(shape)
	}
	return shape, err
}

// F32 is weights.Dir.F32, linears as [Out, In].
func (f Files) F32(name string) ([]float32, error) {
	x, err := f.Dir.F32(name)
	if err != nil || !f.flip[name] {
		return x, err
	}
	shape, err := f.matrix(name)
	if err != nil {
		return nil, err
	}
	return Transpose(x, shape[0], shape[1]), nil
}

// Stored is weights.Dir.Stored, linears as [Out, In].
func (f Files) Stored(name string) (safetensors.Spec, []byte, error) {
	spec, data, err := f.Dir.Stored(name)
	if err != nil || !f.flip[name] {
		return spec, data, err
	}
	shape, err := f.matrix(name)
	if err != nil {
		return spec, nil, err
	}
	spec.Shape = []int{shape[1], shape[0]}
	return spec, transposeBytes(data, shape[0], shape[1], spec.DType.Size()), nil
}

// matrix is the stored shape of a tensor that must have two dimensions.
func (f Files) matrix(name string) ([]int, error) {
	shape, err := f.Dir.Shape(name)
	if err == nil && len(shape) != 2 {
		err = fmt.Errorf("tensor %s has shape %v, want a matrix", name, shape)
	}
	return shape, err
}

// transposeTile is the side of the squares that are transposed at a time, so
// that reads and writes both stay in the cache.
const transposeTile = 32

// Transpose returns x [rows, columns] as [columns, rows].
func Transpose(x []float32, rows, columns int) []float32 {
	y := make([]float32, len(x))
	eachTile(rows, columns, func(r, c int) { y[c*rows+r] = x[r*columns+c] })
	return y
}

func transposeBytes(x []byte, rows, columns, size int) []byte {
	y := make([]byte, len(x))
	eachTile(rows, columns, func(r, c int) {
		copy(y[(c*rows+r)*size:][:size], x[(r*columns+c)*size:])
	})
	return y
}

func eachTile(rows, columns int, f func(r, c int)) {
	for r0 := 0; r0 < rows; r0 += transposeTile {
		for c0 := 0; c0 < columns; c0 += transposeTile {
			for r := r0; r < min(rows, r0+transposeTile); r++ {
				for c := c0; c < min(columns, c0+transposeTile); c++ {
					f(r, c)
				}
			}
		}
	}
}
