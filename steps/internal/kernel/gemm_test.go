package kernel

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

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

// widths are the tiles to test: those of the machine and their halves, each once.
func widths() []*Tile {
	var all []*Tile
	for _, t := range Tiles() {
		for ; t != nil && !slices.ContainsFunc(all, func(o *Tile) bool { return o.Name == t.Name }); t = t.Half {
			all = append(all, t)
		}
	}
	return append(all, Model(5, 12, nil))
}

// checkTile compares one height on operands of the given strides with the definition.
func checkTile(t *testing.T, tile *Tile, rows, k, row, depth, line, ldc int, add bool, fill func() float32) {
	t.Helper()
	f := func(int) float32 { return fill() }
	a, aIntact := guarded(max(0, (rows-1)*row+(k-1)*depth+1), f)
	b, bIntact := guarded(max(0, (k-1)*line+tile.NR), f)
	c, cIntact := guarded((rows-1)*ldc+tile.NR, f)
	want := append([]float32(nil), c...)
	for i := range rows {
		for j := range tile.NR {
			var s float32
			if add {
				s = c[i*ldc+j]
			}
			for p := range k {
				s = FMA(a[i*row+p*depth], b[p*line+j], s)
			}
			want[i*ldc+j] = s
		}
	}
	tile.Mul(rows, k, a, row, depth, b, line, c, ldc, add)
	compare(t, fmt.Sprintf("%s of %d rows, k %d, strides %d %d %d %d, add %v", tile.Name, rows, k, row, depth, line, ldc, add), c, want)
	if !aIntact() || !bIntact() || !cIntact() {
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
	for _, tile := range widths() {
		for name, fill := range fills {
			t.Run(tile.Name+"/"+name, func(t *testing.T) {
				f := func() float32 { return fill(r) }
				for _, m := range tile.muls {
					for _, k := range []int{0, 1, 2, 3, 4, 5, 7, 8, 31, 129} {
						checkTile(t, tile, m.rows, k, 1, tile.MR, tile.NR, tile.NR, k%2 == 0, f)
						checkTile(t, tile, m.rows, k, 1, tile.MR+3, tile.NR+5, tile.NR+1, true, f)
						checkTile(t, tile, m.rows, k, k+3, 1, 2*tile.NR, tile.NR+4, false, f)
					}
				}
				for _, rows := range []int{tile.MR + 1, 2*tile.MR - 1, 2 * tile.MR, 3*tile.MR + 1} {
					checkTile(t, tile, rows, 9, 9, 1, tile.NR, tile.NR+4, rows%2 == 0, f)
					checkTile(t, tile, rows, 6, 1, rows+3, 2*tile.NR, tile.NR, rows%2 == 1, f)
				}
			})
		}
	}
}

// A tile whose instructions the machine lacks cannot be tested here.
func TestTilesOfThisMachine(t *testing.T) {
	names := map[string]bool{}
	for _, tile := range widths() {
		names[tile.Name] = true
		if tile.muls[0].rows != tile.MR || tile.muls[len(tile.muls)-1].rows != 1 {
			t.Errorf("%s: heights do not go from MR to 1", tile.Name)
		}
	}
	for _, name := range []string{"avx512 12x32", "avx512 12x16", "avx2 6x16", "avx2 12x8", "neon 12x8"} {
		if !names[name] {
			t.Logf("not tested: the tile %s does not run on this machine or in this build", name)
		}
	}
	if !names[Generic().Name] {
		t.Error("no generic tile")
	}
}

func TestPeakCountsItsWork(t *testing.T) {
	for _, tile := range widths() {
		if n := tile.Peak(10); n < 10*2*tile.NR/4 || n != tile.Peak(5)*2 {
			t.Errorf("%s: 10 turns are %d operations", tile.Name, n)
		}
	}
}

func TestHeightsCoverAllRows(t *testing.T) {
	for _, tile := range widths() {
		for m := 1; m < 40; m++ {
			steps := 0
			for rest := m; rest > 0; steps++ {
				h := tile.Height(rest)
				if h > rest || tile.mul(h).rows != h {
					t.Fatalf("%s: %d of %d rows", tile.Name, h, rest)
				}
				rest -= h
			}
			if least := (m + tile.MR - 1) / tile.MR; steps > least+3 {
				t.Errorf("%s: %d rows in %d steps", tile.Name, m, steps)
			}
		}
	}
}

// Cutting K into blocks, each adding to C, changes nothing.
func TestTilesInBlocks(t *testing.T) {
	r := rand.New(rand.NewPCG(15, 16))
	const k = 100
	for _, tile := range widths() {
		f := func(int) float32 { return float32(r.NormFloat64()) }
		a, _ := guarded(k*tile.MR, f)
		b, _ := guarded(k*tile.NR, f)
		whole := make([]float32, tile.MR*tile.NR)
		tile.Mul(tile.MR, k, a, 1, tile.MR, b, tile.NR, whole, tile.NR, false)
		parts := make([]float32, tile.MR*tile.NR)
		for p, n := 0, 0; p < k; p += n {
			n = min(1+r.IntN(30), k-p)
			tile.Mul(tile.MR, n, a[p*tile.MR:], 1, tile.MR, b[p*tile.NR:], tile.NR, parts, tile.NR, p > 0)
		}
		compare(t, tile.Name, parts, whole)
	}
}

func TestTilesPanicOnShortSlices(t *testing.T) {
	f := func(n int) []float32 { return make([]float32, n) }
	for _, tile := range widths() {
		m, n := tile.MR, tile.NR
		for name, call := range map[string]func(){
			"a": func() { tile.Mul(m, 3, f(3*m-1), 1, m, f(3*n), n, f(m*n), n, false) },
			"b": func() { tile.Mul(m, 3, f(3*m), 1, m, f(3*n-1), n, f(m*n), n, false) },
			"c": func() { tile.Mul(m, 3, f(3*m), 1, m, f(3*n), n, f(m*n-1), n, false) },

			"a of more rows": func() { tile.Mul(3*m, 3, f(9*m-1), 3, 1, f(3*n), n, f(3*m*n), n, false) },
			"c of more rows": func() { tile.Mul(3*m, 3, f(9*m), 3, 1, f(3*n), n, f(3*m*n-1), n, false) },
		} {
			func() {
				defer func() {
					if recover() == nil {
						t.Errorf("%s: %s too short: no panic", tile.Name, name)
					}
				}()
				call()
			}()
		}
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
		for _, tile := range widths() {
			m := tile.muls[r.IntN(len(tile.muls))]
			checkTile(t, tile, m.rows, int(k), r.IntN(50), r.IntN(50), tile.NR+r.IntN(9), tile.NR+r.IntN(9), add, fill)
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
	for _, tile := range widths() {
		f := func(int) float32 { return float32(r.NormFloat64()) }
		x, _ := guarded(k*tile.MR, f)
		y, _ := guarded(k*tile.NR, f)
		c, _ := guarded(tile.MR*tile.NR, f)
		for _, m := range tile.muls {
			for layout, strides := range map[string][2]int{"panel": {1, tile.MR}, "rows": {k, 1}} {
				b.Run(fmt.Sprintf("%s/%d/%s", tile.Name, m.rows, layout), func(b *testing.B) {
					b.SetBytes(int64(4 * (k*m.rows + len(y) + m.rows*tile.NR)))
					for b.Loop() {
						tile.Mul(m.rows, k, x, strides[0], strides[1], y, tile.NR, c, tile.NR, false)
					}
					b.ReportMetric(2*k*float64(m.rows*tile.NR)*float64(b.N)/float64(b.Elapsed().Nanoseconds()), "GFLOP/s")
				})
			}
		}
	}
}
