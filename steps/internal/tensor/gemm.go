package tensor

import (
	"fmt"

	"github.com/pipe-run/pipe/steps/internal/kernel"
)

// GemmNT computes C = A·Bᵀ, or adds it to C: a is [m, k], b [n, k], c [m, n], all row-major and dense.
// Like all products here it panics when a slice is shorter than its shape.
func GemmNT(threads, m, n, k int, a, b, c []float32, add bool) {
	check(m, n, k, a, b, c)
	gemm(best, threads, m, n, k, byRow(a, k), lanesByRow{b, k}, c, n, add)
}

// GemmNN computes C = A·B, or adds it to C: a is [m, k], b [k, n], c [m, n].
func GemmNN(threads, m, n, k int, a, b, c []float32, add bool) {
	check(m, n, k, a, b, c)
	gemm(best, threads, m, n, k, byRow(a, k), lanesByColumn{b, n}, c, n, add)
}

// GemmTN computes C = Aᵀ·B, or adds it to C: a is [k, m], b [k, n], c [m, n].
func GemmTN(threads, m, n, k int, a, b, c []float32, add bool) {
	check(m, n, k, a, b, c)
	gemmTN(best, threads, m, n, k, a, m, b, n, c, n, add)
}

// best is the fastest tile of this machine.
var best = kernel.Tiles()[0]

func check(m, n, k int, a, b, c []float32) {
	if m < 0 || n < 0 || k < 0 || len(a) < m*k || len(b) < k*n || len(c) < m*n {
		panic(fmt.Sprintf("tensor: product [%d, %d]·[%d, %d] of slices of %d and %d into %d", m, k, k, n, len(a), len(b), len(c)))
	}
}

// gemm multiplies a with one right side.
func gemm(t *kernel.Tile, threads, m, n, k int, a left, b side, c []float32, ldc int, add bool) {
	w := newProduct(t, m, n, k, a, b, c, ldc, add)
	if threads <= 1 {
		w.alone()
		return
	}
	multiply(threads, w)
}
