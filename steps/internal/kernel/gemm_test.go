package kernel

import (
	"math"
	"math/rand/v2"
	"testing"
)

// define is the definition of a tile: FMA over p in order for each element.
func define(mr, nr, k int, a, b, c []float32, ldc int, add bool) {
	for i := range mr {
		for j := range nr {
			var s float32
			if add {
				s = c[i*ldc+j]
			}
			for p := range k {
				s = FMA(a[p*mr+i], b[p*nr+j], s)
			}
			c[i*ldc+j] = s
		}
	}
}

const guard = 0x7fa1b2c3 // a NaN nobody computes

// guarded returns n elements with guard words before and after, and a check that these are unharmed.
func guarded(n int, fill func(i int) float32) (x []float32, intact func() bool) {
	all := make([]float32, n+64)
	for i := range all {
		all[i] = math.Float32frombits(guard)
	}
	x = all[32 : 32+n : 32+n]
	for i := range x {
		x[i] = fill(i)
	}
	return x, func() bool {
		for i, v := range all {
			if (i < 32 || i >= 32+n) && math.Float32bits(v) != guard {
				return false
			}
		}
		return true
	}
}

// fills are kinds of content: ordinary, tiny (subnormal sums), short significands (sums half way), zeros, and any bits.
var fills = map[string]func(r *rand.Rand) float32{
	"normal": func(r *rand.Rand) float32 { return float32(r.NormFloat64()) },
	"tiny":   func(r *rand.Rand) float32 { return float32(r.NormFloat64() * 0x1p-72) },
	"mixed":  func(r *rand.Rand) float32 { return float32(math.Ldexp(r.NormFloat64(), r.IntN(60)-30)) },
	"short":  func(r *rand.Rand) float32 { return float32(r.IntN(1<<13)-1<<12) * 0x1p-7 },
	"sparse": func(r *rand.Rand) float32 { return float32(r.NormFloat64()) * float32(r.IntN(2)) },
	"bits":   func(r *rand.Rand) float32 { return math.Float32frombits(r.Uint32()) },
}

func checkTile(t *testing.T, tile *Tile, k, ldc int, add bool, fill func() float32) {
	t.Helper()
	f := func(int) float32 { return fill() }
	a, aIntact := guarded(k*tile.MR, f)
	b, bIntact := guarded(k*tile.NR, f)
	c, cIntact := guarded((tile.MR-1)*ldc+tile.NR, f)
	want := append([]float32(nil), c...)
	define(tile.MR, tile.NR, k, a, b, want, ldc, add)
	tile.Mul(k, a, b, c, ldc, add)
	compare(t, tile.Name, c, want)

	row, rowIntact := guarded(tile.NR, f)
	want = append([]float32(nil), row...)
	define(1, tile.NR, k, a[:k], b, want, tile.NR, add)
	tile.MulRow(k, a[:k], b, row, add)
	compare(t, tile.Name+" row", row, want)
	if !aIntact() || !bIntact() || !cIntact() || !rowIntact() {
		t.Fatalf("%s: wrote outside its buffers", tile.Name)
	}
}

func compare(t *testing.T, what string, got, want []float32) {
	t.Helper()
	for i := range want {
		if !same(float64(got[i]), float64(want[i])) && math.Float32bits(got[i]) != math.Float32bits(want[i]) {
			t.Fatalf("%s: element %d is %x, want %x", what, i, got[i], want[i])
		}
	}
}

func TestTilesEqualDefinition(t *testing.T) {
	r := rand.New(rand.NewPCG(13, 14))
	for _, tile := range Tiles() {
		for name, fill := range fills {
			t.Run(tile.Name+"/"+name, func(t *testing.T) {
				for _, k := range []int{0, 1, 2, 3, 4, 5, 7, 8, 31, 64, 257} {
					for _, ldc := range []int{tile.NR, tile.NR + 5} {
						checkTile(t, tile, k, ldc, false, func() float32 { return fill(r) })
						checkTile(t, tile, k, ldc, true, func() float32 { return fill(r) })
					}
				}
			})
		}
	}
}

// The AVX-512 tile cannot be tested where the processor lacks it.
func TestTilesOfThisMachine(t *testing.T) {
	names := map[string]bool{}
	for _, tile := range Tiles() {
		names[tile.Name] = true
	}
	for _, name := range []string{"avx512 12x32", "avx2 6x16"} {
		if !names[name] {
			t.Logf("not tested: the tile %s does not run on this machine or in this build", name)
		}
	}
	if !names[Generic().Name] {
		t.Error("no generic tile")
	}
}

// Cutting K into blocks, each adding to C, changes nothing.
func TestTilesInBlocks(t *testing.T) {
	r := rand.New(rand.NewPCG(15, 16))
	const k = 100
	for _, tile := range Tiles() {
		f := func(int) float32 { return float32(r.NormFloat64()) }
		a, _ := guarded(k*tile.MR, f)
		b, _ := guarded(k*tile.NR, f)
		whole := make([]float32, tile.MR*tile.NR)
		tile.Mul(k, a, b, whole, tile.NR, false)
		parts := make([]float32, tile.MR*tile.NR)
		for p, n := 0, 0; p < k; p += n {
			n = min(1+r.IntN(30), k-p)
			tile.Mul(n, a[p*tile.MR:], b[p*tile.NR:], parts, tile.NR, p > 0)
		}
		compare(t, tile.Name, parts, whole)
	}
}

func FuzzGemmTile(f *testing.F) {
	f.Add(uint64(1), uint8(5), false, uint8(0))
	f.Add(uint64(2), uint8(70), true, uint8(3))
	f.Fuzz(func(t *testing.T, seed uint64, k uint8, add bool, zeros uint8) {
		r := rand.New(rand.NewPCG(seed, 1))
		fill := func() float32 {
			if r.IntN(256) < int(zeros) {
				return 0
			}
			return math.Float32frombits(r.Uint32())
		}
		for _, tile := range Tiles() {
			checkTile(t, tile, int(k), tile.NR+int(seed%3), add, fill)
		}
	})
}

func TestPackEqualsGeneric(t *testing.T) {
	r := rand.New(rand.NewPCG(17, 18))
	for _, nr := range []int{1, 5, 6, 8, 12, 16, 32} {
		for w := 0; w <= nr; w++ {
			for _, kc := range []int{0, 1, 3, 4, 7, 8, 33} {
				f := func(int) float32 { return float32(r.NormFloat64()) }
				ld := kc + r.IntN(3)
				src, _ := guarded(max(0, (w-1)*ld+kc), f)
				dst, intact := guarded(kc*nr, f)
				want := make([]float32, kc*nr)
				packRowsGeneric(want, nr, src, ld, 0, w, 0, kc)
				PackRows(dst, nr, src, ld, w, kc)
				compare(t, "rows", dst, want)

				ld = w + r.IntN(3)
				src, _ = guarded(max(0, (kc-1)*ld+w), f)
				packLinesGeneric(want, nr, src, ld, w, kc)
				PackLines(dst, nr, src, ld, w, kc)
				compare(t, "lines", dst, want)
				if !intact() {
					t.Fatalf("pack of %d lanes of %d, depth %d, wrote outside its buffer", w, nr, kc)
				}
			}
		}
	}
}

func BenchmarkTile(b *testing.B) {
	r := rand.New(rand.NewPCG(19, 20))
	const k = 256
	for _, tile := range Tiles() {
		f := func(int) float32 { return float32(r.NormFloat64()) }
		x, _ := guarded(k*tile.MR, f)
		y, _ := guarded(k*tile.NR, f)
		c, _ := guarded(tile.MR*tile.NR, f)
		b.Run(tile.Name, func(b *testing.B) {
			b.SetBytes(int64(4 * (len(x) + len(y) + len(c))))
			for b.Loop() {
				tile.Mul(k, x, y, c, tile.NR, false)
			}
			b.ReportMetric(2*k*float64(tile.MR*tile.NR)*float64(b.N)/float64(b.Elapsed().Nanoseconds()), "GFLOP/s")
		})
		b.Run(tile.Name+" row", func(b *testing.B) {
			b.SetBytes(int64(4 * (k + len(y) + tile.NR)))
			for b.Loop() {
				tile.MulRow(k, x[:k], y, c, false)
			}
			b.ReportMetric(2*k*float64(tile.NR)*float64(b.N)/float64(b.Elapsed().Nanoseconds()), "GFLOP/s")
		})
	}
}
