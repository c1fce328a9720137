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

// tiles are those of this machine and, in plain Go, those of one with AVX-512.
func tiles() []*kernel.Tile {
	return append(kernel.Tiles(), kernel.Model(12, 32, kernel.Model(12, 16, kernel.Model(12, 8, nil))))
}

var shapes = [][3]int{
	{1, 1, 1}, {1, 16, 8}, {1, 100, 300}, {2, 3, 5}, {5, 7, 600}, {6, 16, 256}, {7, 17, 257}, {12, 32, 64},
	{13, 33, 100}, {64, 8, 300}, {100, 16, 40}, {37, 130, 65}, {130, 40, 1}, {200, 300, 17}, {1, 1, 1000}, {3, 513, 2},
	{8, 120, 90}, {120, 8, 330}, {90, 16, 30}, {150, 40, 100}, {40, 24, 2100},
}

func TestGemmEqualsDefinition(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for i, s := range shapes {
		checkForms(t, s[0], s[1], s[2], 1+i%3, false, r)
		checkForms(t, s[0], s[1], s[2], 1+(i+1)%3, true, r)
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

// A product with Aᵀ of so many rows that their panels are made some depths at a time.
func TestDeepTN(t *testing.T) {
	const m, n, k = 1800, 40, 700
	r := rand.New(rand.NewPCG(37, 38))
	a, b, c := random(r, k*m), random(r, k*n), random(r, m*n)
	want := append([]float32(nil), c...)
	GemmNN(1, m, n, k, transposed(a, k, m), b, want, true)
	for _, tile := range tiles() {
		if tile.Name == kernel.Generic().Name {
			continue // slow, and of the same shape as others
		}
		got := append([]float32(nil), c...)
		gemmTN(tile, 2, m, n, k, a, m, b, n, got, n, true)
		sameBits(t, tile.Name, got, want)
	}
}

// The units of a product cover its C once, whatever the shape and the number of threads.
func TestPlanCoversC(t *testing.T) {
	r := rand.New(rand.NewPCG(39, 40))
	for range 2000 {
		m, n, threads := 1+r.IntN(5000), 1+r.IntN(3000), 1+r.IntN(9)
		for _, b := range []side{lanesByRow{}, lanesByColumn{}, &Packed{tile: best}} {
			w := newProduct(best, m, n, 64, left{}, b, nil, n, false)
			w.plan(threads)
			rows, columns := 0, 0
			for i := range w.parts {
				from, to := w.rowsOf(i)
				if from != rows || to < from || from%w.tile.MR != 0 {
					t.Fatalf("%dx%d on %d threads: part %d of %d has rows %d to %d", m, n, threads, i, w.parts, from, to)
				}
				rows = to
			}
			for i := range w.groups {
				from, to := w.columnsOf(i)
				if from != columns || to <= from || from%w.tile.NR != 0 {
					t.Fatalf("%dx%d on %d threads: group %d of %d has columns %d to %d", m, n, threads, i, w.groups, from, to)
				}
				columns = to
			}
			if rows != m || columns != n {
				t.Fatalf("%dx%d on %d threads: %d rows, %d columns", m, n, threads, rows, columns)
			}
			if threads > 1 && m*n > 1<<17 && w.parts*w.groups < 2*threads {
				t.Fatalf("%dx%d on %d threads: only %d units", m, n, threads, w.parts*w.groups)
			}
		}
	}
}

func FuzzGemm(f *testing.F) {
	f.Add(uint64(1), uint8(7), uint8(9), uint16(5), true)
	f.Add(uint64(2), uint8(1), uint8(40), uint16(300), false)
	f.Add(uint64(5), uint8(150), uint8(8), uint16(400), true)
	f.Fuzz(func(t *testing.T, seed uint64, m, n uint8, k16 uint16, add bool) {
		checkForms(t, int(m), int(n), int(k16)%600, 1+int(seed%3), add, rand.New(rand.NewPCG(seed, 2)))
	})
}

// checkForms compares all forms of the operands of one product with the definition.
func checkForms(t *testing.T, m, n, k, threads int, add bool, r *rand.Rand) {
	t.Helper()
	a, b, c := random(r, m*k), random(r, n*k), random(r, m*n)
	at, bt := transposed(a, m, k), transposed(b, n, k)
	want := reference(m, n, k, func(i, p int) float32 { return a[i*k+p] }, func(p, j int) float32 { return b[j*k+p] }, c, add)
	for _, tile := range tiles() {
		for name, right := range map[string]side{
			"NT": lanesByRow{b, k}, "NN": lanesByColumn{bt, n}, "panels NT": panelRows{plain{b, n, k}}, "panels NN": panelColumns{plain{bt, k, n}},
			"packed": newPacked(tile, threads, n, k, lanesByRow{b, k}),
		} {
			got := append([]float32(nil), c...)
			gemm(tile, threads, m, n, k, byRow(a, k), right, got, n, add)
			sameBits(t, fmt.Sprintf("%s %s %dx%dx%d on %d threads, add=%v", tile.Name, name, m, n, k, threads, add), got, want)
		}
		got := append([]float32(nil), c...)
		gemmTN(tile, threads, m, n, k, at, m, bt, n, got, n, add)
		sameBits(t, fmt.Sprintf("%s TN %dx%dx%d on %d threads, add=%v", tile.Name, m, n, k, threads, add), got, want)
	}
}
