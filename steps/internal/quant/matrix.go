package quant

import "fmt"

// NF4Matrix is a two-dimensional NF4Tensor as the right-hand side of a product,
// unpacked piece by piece; it implements tensor.Panels. Safe for concurrent use.
type NF4Matrix struct {
	t      *NF4Tensor
	scales []float32
}

// Matrix prepares t, which must have two dimensions.
func (t *NF4Tensor) Matrix() (*NF4Matrix, error) {
	if len(t.Shape) != 2 {
		return nil, fmt.Errorf("shape %v is not a matrix", t.Shape)
	}
	return &NF4Matrix{t, t.Scales()}, nil
}

// Shape returns the rows and columns of the matrix.
func (m *NF4Matrix) Shape() (rows, columns int) { return m.t.Shape[0], m.t.Shape[1] }

// Unpack writes the len(dst) elements of a row from a column on.
func (m *NF4Matrix) Unpack(dst []float32, row, column int) {
	m.t.DequantizeRange(dst, row*m.t.Shape[1]+column, m.scales)
}
