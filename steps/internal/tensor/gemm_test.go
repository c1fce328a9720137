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
					rows := byRow(a, k)
					run("NT", nt, func(c []float32) { gemm(tile, threads, m, n, k, rows, lanesByRow{b, k}, c, n, add) })
					run("NN", nn, func(c []float32) { gemm(tile, threads, m, n, k, rows, lanesByColumn{b, n}, c, n, add) })
					run("TN", tn, func(c []float32) { gemmTN(tile, threads, m, n, k, a, m, b, n, c, n, add) })
					run("packed NT", nt, func(c []float32) {
						newPacked(tile, threads, n, k, lanesByRow{b, k}).Mul(threads, m, a, c, add)
					})
					run("panels NT", nt, func(c []float32) { gemm(tile, threads, m, n, k, rows, panelRows{plain{b, n, k}}, c, n, add) })
					run("panels NN", nn, func(c []float32) { gemm(tile, threads, m, n, k, rows, panelColumns{plain{b, k, n}}, c, n, add) })
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

// The exported products agree with each other and do not depend on threads or on how rows are blocked.
func TestGemmDoesNotDependOnThreads(t *testing.T) {
	const m, n, k = 150, 70, 12_000 // more than one block of rows
	r := rand.New(rand.NewPCG(27, 28))
	a, b := random(r, m*k), random(r, n*k)
	at, bt := transposed(a, m, k), transposed(b, n, k)
	want := make([]float32, m*n)
	GemmNT(1, m, n, k, a, b, want, false)
	for name, f := range map[string]func(c []float32){
		"NT":     func(c []float32) { GemmNT(3, m, n, k, a, b, c, false) },
		"NN":     func(c []float32) { GemmNN(2, m, n, k, a, bt, c, false) },
		"TN":     func(c []float32) { GemmTN(4, m, n, k, at, bt, c, false) },
		"packed": func(c []float32) { PackNN(2, n, k, bt).Mul(2, m, a, c, false) },
	} {
		c := make([]float32, m*n)
		f(c)
		sameBits(t, name, c, want)
	}
	one := make([]float32, n)
	for _, i := range []int{0, 97, m - 1} { // a row alone gives what it gives among others
		GemmNT(1, 1, n, k, a[i*k:(i+1)*k], b, one, false)
		sameBits(t, "one row", one, want[i*n:(i+1)*n])
	}
}

func transposed(x []float32, rows, columns int) []float32 {
	y := make([]float32, len(x))
	for i := range rows {
		for j := range columns {
			y[j*rows+i] = x[i*columns+j]
		}
	}
	return y
}

func TestGemmOfNothing(t *testing.T) {
	c := []float32{1, 2, 3, 4}
	GemmNT(2, 2, 2, 0, nil, nil, c, true)
	if c[0] != 1 {
		t.Error("adding a product with K = 0 changed C")
	}
	GemmNT(2, 2, 2, 0, nil, nil, c, false)
	sameBits(t, "K = 0", c, make([]float32, 4))
	GemmNN(2, 0, 3, 3, nil, make([]float32, 9), nil, false)
}

func TestGemmPanicsOnShortSlices(t *testing.T) {
	for name, f := range map[string]func(){
		"a": func() { GemmNT(1, 2, 2, 2, make([]float32, 3), make([]float32, 4), make([]float32, 4), false) },
		"b": func() { GemmTN(1, 2, 2, 2, make([]float32, 4), make([]float32, 3), make([]float32, 4), false) },
		"c": func() { GemmNN(1, 2, 2, 2, make([]float32, 4), make([]float32, 4), make([]float32, 3), false) },
		"p": func() { PackNT(1, 2, 2, make([]float32, 4)).Mul(1, 2, make([]float32, 4), make([]float32, 3), false) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s too short: no panic", name)
				}
			}()
			f()
		}()
	}
}

func FuzzGemm(f *testing.F) {
	f.Add(uint64(1), uint8(7), uint8(9), uint16(5), true)
	f.Add(uint64(2), uint8(1), uint8(40), uint16(300), false)
	f.Fuzz(func(t *testing.T, seed uint64, m8, n8 uint8, k16 uint16, add bool) {
		m, n, k := int(m8)%40, int(n8)%70, int(k16)%600
		r := rand.New(rand.NewPCG(seed, 2))
		a, b, c := random(r, m*k), random(r, n*k), random(r, m*n)
		want := reference(m, n, k, func(i, p int) float32 { return a[i*k+p] }, func(p, j int) float32 { return b[j*k+p] }, c, add)
		for _, tile := range kernel.Tiles() {
			got := append([]float32(nil), c...)
			gemm(tile, 1+int(seed%3), m, n, k, byRow(a, k), lanesByRow{b, k}, got, n, add)
			sameBits(t, tile.Name, got, want)
		}
	})
}
