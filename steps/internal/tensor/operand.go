package tensor

import "fmt"

// An Operand is a right-hand side [k, n] of a product: a *Packed, or what RowsNT, RowsNN, PanelsNT and PanelsNN return.
type Operand interface {
	// Shape returns the depth and the number of columns.
	Shape() (k, n int)

	side
}

// RowsNT is b [n, k], row-major and dense, to be multiplied as A·Bᵀ.
func RowsNT(n, k int, b []float32) Operand {
	check(0, n, k, nil, b, nil)
	return dense{lanesByRow{b, k}, k, n}
}

// RowsNN is b [k, n], row-major and dense, to be multiplied as A·B.
func RowsNN(k, n int, b []float32) Operand {
	check(0, n, k, nil, b, nil)
	return dense{lanesByColumn{b, n}, k, n}
}

// PanelsNT is b [n, k], to be multiplied as A·Bᵀ and unpacked at use.
func PanelsNT(b Panels) Operand {
	n, k := b.Shape()
	return dense{panelRows{b}, k, n}
}

// PanelsNN is b [k, n], to be multiplied as A·B and unpacked at use.
func PanelsNN(b Panels) Operand {
	k, n := b.Shape()
	return dense{panelColumns{b}, k, n}
}

// dense is a side and its shape.
type dense struct {
	side
	k, n int
}

// Shape returns the depth and the number of columns.
func (d dense) Shape() (k, n int) { return d.k, d.n }

// A Right is one of the right-hand sides that Gemm multiplies the same A with, and where the product goes.
type Right struct {
	B   Operand   // [k, n]
	C   []float32 // [m, n]
	Add bool      // add to C

	// Scale multiplies the finished elements, rounding once more; 0 stands for 1.
	Scale float32

	// Low is a product of low rank that is added to C; nil for none.
	Low *LowRank
}

// LowRank is the product A·B of a [m, K] and b [K, n].
//
// A may be the C of a Right without Low of the same call, and is then read when that is finished, scale included.
type LowRank struct {
	K int
	A []float32
	B Operand
}

func (r *Right) check(m, k int) (n int) {
	depth, n := r.B.Shape()
	if depth != k || len(r.C) < m*n {
		panic(fmt.Sprintf("tensor: product [%d, %d]·[%d, %d] into a slice of %d", m, k, depth, n, len(r.C)))
	}
	if l := r.Low; l != nil {
		if d, w := l.B.Shape(); d != l.K || w != n || len(l.A) < m*l.K {
			panic(fmt.Sprintf("tensor: product [%d, %d]·[%d, %d] of low rank of a slice of %d into [%d, %d]", m, l.K, d, w, len(l.A), m, n))
		}
	}
	return n
}

// Gemm multiplies a [m, k], row-major and dense, with every one of rights: C = A·B, or C += A·B. That has the bits of
// one product after the other, first all without Low and then those with, each with its own low one after it. The Cs
// must not overlap, neither each other nor an operand, but for what LowRank says.
func Gemm(threads, m, k int, a []float32, rights ...Right) {
	if m < 0 || k < 0 || len(a) < m*k {
		panic(fmt.Sprintf("tensor: product of [%d, %d] of a slice of %d", m, k, len(a)))
	}
	for i := range rights {
		rights[i].check(m, k)
	}
	var before, after []product // those that a low-rank product reads, and the rest
	for i := range rights {
		if p := rights[i].product(m, k, a); feeds(rights, i, m) {
			before = append(before, p)
		} else {
			after = append(after, p)
		}
	}
	multiply(threads, before...)
	multiply(threads, after...)
}

// feeds says whether the C of right i is the A of another one's low-rank product.
func feeds(rights []Right, i, m int) bool {
	_, n := rights[i].B.Shape()
	if m == 0 || n == 0 {
		return false
	}
	for j := range rights {
		if l := rights[j].Low; l != nil && l.K > 0 && &l.A[0] == &rights[i].C[0] {
			return true
		}
	}
	return false
}

func (r *Right) product(m, k int, a []float32) product {
	_, n := r.B.Shape()
	p := newProduct(best, m, n, k, byRow(a, k), r.B, r.C, n, r.Add)
	if l := r.Low; l != nil && l.K > 0 {
		low := newProduct(best, m, n, l.K, byRow(l.A, l.K), l.B, r.C, n, true)
		p.low = &low
	}
	if r.Scale != 0 {
		p.scale = r.Scale
	}
	return p
}
