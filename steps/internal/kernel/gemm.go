package kernel

import "math"

// A Tile is one microkernel of matrix multiplication. It works on panels: a panel of A holds MR rows as [k][MR], a
// panel of B holds NR columns as [k][NR], so that both are read in order.
//
// Every element of C is c = FMA(a[p], b[p], c) for p = 0, 1, …, k-1, starting from the C in memory (add) or from 0.
// As the sum of one block of k is the start of the next, neither the tile's shape nor the blocking changes a bit.
type Tile struct {
	Name   string
	MR, NR int

	mul func(k int, a, b, c *float32, ldc int, load int)
	row func(k int, a, b, c *float32, ldc int, load int)
}

// Mul computes C[MR, NR] = A·B, plus C if add is set. a is a panel [k][MR], b a panel [k][NR]; row i of C begins at
// c[i*ldc]. It panics when a slice is too short.
func (t *Tile) Mul(k int, a, b, c []float32, ldc int, add bool) {
	if k <= 0 {
		zero(c, t.MR, t.NR, ldc, add)
		return
	}
	_, _, _ = a[k*t.MR-1], b[k*t.NR-1], c[(t.MR-1)*ldc+t.NR-1]
	t.mul(k, &a[0], &b[0], &c[0], ldc, flag(add))
}

// MulRow computes C[1, NR] = a·B, plus C if add is set, for one row a of length k and a panel b [k][NR].
func (t *Tile) MulRow(k int, a, b, c []float32, add bool) {
	if k <= 0 {
		zero(c, 1, t.NR, t.NR, add)
		return
	}
	_, _, _ = a[k-1], b[k*t.NR-1], c[t.NR-1]
	t.row(k, &a[0], &b[0], &c[0], t.NR, flag(add))
}

// Generic returns the plain Go tile, which defines the bits.
func Generic() *Tile {
	return &Tile{Name: "generic 8x8", MR: 8, NR: 8, mul: gemm8x8, row: gemm1x8}
}

// Tiles returns the tiles this machine can run, fastest first. The last is Generic.
func Tiles() []*Tile { return append(machineTiles(), Generic()) }

func zero(c []float32, m, n, ldc int, add bool) {
	for i := 0; i < m && !add; i++ {
		clear(c[i*ldc:][:n])
	}
}

func flag(b bool) int {
	if b {
		return 1
	}
	return 0
}

// rounded says whether rounding the float64 sum s to float32 gives the correctly rounded result of fma.
func rounded(s float64) bool {
	u := math.Float64bits(s)
	return u&dropped != half && u<<1 >= tiny
}
