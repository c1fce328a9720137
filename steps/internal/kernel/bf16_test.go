package kernel

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// bf16Fills are kinds of content, of float32s whose lower half is zero: those of fills, rounded, and more.
func bf16Fills() map[string]func(r *rand.Rand) float32 {
	kinds := map[string]func(r *rand.Rand) float32{
		// Sums around the bound of the normal range, subnormal ones and half ones among them.
		"bound": func(r *rand.Rand) float32 { return float32(math.Ldexp(r.NormFloat64(), -63+r.IntN(8)-r.IntN(8))) },
		// Products far below the sums that they are added to.
		"far": func(r *rand.Rand) float32 {
			return float32(math.Copysign(math.Ldexp(1+float64(r.IntN(128))/128, -126+r.IntN(4)+r.IntN(2)*r.IntN(80)), r.NormFloat64()))
		},
		"subnormal": func(r *rand.Rand) float32 {
			return math.Float32frombits(r.Uint32()&0x80ff0000 + uint32(r.IntN(2))*0x3f800000)
		},
		"huge": func(r *rand.Rand) float32 { return float32(math.Ldexp(r.NormFloat64(), 58+r.IntN(8))) },
		"special": func(r *rand.Rand) float32 {
			special := []float32{0, float32(math.Copysign(0, -1)), float32(math.Inf(1)), float32(math.Inf(-1)), float32(math.NaN()), 1, -1}
			if r.IntN(8) > 0 {
				return float32(r.NormFloat64())
			}
			return special[r.IntN(len(special))]
		},
		"minus zero": func(r *rand.Rand) float32 {
			return []float32{0x1p-70, -0x1p-70, 0, float32(math.Copysign(0, -1))}[r.IntN(4)]
		},
	}
	for name, f := range fills {
		kinds[name] = f
	}
	for name, f := range kinds {
		kinds[name] = func(r *rand.Rand) float32 { return math.Float32frombits(uint32(RoundBF16(f(r))) << 16) }
	}
	return kinds
}

// A bf16Case is one call of a tile: rows of A [panels*MR, k] and columns of B [NR, k].
type bf16Case struct {
	tile      *BF16Tile
	panels, k int
	ldc       int
	add       bool
}

// packed lays out lanes [lanes][k] as pairs, panel by panel of width lanes, filled up to whole steps.
func packedPairs(lanes [][]float32, width int) []uint32 {
	steps := (len(lanes[0]) + BF16Depth - 1) / BF16Depth
	out := make([]uint32, steps*stepPairs*len(lanes))
	for l, x := range lanes {
		row := make([]uint32, steps*stepPairs)
		PairRow(row, x, len(x))
		for p, v := range row {
			out[l/width*width*len(row)+p*width+l%width] = v
		}
	}
	return out
}

// panelsOf is A in the form that the tile wants.
func (c bf16Case) panelsOf(rows [][]float32) []uint32 {
	mr, steps := c.tile.MR, (c.k+BF16Depth-1)/BF16Depth
	out := make([]uint32, c.panels*steps*c.tile.StepSize())
	if !c.tile.Whole {
		SplitPairs(out, packedPairs(rows, mr), mr)
		return out
	}
	for i, x := range rows {
		row := make([]uint32, steps*stepPairs)
		PairRow(row, x, len(x))
		for s := range steps {
			copy(out[(i/mr*steps+s)*mr*stepPairs+i%mr*stepPairs:], row[s*stepPairs:][:stepPairs])
		}
	}
	return out
}

// check compares a call with the definition.
func (c bf16Case) check(t *testing.T, fill, fillC func() float32) {
	t.Helper()
	lanes := func(n int) [][]float32 {
		out := make([][]float32, n)
		for i := range out {
			out[i] = make([]float32, c.k)
			for p := range out[i] {
				out[i][p] = fill()
			}
		}
		return out
	}
	m, nr := c.panels*c.tile.MR, c.tile.NR
	rows, columns := lanes(m), lanes(nr)
	got, intact := guarded((m-1)*c.ldc+nr, func(int) float32 { return fillC() })
	want := append([]float32(nil), got...)
	for i := range m {
		for j := range nr {
			e := &want[i*c.ldc+j]
			if !c.add {
				*e = 0
			}
			a, b := packedPairs(rows[i:i+1], 1), packedPairs(columns[j:j+1], 1)
			for ; len(a) > 0; a, b = a[stepPairs:], b[stepPairs:] {
				*e = BF16Step(*e, a, b)
			}
		}
	}
	c.tile.Mul(c.panels, c.k, c.panelsOf(rows), packedPairs(columns, nr), got, c.ldc, c.add)
	compare(t, c.tile.Name, got, want)
	if !intact() {
		t.Fatalf("%s: wrote outside its buffer", c.tile.Name)
	}
}

// everyBF16Tile is all tiles, those for few rows too.
func everyBF16Tile() (tiles []*BF16Tile) {
	for _, t := range BF16Tiles() {
		tiles = append(tiles, t)
		if t.Row != nil && !slices.ContainsFunc(tiles, func(o *BF16Tile) bool { return o.Name == t.Row.Name }) {
			tiles = append(tiles, t.Row)
		}
	}
	return tiles
}

func TestBF16TilesEqualDefinition(t *testing.T) {
	r := rand.New(rand.NewPCG(41, 42))
	for _, tile := range everyBF16Tile() {
		for name, fill := range bf16Fills() {
			t.Run(tile.Name+"/"+name, func(t *testing.T) {
				for _, k := range []int{1, 8, 15, 31, 32, 49, 72} {
					for _, c := range []bf16Case{
						{tile, 1, k, tile.NR, k%2 == 0}, {tile, 2, k, tile.NR + 5, k%2 == 1},
					} {
						c.check(t, func() float32 { return fill(r) }, func() float32 { return math.Float32frombits(math.Float32bits(fill(r)) ^ r.Uint32()&0xffff) })
					}
				}
			})
		}
	}
}

func TestBF16TilesOfThisMachine(t *testing.T) {
	have := everyBF16Tile()
	for _, name := range []string{"amx 32x32", "avx512 12x32", "avx512 1x32", "avx2 6x16", "avx2 1x16"} {
		if !slices.ContainsFunc(have, func(t *BF16Tile) bool { return t.Name == name }) {
			t.Logf("not tested: the bf16 tile %s does not run on this machine or in this build", name)
		}
	}
	if have[len(have)-1].Name != GenericBF16().Name {
		t.Error("no generic tile")
	}
}

// The definition agrees with hand-made cases of its rules.
func TestBF16Step(t *testing.T) {
	zero, inf := float32(0), float32(math.Inf(1))
	minus := float32(math.Copysign(0, -1))
	type product struct{ a, b float32 }
	for name, c := range map[string]struct {
		c     float32
		terms [BF16Depth]product
		want  float32
	}{
		"nothing":                       {0, [32]product{}, 0},
		"zeros make -0 a +0":            {minus, [32]product{}, 0},
		"one":                           {1, [32]product{{2, 3}}, 7},
		"subnormal c is 0":              {0x1p-127, [32]product{{1, 1}}, 1},
		"subnormal c alone is 0":        {-0x1p-127, [32]product{}, 0},
		"subnormal operand is 0":        {0, [32]product{{0x1p-127, 0x1p100}}, 0},
		"tiny products add up":          {0, [32]product{0: {0x1p-63, 0x1p-63}, 2: {0x1p-70, 0x1p-70}}, 0x1.0004p-126},
		"a tiny product is flushed":     {0, [32]product{0: {0x1p-64, 0x1p-63}, 2: {0x1p-64, 0x1p-63}}, 0},
		"a product is not, with a sum":  {0, [32]product{0: {0x1p-63, 0x1p-63}, 2: {0x1p-64, 0x1p-63}}, 0x1.8p-126},
		"rounded up to normal":          {0, [32]product{0: {0x1p-63, 0x1p-63}, 2: {-0x1p-76, 0x1p-75}}, 0x1p-126},
		"just below normal":             {0, [32]product{0: {0x1p-63, 0x1p-63}, 2: {-0x1p-75, 0x1p-75}}, 0},
		"even before odd":               {0, [32]product{0: {0x1p24, 1}, 1: {1, 1}, 2: {1, 1}, 4: {-0x1p24, 1}}, 1},
		"halves are added before c":     {-0x1p24, [32]product{0: {0x1p24, 1}, 1: {1, 1}}, 0},
		"infinity":                      {1, [32]product{{inf, 1}}, inf},
		"overflow":                      {0, [32]product{0: {0x1p127, 1}, 2: {0x1p127, 1}, 4: {-0x1p127, 1}}, inf},
		"infinity times zero":           {0, [32]product{{inf, zero}}, float32(math.NaN())},
		"infinity times subnormal zero": {0, [32]product{{inf, 0x1p-127}}, float32(math.NaN())},
	} {
		var a, b [stepPairs]uint32
		for i := range stepPairs {
			a[i], b[i] = pairOf(c.terms[2*i].a, c.terms[2*i+1].a), pairOf(c.terms[2*i].b, c.terms[2*i+1].b)
		}
		got := BF16Step(c.c, a[:], b[:])
		if math.Float32bits(got) != math.Float32bits(c.want) && !(got != got && c.want != c.want) {
			t.Errorf("%s: %x, want %x", name, got, c.want)
		}
	}
}

// Cutting K at multiples of the step, each block adding to C, changes nothing; nor do steps of zeros within a panel.
func TestBF16TilesInBlocks(t *testing.T) {
	r := rand.New(rand.NewPCG(43, 44))
	const k = 10 * BF16Depth
	for _, tile := range everyBF16Tile() {
		c := bf16Case{tile, 1, k, tile.NR, false}
		rows, columns := make([][]float32, tile.MR), make([][]float32, tile.NR)
		for _, lanes := range [][][]float32{rows, columns} {
			for i := range lanes {
				lanes[i] = make([]float32, k)
				for p := range lanes[i] {
					lanes[i][p] = float32(r.NormFloat64())
				}
			}
		}
		a, b := c.panelsOf(rows), packedPairs(columns, tile.NR)
		whole, parts := make([]float32, tile.MR*tile.NR), make([]float32, tile.MR*tile.NR)
		tile.Mul(1, k, a, b, whole, tile.NR, false)
		for p, n := 0, 0; p < k; p += n {
			n = min(BF16Depth*(1+r.IntN(4)), k-p)
			tile.Mul(1, n, a[p/BF16Depth*tile.StepSize():], b[p/2*tile.NR:], parts, tile.NR, p > 0)
		}
		compare(t, tile.Name, parts, whole)
	}
}

func FuzzBF16Tile(f *testing.F) {
	f.Add(uint64(1), uint8(5), uint32(0xffffffff), uint32(0))
	f.Add(uint64(2), uint8(70), uint32(0x807fffff), uint32(0x20000000))
	f.Fuzz(func(t *testing.T, seed uint64, k uint8, mask, set uint32) {
		r := rand.New(rand.NewPCG(seed, 5))
		fill := func() float32 { return math.Float32frombits((r.Uint32()&mask | set) &^ 0xffff) }
		for _, tile := range everyBF16Tile() {
			c := bf16Case{tile, 1 + int(seed%2), 1 + int(k), tile.NR + int(seed%3), seed%2 == 0}
			c.check(t, fill, func() float32 { return math.Float32frombits(r.Uint32()) })
		}
	})
}

func TestPairs(t *testing.T) {
	r := rand.New(rand.NewPCG(45, 46))
	for _, fill := range fills {
		for n := range 70 {
			lo, _ := guarded(n, func(int) float32 { return fill(r) })
			hi, _ := guarded(n, func(int) float32 { return fill(r) })
			dst := make([]uint32, n+3)
			check := func(what string, i int, even, odd float32) {
				t.Helper()
				if want := uint32(RoundBF16(even)) | uint32(RoundBF16(odd))<<16; dst[i] != want {
					t.Fatalf("%s of %d: pair %d is %#x, want %#x", what, n, i, dst[i], want)
				}
			}
			PairLines(dst, lo, hi)
			for i := range dst {
				check("lines", i, append(lo, 0, 0, 0)[i], append(hi, 0, 0, 0)[i])
			}
			PairLines(dst, lo, nil)
			for i := range n {
				check("one line", i, lo[i], 0)
			}
			stored := make([]byte, 4*n)
			for i := range n {
				stored[2*i], stored[2*i+1] = byte(RoundBF16(lo[i])), byte(RoundBF16(lo[i])>>8)
				stored[2*n+2*i], stored[2*n+2*i+1] = byte(RoundBF16(hi[i])), byte(RoundBF16(hi[i])>>8)
			}
			PairStored(dst, stored[:2*n], stored[2*n:])
			for i := range n {
				check("stored lines", i, lo[i], hi[i])
			}
			PairStored(dst, stored[:2*n], nil)
			for i := range n {
				check("one stored line", i, lo[i], 0)
			}
			PairRow(dst, lo, 1<<20)
			for i := range dst {
				x := append(append([]float32(nil), lo...), make([]float32, 2*len(dst))...)
				check("row", i, x[2*i], x[2*i+1])
			}
		}
	}
	for _, mr := range []int{1, 6, 8, 12} {
		src := make([]uint32, 3*stepPairs*mr)
		for i := range src {
			src[i] = r.Uint32()
		}
		dst := make([]uint32, 2*len(src))
		SplitPairs(dst, src, mr)
		for i, v := range src {
			n := stepPairs * mr
			even, odd := dst[i/n*2*n+i%n], dst[i/n*2*n+n+i%n]
			if even != v<<16 || odd != v&0xffff0000 {
				t.Fatalf("split of %d rows: pair %d is %#x and %#x, want %#x", mr, i, even, odd, v)
			}
		}
	}
}

func BenchmarkBF16Tile(b *testing.B) {
	r := rand.New(rand.NewPCG(47, 48))
	const k = 512
	for _, tile := range everyBF16Tile() {
		c := bf16Case{tile, 4, k, tile.NR, true}
		x := make([]uint32, c.panels*k/BF16Depth*tile.StepSize())
		y := make([]uint32, k/2*tile.NR)
		for _, s := range [][]uint32{x, y} {
			for i := range s {
				s[i] = pairOf(float32(r.NormFloat64()), float32(r.NormFloat64())) & 0xffff0000
			}
		}
		z := make([]float32, c.panels*tile.MR*tile.NR)
		b.Run(tile.Name, func(b *testing.B) {
			b.SetBytes(int64(4 * (len(x) + len(y) + len(z))))
			for b.Loop() {
				tile.Mul(c.panels, k, x, y, z, tile.NR, false)
			}
			b.ReportMetric(2*k*float64(len(z))*float64(b.N)/float64(b.Elapsed().Nanoseconds()), "GFLOP/s")
		})
	}
}
