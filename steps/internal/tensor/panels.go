package tensor

import (
	"fmt"

	"github.com/pipe-run/pipe/steps/internal/kernel"
)

// Panels is a right-hand side [rows, columns] kept in a form of its own, such as NF4 or bf16, and unpacked piece by
// piece just before use.
type Panels interface {
	// Shape returns the rows and columns of the matrix.
	Shape() (rows, columns int)

	// Unpack writes the len(dst) elements of a row from a column on. Pieces begin at columns that are multiples of
	// the width of a panel (8, 16 or 32) and stay within the row. It is called by several goroutines at once.
	Unpack(dst []float32, row, column int)
}

// GemmPanelsNT computes C = A·Bᵀ, or adds it to C: a is [m, k], b [n, k], c [m, n].
func GemmPanelsNT(threads, m int, a []float32, b Panels, c []float32, add bool) {
	n, k := b.Shape()
	checkPanels(m, n, k, a, c)
	gemm(best, threads, m, n, k, byRow(a, k), panelRows{b}, c, n, add)
}

// GemmPanelsNN computes C = A·B, or adds it to C: a is [m, k], b [k, n], c [m, n].
func GemmPanelsNN(threads, m int, a []float32, b Panels, c []float32, add bool) {
	k, n := b.Shape()
	checkPanels(m, n, k, a, c)
	gemm(best, threads, m, n, k, byRow(a, k), panelColumns{b}, c, n, add)
}

func checkPanels(m, n, k int, a, c []float32) {
	if m < 0 || n < 0 || k < 0 || len(a) < m*k || len(c) < m*n {
		panic(fmt.Sprintf("tensor: product [%d, %d]·[%d, %d] of a slice of %d into %d", m, k, k, n, len(a), len(c)))
	}
}

// panelRows has the rows of b as its lanes (NT).
type panelRows struct{ b Panels }

func (s panelRows) pack(dst []float32, nr, lane, w, p, kc int) {
	piece := getBuffer(nr * kc)
	defer piece.free()
	for ; w > 0; lane, w, dst = lane+nr, w-nr, dst[kc*nr:] {
		wide := min(nr, w)
		for r := range wide {
			s.b.Unpack(piece.f[r*kc:][:kc], lane+r, p)
		}
		kernel.PackRows(dst, nr, piece.f, kc, wide, kc)
	}
}

func (s panelRows) block(dst []float32, nr, lane, w, p, kc, _ int) block {
	return packed(s, dst, nr, lane, w, p, kc)
}

func (s panelRows) ready(int) int { return 0 }

// panelColumns has the columns of b as its lanes (NN).
type panelColumns struct{ b Panels }

func (s panelColumns) pack(dst []float32, nr, lane, w, p, kc int) {
	line := getBuffer(w)
	defer line.free()
	for q := range kc {
		s.b.Unpack(line.f, p+q, lane)
		for j := 0; j < w; j += nr {
			d := dst[j*kc+q*nr:][:nr]
			clear(d[copy(d, line.f[j:]):])
		}
	}
}

// block unpacks line by line, and leaves the lines as they are.
func (s panelColumns) block(dst []float32, nr, lane, w, p, kc, _ int) block {
	line := (w+nr-1)/nr*nr + padding
	for q := range kc {
		d := dst[q*line:][:line]
		s.b.Unpack(d[:w], p+q, lane)
		clear(d[w:])
	}
	return block{dst, nr, line}
}

func (s panelColumns) ready(int) int { return 0 }

// Half is a matrix of BF16 or F16 elements as stored, little-endian; it implements Panels.
type Half struct {
	dtype         DType
	rows, columns int
	data          []byte
}

// NewHalf returns the matrix [rows, columns] whose elements of dtype BF16 or F16 lie in data, which it keeps.
func NewHalf(d DType, rows, columns int, data []byte) (*Half, error) {
	if d != BF16 && d != F16 {
		return nil, fmt.Errorf("dtype %q is not BF16 or F16", string(d))
	}
	if rows < 0 || columns < 0 || columns > 0 && rows > len(data)/2/columns || len(data) != 2*rows*columns {
		return nil, fmt.Errorf("[%d, %d] of %s does not take %d bytes", rows, columns, d, len(data))
	}
	return &Half{d, rows, columns, data}, nil
}

// Shape returns the rows and columns of the matrix.
func (h *Half) Shape() (rows, columns int) { return h.rows, h.columns }

// Unpack widens part of a row.
func (h *Half) Unpack(dst []float32, row, column int) {
	src := h.data[2*(row*h.columns+column):][:2*len(dst)]
	if err := Decode(dst, h.dtype, src); err != nil {
		panic(err) // dtype and length were checked
	}
}
