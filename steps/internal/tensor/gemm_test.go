package tensor

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/pipe-run/pipe/steps/internal/kernel"
)

// reference is the definition: C = A·B with element (i, p) of A and (p, j) of B given by functions.
func reference(m, n, k int, a, b func(i, j int) float32, c []float32, add bool) []float32 {
	out := make([]float32, m*n)
	for i := range m {
		for j := range n {
			var s float32
			if add {
				s = c[i*n+j]
			}
			for p := range k {
				s = kernel.FMA(a(i, p), b(p, j), s)
			}
			out[i*n+j] = s
		}
	}
	return out
}

func random(r *rand.Rand, n int) []float32 {
	x := make([]float32, n)
	for i := range x {
		x[i] = float32(r.NormFloat64())
	}
	return x
}

func sameBits(t *testing.T, what string, got, want []float32) {
	t.Helper()
	for i := range want {
		if math.Float32bits(got[i]) != math.Float32bits(want[i]) && !(got[i] != got[i] && want[i] != want[i]) {
			t.Fatalf("%s: element %d is %x, want %x", what, i, got[i], want[i])
		}
	}
}

var shapes = [][3]int{
	{1, 1, 1}, {1, 16, 8}, {1, 100, 300}, {2, 3, 5}, {5, 7, 600}, {6, 16, 256}, {7, 17, 257}, {12, 32, 64},
	{13, 33, 100}, {64, 8, 300}, {100, 16, 40}, {37, 130, 65}, {130, 40, 1}, {200, 300, 17}, {1, 1, 1000}, {3, 513, 2},
}

func TestGemmEqualsDefinition(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, tile := range kernel.Tiles() {
		for _, s := range shapes {
			m, n, k := s[0], s[1], s[2]
			a, b, c := random(r, m*k), random(r, k*n), random(r, m*n)
			for _, add := range []bool{false, true} {
				for _, threads := range []int{1, 3} {
					name := fmt.Sprintf("%s %v add=%v threads=%d", tile.Name, s, add, threads)
					run := func(what string, want []float32, f func(c []float32)) {
						got := append([]float32(nil), c...)
						f(got)
						sameBits(t, name+" "+what, got, want)
					}
					aRow := func(i, p int) float32 { return a[i*k+p] }
					nt := reference(m, n, k, aRow, func(p, j int) float32 { return b[j*k+p] }, c, add)
					nn := reference(m, n, k, aRow, func(p, j int) float32 { return b[p*n+j] }, c, add)
					tn := reference(m, n, k, func(i, p int) float32 { return a[p*m+i] }, func(p, j int) float32 { return b[p*n+j] }, c, add)
					rows, columns := left{rows: a, ld: k}, left{columns: a, ld: m}
					run("NT", nt, func(c []float32) { gemm(tile, threads, m, n, k, rows, lanesByRow{b, k}, c, add) })
					run("NN", nn, func(c []float32) { gemm(tile, threads, m, n, k, rows, lanesByColumn{b, n}, c, add) })
					run("TN", tn, func(c []float32) { gemm(tile, threads, m, n, k, columns, lanesByColumn{b, n}, c, add) })
					run("packed NT", nt, func(c []float32) {
						newPacked(tile, threads, n, k, lanesByRow{b, k}).Mul(threads, m, a, c, add)
					})
					run("panels NT", nt, func(c []float32) { gemm(tile, threads, m, n, k, rows, panelRows{plain{b, n, k}}, c, add) })
					run("panels NN", nn, func(c []float32) { gemm(tile, threads, m, n, k, rows, panelColumns{plain{b, k, n}}, c, add) })
					run("packed NN", nn, func(c []float32) {
						newPacked(tile, threads, n, k, lanesByColumn{b, n}).Mul(threads, m, a, c, add)
					})
				}
			}
		}
	}
}

// plain is a float32 matrix as Panels.
type plain struct {
	m             []float32
	rows, columns int
}

func (p plain) Shape() (int, int) { return p.rows, p.columns }

func (p plain) Unpack(dst []float32, row, column int) {
	if column+len(dst) > p.columns || column%8 != 0 {
		panic("piece leaves its row")
	}
	copy(dst, p.m[row*p.columns+column:])
}
