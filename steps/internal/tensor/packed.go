package tensor

import (
	"fmt"

	"github.com/pipe-run/pipe/steps/internal/kernel"
)

// Packed is a right-hand side [k, n] laid out for the microkernel, for one that is used many times.
// It takes as much memory as the matrix, with n rounded up to the width of a panel.
type Packed struct {
	tile *kernel.Tile
	n, k int
	data []float32 // [blocks of K][panels][kc][NR]
}

// PackNT packs b [n, k], to be multiplied as A·Bᵀ.
func PackNT(threads, n, k int, b []float32) *Packed {
	check(0, n, k, nil, b, nil)
	return newPacked(best, threads, n, k, lanesByRow{b, k})
}

// PackNN packs b [k, n], to be multiplied as A·B.
func PackNN(threads, n, k int, b []float32) *Packed {
	check(0, n, k, nil, b, nil)
	return newPacked(best, threads, n, k, lanesByColumn{b, n})
}

func newPacked(t *kernel.Tile, threads, n, k int, b side) *Packed {
	panels := (n + t.NR - 1) / t.NR
	p := &Packed{t, n, k, make([]float32, panels*t.NR*k)}
	Parallel(threads, panels, func(q int) {
		for d := 0; d < k; d += depthOf(t) {
			kc := min(depthOf(t), k-d)
			b.pack(p.panels(q*t.NR, d, kc), t.NR, q*t.NR, min(t.NR, n-q*t.NR), d, kc)
		}
	})
	return p
}

// Shape returns k and n.
func (p *Packed) Shape() (k, n int) { return p.k, p.n }

// Mul computes C = A·B, or adds it to C: a is [m, k], c [m, n].
func (p *Packed) Mul(threads, m int, a, c []float32, add bool) {
	if m < 0 || len(a) < m*p.k || len(c) < m*p.n {
		panic(fmt.Sprintf("tensor: product [%d, %d]·[%d, %d] of a slice of %d into %d", m, p.k, p.k, p.n, len(a), len(c)))
	}
	gemm(p.tile, threads, m, p.n, p.k, byRow(a, p.k), p, c, p.n, add)
}

// panels is the panels from column j on, at depths [d, d+kc).
func (p *Packed) panels(j, d, kc int) []float32 {
	width := (p.n + p.tile.NR - 1) / p.tile.NR * p.tile.NR
	return p.data[d*width+j*kc : (d+kc)*width]
}

// pack copies what is packed already.
func (p *Packed) pack(dst []float32, nr, j, w, d, kc int) {
	copy(dst, p.panels(j, d, kc)[:(w+nr-1)/nr*nr*kc])
}

func (p *Packed) block(_ []float32, nr, j, w, d, kc, _ int) block {
	return block{p.panels(j, d, kc), kc * nr, nr}
}

func (p *Packed) ready(int) int { return 1 }
