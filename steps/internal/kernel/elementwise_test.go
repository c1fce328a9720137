package kernel

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// operands are what an elementwise kernel is given in a test: float32 slices of n elements, float64 slices, bytes, and
// scalars.
type operands struct {
	n     int
	f     [5][]float32
	d     [2][]float64
	bytes []byte
	mask  []uint64
	s     [4]float32
	sums  [2]float64 // what reductions return
}

// elementwise are the kernels whose assembly must equal plain Go. bytes are those read and
// written for each element.
var elementwise = []struct {
	name  string
	bytes int
	run   func(o *operands)
}{
	{"Add", 12, func(o *operands) { Add(o.f[0], o.f[1]) }},
	{"AddScaled", 12, func(o *operands) { AddScaled(o.f[0], o.f[1], o.s[0]) }},
	{"Scale", 8, func(o *operands) { Scale(o.f[0], o.s[0]) }},
	{"Mul", 12, func(o *operands) { Mul(o.f[0], o.f[1]) }},
	{"AddMul", 16, func(o *operands) { AddMul(o.f[0], o.f[1], o.f[2]) }},
	{"AddWide", 20, func(o *operands) { AddWide(o.d[0], o.f[0]) }},
	{"AddMulWide", 24, func(o *operands) { AddMulWide(o.d[0], o.f[0], o.f[1]) }},
	{"Sum64", 4, func(o *operands) { o.sums[0] = Sum64(o.f[0]) }},
	{"Dot64", 8, func(o *operands) { o.sums[0] = Dot64(o.f[0], o.f[1]) }},
	{"SumSquares", 4, func(o *operands) { o.sums[0] = SumSquares(o.f[0]) }},
	{"SumSquaresFrom", 4, func(o *operands) { o.sums[0] = SumSquaresFrom(o.f[0], o.s[0]) }},
	{"NormRow", 12, func(o *operands) { NormRow(o.f[0], o.f[1], o.f[2], o.s[0]) }},
	{"NormRow in place", 12, func(o *operands) { NormRow(o.f[0], o.f[0], o.f[2], o.s[0]) }},
	{"NormRowDot", 12, func(o *operands) { o.sums[0] = NormRowDot(o.f[0], o.f[1], o.f[2]) }},
	{"NormRowBackward", 20, func(o *operands) { NormRowBackward(o.f[0], o.f[1], o.f[2], o.f[3], o.s[0], o.s[1]) }},
	{"NormRowWeights", 24, func(o *operands) { NormRowWeights(o.d[0], o.f[0], o.f[1], o.s[0]) }},
	{"LayerNormRow", 16, func(o *operands) { LayerNormRow(o.f[0], o.f[1], o.f[2], o.f[3], o.s[0], o.s[1]) }},
	{"LayerNormRowDots", 12, func(o *operands) {
		o.sums[0], o.sums[1] = LayerNormRowDots(o.f[0], o.f[1], o.f[2], o.s[0], o.s[1])
	}},
	{"LayerNormRowBackward", 20, func(o *operands) {
		LayerNormRowBackward(o.f[0], o.f[1], o.f[2], o.f[3], o.s[0], o.s[1], o.s[2], o.s[3])
	}},
	{"LayerNormRowWeights", 44, func(o *operands) { LayerNormRowWeights(o.d[0], o.d[1], o.f[0], o.f[1], o.s[0], o.s[1]) }},
	{"LayerNormRowWeights without bias", 24, func(o *operands) { LayerNormRowWeights(o.d[0], nil, o.f[0], o.f[1], o.s[0], o.s[1]) }},
	{"Rotate", 12, func(o *operands) {
		half := o.n / 2
		Rotate(o.f[0], o.f[1][:half], o.f[2][:half], 1)
	}},
	{"Rotate back", 12, func(o *operands) {
		half := o.n / 2
		Rotate(o.f[0], o.f[1][:half], o.f[2][:half], -1)
	}},
	{"Max", 4, func(o *operands) { o.sums[0] = float64(Max(o.f[0])) }},
	{"ExpSlice", 8, func(o *operands) { ExpSlice(o.f[0], o.f[1], o.s[0]) }},
	{"ExpSum", 8, func(o *operands) { o.sums[0] = ExpSum(o.f[0], o.f[0], o.s[0]) }},
	{"SigmoidSlice", 8, func(o *operands) { SigmoidSlice(o.f[0], o.f[1]) }},
	{"SiLUSlice", 8, func(o *operands) { SiLUSlice(o.f[0], o.f[1]) }},
	{"SoftmaxBackward", 12, func(o *operands) { SoftmaxBackward(o.f[0], o.f[1], o.s[0]) }},
	{"TanhSlice", 8, func(o *operands) { TanhSlice(o.f[0], o.f[1]) }},
	{"SoftCap", 8, func(o *operands) { SoftCap(o.f[0], 1+float32(math.Abs(float64(o.s[0])))) }},
	{"SoftCapBackward", 12, func(o *operands) { SoftCapBackward(o.f[0], o.f[1], 30) }},
	{"SwiGLU", 12, func(o *operands) { SwiGLU(o.f[0], o.f[1], o.f[2]) }},
	{"SwiGLU in place", 12, func(o *operands) { SwiGLU(o.f[1], o.f[1], o.f[2]) }},
	{"SwiGLUBackward", 20, func(o *operands) { SwiGLUBackward(o.f[0], o.f[1], o.f[2], o.f[3], o.f[4]) }},
	{"SwiGLUBackward in place", 20, func(o *operands) { SwiGLUBackward(o.f[2], o.f[3], o.f[2], o.f[3], o.f[4]) }},
	{"GeGLU", 12, func(o *operands) { GeGLU(o.f[0], o.f[1], o.f[2]) }},
	{"GeGLUBackward", 20, func(o *operands) { GeGLUBackward(o.f[0], o.f[1], o.f[2], o.f[3], o.f[4]) }},
	{"GELU", 8, func(o *operands) { GELU(o.f[0], o.f[1]) }},
	{"GELUBackward", 12, func(o *operands) { GELUBackward(o.f[0], o.f[1], o.f[2]) }},
	{"GELUErf", 8, func(o *operands) { GELUErf(o.f[0], o.f[1]) }},
	{"GELUErfBackward", 12, func(o *operands) { GELUErfBackward(o.f[0], o.f[1], o.f[2]) }},
	{"AdamW", 28, func(o *operands) { AdamW(o.f[0], o.f[1], o.f[2], o.f[4], adamWStep) }},
	{"Dropout", 8, func(o *operands) { Dropout(o.f[0], o.f[1], o.mask, o.s[0]) }},
	{"DropoutAdd", 12, func(o *operands) { DropoutAdd(o.f[0], o.f[1], o.mask, o.s[0]) }},
	{"WidenBF16", 6, func(o *operands) { WidenBF16(o.f[0], o.bytes) }},
	{"WidenF16", 6, func(o *operands) { WidenF16(o.f[0], o.bytes) }},
}

var adamWStep = AdamWStep{Keep: 1 - 1e-5, Rate: 0.0123, Root: 0.0447, Beta1: 0.9, Beta2: 0.999, Epsilon: 1e-8}

// newOperands fills operands with n elements each, guarded, the f starting at different alignments.
func newOperands(n int, fill func() float32) (o *operands, intact func() bool) {
	o = &operands{n: n, bytes: make([]byte, 2*n), mask: make([]uint64, (n+63)/64)}
	var checks []func() bool
	for i := range o.f {
		x, ok := guarded(n+i, func(int) float32 { return fill() })
		o.f[i] = x[i:]
		checks = append(checks, ok)
	}
	for i, v := range o.f[4] {
		o.f[4][i] = float32(math.Abs(float64(v))) // AdamW takes its root
	}
	for i := range o.d {
		o.d[i] = make([]float64, n)
		for j := range o.d[i] {
			o.d[i][j] = float64(fill())
		}
	}
	for i := range n {
		binary.LittleEndian.PutUint16(o.bytes[2*i:], uint16(math.Float32bits(fill())>>(i%17)))
	}
	key := Rand(1, "operands", uint64(n))
	for i := range o.mask {
		o.mask[i] = key.Uint64()
	}
	for i := range o.s {
		o.s[i] = fill()
	}
	return o, func() bool {
		for _, ok := range checks {
			if !ok() {
				return false
			}
		}
		return true
	}
}

func (o *operands) clone() *operands {
	c := *o
	for i := range c.f {
		c.f[i] = append([]float32(nil), c.f[i]...)
	}
	for i := range c.d {
		c.d[i] = append([]float64(nil), c.d[i]...)
	}
	return &c
}

// values lists everything a kernel may have written.
func (o *operands) values() []float64 {
	var all []float64
	for _, f := range o.f {
		for _, v := range f {
			all = append(all, float64(v))
		}
	}
	for _, d := range o.d {
		all = append(all, d...)
	}
	return append(all, o.sums[:]...)
}

// checkElementwise runs every kernel with the machine's instructions and without.
func checkElementwise(t *testing.T, n int, fill func() float32) {
	t.Helper()
	for _, k := range elementwise {
		fast, intact := newOperands(n, fill)
		plain := fast.clone()
		k.run(fast)
		plainly(func() { k.run(plain) })
		got, want := fast.values(), plain.values()
		for i := range want {
			if !same(got[i], want[i]) {
				t.Fatalf("%s on %d elements: value %d is %x, in plain Go %x", k.name, n, i, got[i], want[i])
			}
		}
		if !intact() {
			t.Fatalf("%s on %d elements wrote outside its buffers", k.name, n)
		}
	}
}

// special are the numbers that make trouble.
func special() []float32 {
	s := []float32{0, float32(math.Copysign(0, -1)), float32(math.Inf(1)), float32(math.Inf(-1)), float32(math.NaN()),
		math.SmallestNonzeroFloat32, -math.SmallestNonzeroFloat32, math.MaxFloat32, -math.MaxFloat32, 0x1p-126, -0x1p-127, 1, -1}
	for _, v := range []float32{88.7228, 87.33655, 103.97, 120, 121, 10, 13, 13.2, 15, 9.01, 0x1p-12, 0x1p-40, 1e9, 1e30} {
		s = append(s, v, -v, math.Nextafter32(v, 1000), math.Nextafter32(-v, 0))
	}
	return s
}

func TestElementwiseEqualsPlainGo(t *testing.T) {
	for _, level := range levels() {
		t.Run(level.name, func(t *testing.T) {
			level.with(t, func() {
				r := rand.New(rand.NewPCG(41, 42))
				for n := range 131 {
					for _, name := range []string{"normal", "mixed", "bits"} {
						checkElementwise(t, n, func() float32 { return fills[name](r) })
					}
				}
				for _, fill := range fills {
					checkElementwise(t, 1000, func() float32 { return 8 * fill(r) })
				}
				s := special()
				for range 20 {
					checkElementwise(t, 203, func() float32 { return s[r.IntN(len(s))] })
				}
			})
		})
	}
}

// Every 16-bit number.
func TestWidenAll(t *testing.T) {
	src := make([]byte, 2<<16)
	for i := range 1 << 16 {
		binary.LittleEndian.PutUint16(src[2*i:], uint16(i))
	}
	bf, f := make([]float32, 1<<16), make([]float32, 1<<16)
	WidenBF16(bf, src)
	WidenF16(f, src)
	for i := range 1 << 16 {
		if got := math.Float32bits(bf[i]); got != uint32(i)<<16 {
			t.Fatalf("bfloat16 %#04x becomes %#08x", i, got)
		}
		exponent, fraction := i>>10&31, float64(i&1023)
		want := math.Ldexp(1+fraction/1024, exponent-15)
		switch {
		case exponent == 31 && fraction != 0:
			if got := math.Float32bits(f[i]); got != uint32(i)&0x8000<<16|0x7f800000|uint32(i)&1023<<13 {
				t.Fatalf("binary16 %#04x becomes %#08x", i, got)
			}
			continue
		case exponent == 31:
			want = math.Inf(1)
		case exponent == 0:
			want = math.Ldexp(fraction/1024, -14)
		}
		if i>>15 == 1 {
			want = -want
		}
		if !same(float64(f[i]), want) {
			t.Fatalf("binary16 %#04x becomes %x, want %x", i, f[i], want)
		}
	}
}

// The bits of every kernel, on any machine, in eight hexadecimal digits each.
func TestElementwiseBits(t *testing.T) {
	var got strings.Builder
	for _, k := range elementwise {
		h := sha256.New()
		for _, n := range []int{1, 8, 61, 1000} {
			r := rand.New(rand.NewPCG(43, uint64(n)))
			o, _ := newOperands(n, func() float32 { return float32(math.Floor(r.Float64()*0x1p24)*0x1p-20) - 8 })
			k.run(o)
			for _, v := range o.values() {
				if v != v {
					v = math.NaN() // which NaN comes out is not defined
				}
				_ = binary.Write(h, binary.LittleEndian, v)
			}
		}
		fmt.Fprintf(&got, "%x %s\n", h.Sum(nil)[:4], k.name)
	}
	if got.String() != elementwiseBits {
		t.Errorf("got\n%swant\n%s", got.String(), elementwiseBits)
	}
}

func FuzzElementwise(f *testing.F) {
	f.Add(uint8(19), uint32(0x42b17218), uint32(0xc2b17218))
	f.Add(uint8(8), uint32(0x7fc00000), uint32(0x80000001))
	f.Fuzz(func(t *testing.T, n uint8, a, b uint32) {
		r := rand.New(rand.NewPCG(uint64(a), uint64(b)))
		checkElementwise(t, int(n), func() float32 {
			return math.Float32frombits([]uint32{a, b, a ^ b, a + b, r.Uint32()}[r.IntN(5)])
		})
	})
}

// 2048 elements: what one kernel touches is mostly in the first-level cache.
func BenchmarkElementwise(b *testing.B) { benchElementwise(b, 2048, "") }

// Slices of 16 MiB, in memory.
func BenchmarkElementwiseMemory(b *testing.B) {
	benchElementwise(b, 4<<20, "Add Dot64 NormRow SwiGLU SwiGLUBackward ExpSum AdamW WidenBF16 WidenF16 Dropout")
}

// benchElementwise measures kernels, all or those that are named, with the machine's instructions and without.
func benchElementwise(b *testing.B, n int, names string) {
	r := rand.New(rand.NewPCG(45, 46))
	o, _ := newOperands(n, func() float32 { return float32(r.NormFloat64()) })
	o.s = [4]float32{0.5, 1.25, 0.125, 1}
	for _, k := range elementwise {
		if strings.Contains(k.name, " ") || names != "" && !slices.Contains(strings.Fields(names), k.name) {
			continue
		}
		bench := func(b *testing.B) {
			c := o.clone()
			b.SetBytes(int64(k.bytes * o.n))
			for b.Loop() {
				k.run(c)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/element")
		}
		b.Run(k.name, bench)
		b.Run(k.name+" plain", func(b *testing.B) { plainly(func() { bench(b) }) })
	}
}
