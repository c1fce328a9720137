package tensor

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/pipe-run/pipe/steps/internal/kernel"
)

// referenceBF16 is the definition: C = A·B with element (i, p) of A and (p, j) of B given by functions.
func referenceBF16(m, n, k int, a, b func(i, j int) float32, c []float32, add bool) []float32 {
	out := make([]float32, m*n)
	pairs := func(at func(p int) float32) []uint32 {
		x := make([]float32, k)
		for p := range x {
			x[p] = at(p)
		}
		dst := make([]uint32, pairsDeep(k))
		kernel.PairRow(dst, x, 0)
		return dst
	}
	columns := make([][]uint32, n)
	for j := range columns {
		columns[j] = pairs(func(p int) float32 { return b(p, j) })
	}
	for i := range m {
		row := pairs(func(p int) float32 { return a(i, p) })
		for j := range n {
			if add {
				out[i*n+j] = c[i*n+j]
			}
			for q := 0; q < len(row); q += kernel.BF16Depth / 2 {
				out[i*n+j] = kernel.BF16Step(out[i*n+j], row[q:], columns[j][q:])
			}
		}
	}
	return out
}

// bf16Operands are all forms of the right-hand side b [k, n], bt its transpose.
func bf16Operands(t *kernel.BF16Tile, k, n int, b, bt []float32) map[string]BF16Operand {
	stored := func(rows, columns int, x []float32) Panels {
		data := make([]byte, 2*len(x))
		if err := Encode(data, BF16, x); err != nil {
			panic(err)
		}
		h, err := NewHalf(BF16, rows, columns, data)
		if err != nil {
			panic(err)
		}
		return h
	}
	return map[string]BF16Operand{
		"NT":        BF16NT(n, k, bt),
		"NN":        BF16NN(k, n, b),
		"stored NT": BF16PanelsNT(stored(n, k, bt)),
		"stored NN": BF16PanelsNN(stored(k, n, b)),
		"panels NT": BF16PanelsNT(plain{bt, n, k}),
		"panels NN": BF16PanelsNN(plain{b, k, n}),
		"packed NT": newBF16Packed(t, 2, BF16NT(n, k, bt)),
		"packed NN": newBF16Packed(t, 1, BF16PanelsNN(stored(k, n, b))),
	}
}

// checkBF16 compares products of one shape, by all tiles and of all forms, with the definition.
func checkBF16(t *testing.T, r *rand.Rand, m, n, k int, add bool, fill func(n int) []float32) {
	t.Helper()
	a, b, c := fill(m*k), fill(k*n), fill(m*n)
	at, bt := transposed(a, m, k), transposed(b, k, n)
	want := referenceBF16(m, n, k, func(i, p int) float32 { return a[i*k+p] }, func(p, j int) float32 { return b[p*n+j] }, c, add)
	for _, tile := range append(kernel.BF16Tiles(), kernel.WholeBF16()) {
		generic := tile.Name == kernel.GenericBF16().Name || tile.Whole
		for name, o := range bf16Operands(tile, k, n, b, bt) {
			if generic && m*n*k > 1<<14 && name != "NT" { // slow, and packed by the same functions
				continue
			}
			for left, source := range map[string]bf16Source{"rows": bf16ByRow(floatRows{a, k}), "columns": bf16ByLine(floatLines{at, m})} {
				got, again := append([]float32(nil), c...), append([]float32(nil), c...)
				rights := []BF16Right{{o, got, add}}
				if !generic {
					rights = append(rights, BF16Right{o, again, add})
				}
				gemmBF16(tile, 1+r.IntN(3), m, k, source, rights...)
				for _, right := range rights {
					sameBits(t, fmt.Sprintf("%s %dx%dx%d %s %s add=%v", tile.Name, m, n, k, left, name, add), right.C, want)
				}
			}
		}
	}
}

func TestGemmBF16EqualsDefinition(t *testing.T) {
	r := rand.New(rand.NewPCG(51, 52))
	for i, s := range [][3]int{
		{1, 1, 1}, {1, 16, 8}, {1, 100, 300}, {2, 3, 5}, {5, 7, 600}, {6, 16, 256}, {7, 17, 31}, {12, 32, 64}, {13, 33, 100}, {33, 8, 40},
		{100, 16, 40}, {37, 130, 65}, {130, 40, 1}, {3, 513, 2}, {4, 0, 3}, {0, 4, 3}, {4, 4, 0}, {40, 33, 1100}, {500, 5, 40},
	} {
		checkBF16(t, r, s[0], s[1], s[2], i%2 == 0, func(n int) []float32 { return random(r, n) })
	}
}

// Zeros of both signs, subnormals, infinities and what overflows come out as in the definition, beside the zeros that
// fill up K, rows and columns.
func TestGemmBF16OfSpecialNumbers(t *testing.T) {
	r := rand.New(rand.NewPCG(53, 54))
	special := []uint32{0, 1 << 31, 1, 0x807fffff, 0x00800000, 0x7f800000, 0xff800000, 0x7f7fffff, 0x7fc00000, 0x20000000, 0xa0010000}
	for _, rare := range []int{1, 20, 400} {
		for _, s := range [][3]int{{1, 3, 5}, {13, 35, 33}, {36, 20, 70}} {
			checkBF16(t, r, s[0], s[1], s[2], s[2]%2 == 0, func(n int) []float32 {
				x := random(r, n)
				for i := range x {
					if r.IntN(rare) == 0 {
						x[i] = math.Float32frombits(special[r.IntN(len(special))])
					}
				}
				return x
			})
		}
	}
}

func TestGemmBF16Functions(t *testing.T) {
	r := rand.New(rand.NewPCG(55, 56))
	const m, n, k = 21, 37, 70
	a, b, c := random(r, m*k), random(r, k*n), random(r, m*n)
	want := referenceBF16(m, n, k, func(i, p int) float32 { return a[i*k+p] }, func(p, j int) float32 { return b[p*n+j] }, c, true)
	at, bt := transposed(a, m, k), transposed(b, k, n)
	for name, f := range map[string]func(c []float32){
		"NT":        func(c []float32) { GemmBF16NT(2, m, n, k, a, bt, c, true) },
		"NN":        func(c []float32) { GemmBF16NN(2, m, n, k, a, b, c, true) },
		"TN":        func(c []float32) { GemmBF16TN(2, m, n, k, at, b, c, true) },
		"packed NT": func(c []float32) { PackBF16NT(2, n, k, bt).Mul(2, m, a, c, true) },
		"packed NN": func(c []float32) { PackBF16NN(2, n, k, b).Mul(2, m, a, c, true) },
		"rights":    func(c []float32) { GemmBF16(2, m, k, a, BF16Right{PackBF16NT(2, n, k, bt), c, true}) },
	} {
		got := append([]float32(nil), c...)
		f(got)
		sameBits(t, name, got, want)
	}
}

// The products are those of the rounded matrices, to the error of their sums.
func TestGemmBF16IsAProduct(t *testing.T) {
	r := rand.New(rand.NewPCG(57, 58))
	const m, n, k = 8, 9, 300
	a, b, c := random(r, m*k), random(r, k*n), make([]float32, m*n)
	GemmBF16NN(1, m, n, k, a, b, c, false)
	for i := range m {
		for j := range n {
			var sum, size float64
			for p := range k {
				x := float64(F32FromBF16(BF16FromF32(a[i*k+p]))) * float64(F32FromBF16(BF16FromF32(b[p*n+j])))
				sum, size = sum+x, size+math.Abs(x)
			}
			if d := math.Abs(float64(c[i*n+j]) - sum); d > 40*size*0x1p-24 {
				t.Errorf("element (%d, %d) is %v, want %v", i, j, c[i*n+j], sum)
			}
		}
	}
}

func TestBF16PanicsOnWrongShapes(t *testing.T) {
	f := func(n int) []float32 { return make([]float32, n) }
	for name, call := range map[string]func(){
		"short a": func() { GemmBF16(1, 4, 2, f(7), BF16Right{BF16NT(3, 2, f(6)), f(12), false}) },
		"short c": func() { GemmBF16(1, 4, 2, f(8), BF16Right{BF16NT(3, 2, f(6)), f(11), false}) },
		"depth":   func() { GemmBF16(1, 4, 3, f(12), BF16Right{BF16NT(3, 2, f(6)), f(12), false}) },
		"short b": func() { BF16NN(3, 2, f(5)) },
		"mul":     func() { PackBF16NT(1, 3, 2, f(6)).Mul(1, 4, f(7), f(12), false) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: no panic", name)
				}
			}()
			call()
		}()
	}
}

func BenchmarkGemmBF16(b *testing.B) {
	r := rand.New(rand.NewPCG(59, 60))
	for _, tile := range kernel.BF16Tiles() {
		for _, s := range [][3]int{{512, 2048, 2048}, {512, 576, 576}, {512, 16, 576}, {512, 576, 16}, {1, 576, 1536}} {
			m, n, k := s[0], s[1], s[2]
			if tile.Name == kernel.GenericBF16().Name && m*n*k > 1<<24 {
				continue
			}
			x, w, c := random(r, m*k), random(r, n*k), random(r, m*n)
			packed := newBF16Packed(tile, 1, BF16NT(n, k, w))
			rows, columns := bf16ByRow(floatRows{x, k}), bf16ByLine(floatLines{x, m})
			for _, threads := range []int{1, 2} {
				for _, f := range []struct {
					name string
					run  func()
				}{
					{"packed", func() { packed.Mul(threads, m, x, c, false) }},
					{"NT", func() { gemmBF16(tile, threads, m, k, rows, BF16Right{BF16NT(n, k, w), c, false}) }},
					{"NN", func() { gemmBF16(tile, threads, m, k, rows, BF16Right{BF16NN(k, n, w), c, false}) }},
					{"TN", func() { gemmBF16(tile, threads, m, k, columns, BF16Right{BF16NN(k, n, w), c, false}) }},
				} {
					b.Run(fmt.Sprintf("%s/%dx%dx%d/%s/%d", tile.Name, m, n, k, f.name, threads), func(b *testing.B) {
						b.SetBytes(int64(4 * (m*k + n*k + m*n)))
						b.ReportAllocs()
						for b.Loop() {
							f.run()
						}
						gflops(b, m, n, k)
					})
				}
			}
		}
	}
}
