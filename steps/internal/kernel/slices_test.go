package kernel

import (
	"math"
	"math/rand/v2"
	"testing"
)

// sliceFuncs are the functions on slices and their definitions.
var sliceFuncs = []struct {
	name  string
	slice func(dst, x []float32)
	one   func(x float32) float32
}{
	{"Exp", func(dst, x []float32) { ExpSlice(dst, x, 0) }, Exp},
	{"Exp less 3.5", func(dst, x []float32) { ExpSlice(dst, x, 3.5) }, func(x float32) float32 { return Exp(x - 3.5) }},
	{"Sigmoid", SigmoidSlice, Sigmoid},
	{"SiLU", SiLUSlice, SiLU},
}

func checkSlices(t *testing.T, fill func() float32, n int) {
	t.Helper()
	for _, f := range sliceFuncs {
		x, xIntact := guarded(n, func(int) float32 { return fill() })
		dst, dstIntact := guarded(n, func(int) float32 { return 0 })
		f.slice(dst, x)
		for i := range x {
			if want := f.one(x[i]); !same(float64(dst[i]), float64(want)) {
				t.Fatalf("%s(%x) is %x in a slice, %x alone", f.name, x[i], dst[i], want)
			}
		}
		if !xIntact() || !dstIntact() {
			t.Fatalf("%s on %d elements: wrote outside its buffers", f.name, n)
		}
		again := append([]float32(nil), x...)
		f.slice(again, again)
		compare(t, f.name+" in place", again, dst)
	}
}

func TestSlicesEqualDefinition(t *testing.T) {
	r := rand.New(rand.NewPCG(29, 30))
	for _, n := range []int{0, 1, 7, 8, 9, 16, 100} {
		for name, fill := range fills {
			t.Run(name, func(t *testing.T) { checkSlices(t, func() float32 { return fill(r) }, n) })
		}
	}
	checkSlices(t, func() float32 { return float32(r.Float64()*240 - 120) }, 100_000)
	edges := []float32{0, float32(math.Copysign(0, -1)), float32(math.Inf(1)), float32(math.Inf(-1)), float32(math.NaN()), 88.72283, 88.72284,
		-87.33655, -103.97, -103.98, -120, -121, 89, 90, math.MaxFloat32, -math.MaxFloat32, 0x1p-149, -0x1p-149}
	i := 0
	checkSlices(t, func() float32 { i++; return edges[i%len(edges)] }, 3*len(edges))
}

func FuzzSlices(f *testing.F) {
	f.Add(uint32(0x42b17218), uint32(0xc2b17218))
	f.Fuzz(func(t *testing.T, a, b uint32) {
		i := 0
		checkSlices(t, func() float32 { i++; return math.Float32frombits([]uint32{a, b, a ^ b}[i%3]) }, 19)
	})
}

func BenchmarkSlices(b *testing.B) {
	r := rand.New(rand.NewPCG(31, 32))
	x, _ := guarded(4096, func(int) float32 { return float32(r.NormFloat64() * 5) })
	y := make([]float32, len(x))
	for _, f := range sliceFuncs {
		b.Run(f.name, func(b *testing.B) {
			b.SetBytes(int64(8 * len(x)))
			for b.Loop() {
				f.slice(y, x)
			}
		})
		b.Run(f.name+" generic", func(b *testing.B) {
			b.SetBytes(int64(8 * len(x)))
			for b.Loop() {
				for i, v := range x {
					y[i] = f.one(v)
				}
			}
		})
	}
}
