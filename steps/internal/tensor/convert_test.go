package tensor

import (
	"bytes"
	"math"
	"math/rand/v2"
	"testing"
)

// halves describes the two 16-bit formats.
var halves = []struct {
	dtype  DType
	widen  func(uint16) float32
	narrow func(float32) uint16
	bits   int // of the stored significand
	bias   int
}{
	{F16, F32FromF16, F16FromF32, 10, 15},
	{BF16, F32FromBF16, BF16FromF32, 7, 127},
}

// value is a 16-bit number by the definition of its format.
func value(h uint16, bits, bias int) float64 {
	exp, frac := int(h&0x7fff)>>bits, float64(h&(1<<bits-1))
	v := math.Ldexp(frac, 1-bias-bits)
	switch {
	case exp == 1<<(15-bits)-1 && frac != 0:
		return math.NaN()
	case exp == 1<<(15-bits)-1:
		v = math.Inf(1)
	case exp > 0:
		v = math.Ldexp(frac+float64(int(1)<<bits), exp-bias-bits)
	}
	return math.Copysign(v, -float64(h>>15)+0.5)
}

func TestHalvesWiden(t *testing.T) {
	for _, f := range halves {
		for i := range 1 << 16 {
			h := uint16(i)
			got, want := float64(f.widen(h)), value(h, f.bits, f.bias)
			if math.Float64bits(got) != math.Float64bits(want) && !(got != got && want != want) {
				t.Fatalf("%s %#04x widens to %v, want %v", f.dtype, h, got, want)
			}
			if back := f.narrow(f.widen(h)); back != h && got == got {
				t.Fatalf("%s %#04x comes back as %#04x", f.dtype, h, back)
			}
			if back := f.narrow(f.widen(h)); got != got && value(back, f.bits, f.bias) == value(back, f.bits, f.bias) {
				t.Fatalf("%s NaN %#04x comes back as the number %#04x", f.dtype, h, back)
			}
		}
	}
}

// Half way between two neighbours lies the even one; next to it, the nearer one.
func TestHalvesRoundToNearestEven(t *testing.T) {
	for _, f := range halves {
		last := uint16(1<<(15-f.bits)-1)<<f.bits - 1 // the largest finite number
		for h := range last {
			mid := float32((value(h, f.bits, f.bias) + value(h+1, f.bits, f.bias)) / 2)
			for _, c := range []struct {
				x    float32
				want uint16
			}{
				{mid, h + h&1}, {math.Nextafter32(mid, 0), h}, {math.Nextafter32(mid, math.MaxFloat32), h + 1},
				{-mid, 0x8000 | (h + h&1)},
			} {
				if got := f.narrow(c.x); got != c.want {
					t.Fatalf("%s of %x is %#04x, want %#04x", f.dtype, c.x, got, c.want)
				}
			}
		}
		for _, x := range []float32{math.MaxFloat32, float32(math.Inf(1))} {
			if got := f.widen(f.narrow(x)); !math.IsInf(float64(got), 1) {
				t.Errorf("%s of %v is %v", f.dtype, x, got)
			}
		}
	}
}

func TestEncodeDecode(t *testing.T) {
	x := random(rand.New(rand.NewPCG(21, 22)), 1000)
	for _, d := range []DType{F32, F64, BF16, F16} {
		raw := make([]byte, len(x)*d.Size())
		if err := Encode(raw, d, x); err != nil {
			t.Fatal(err)
		}
		y := make([]float32, len(x))
		if err := Decode(y, d, raw); err != nil {
			t.Fatal(err)
		}
		for i := range x {
			want := x[i]
			switch d {
			case BF16:
				want = F32FromBF16(BF16FromF32(want))
			case F16:
				want = F32FromF16(F16FromF32(want))
			}
			if y[i] != want {
				t.Fatalf("%s: element %d is %v, want %v", d, i, y[i], want)
			}
		}
		again := make([]byte, len(raw))
		if err := Encode(again, d, y); err != nil || !bytes.Equal(raw, again) {
			t.Errorf("%s: encoding again gives other bytes (%v)", d, err)
		}
		if Decode(y, d, raw[1:]) == nil || Encode(raw[1:], d, x) == nil {
			t.Errorf("%s: a wrong length is accepted", d)
		}
	}
	if Decode(x, I32, make([]byte, 4*len(x))) == nil {
		t.Error("decoding I32 as numbers is accepted")
	}
}

func TestHalfMatrix(t *testing.T) {
	const n, k, m = 33, 70, 5
	r := rand.New(rand.NewPCG(23, 24))
	for _, d := range []DType{BF16, F16} {
		w, a := random(r, n*k), random(r, m*k)
		raw := make([]byte, 2*len(w))
		if err := Encode(raw, d, w); err != nil {
			t.Fatal(err)
		}
		if err := Decode(w, d, raw); err != nil {
			t.Fatal(err)
		}
		h, err := NewHalf(d, n, k, raw)
		if err != nil {
			t.Fatal(err)
		}
		got, want := make([]float32, m*n), make([]float32, m*n)
		GemmPanelsNT(2, m, a, h, got, false)
		GemmNT(1, m, n, k, a, w, want, false)
		sameBits(t, string(d)+" NT", got, want)
		got, want = make([]float32, 2*k), make([]float32, 2*k)
		GemmPanelsNN(2, 2, a[:2*n], h, got, false)
		GemmNN(1, 2, k, n, a[:2*n], w, want, false)
		sameBits(t, string(d)+" NN", got, want)
	}
	for _, c := range []struct {
		d    DType
		r, c int
		size int
	}{{F32, 1, 1, 4}, {BF16, 2, 2, 7}, {BF16, -1, 2, 0}, {F16, 1 << 62, 4, 0}, {F16, 4, 1 << 62, 0}} {
		if _, err := NewHalf(c.d, c.r, c.c, make([]byte, c.size)); err == nil {
			t.Errorf("NewHalf(%s, %d, %d) of %d bytes is accepted", c.d, c.r, c.c, c.size)
		}
	}
}

func TestSizes(t *testing.T) {
	for d, want := range map[DType]int{F64: 8, F32: 4, BF16: 2, F16: 2, I8: 1, Bool: 1, U32: 4, "F4": 0, "": 0} {
		if got := d.Size(); got != want {
			t.Errorf("Size of %q is %d, want %d", d, got, want)
		}
	}
}

func BenchmarkDecode(b *testing.B) {
	x := random(rand.New(rand.NewPCG(25, 26)), 1<<16)
	for _, d := range []DType{F32, BF16, F16} {
		raw := make([]byte, len(x)*d.Size())
		if err := Encode(raw, d, x); err != nil {
			b.Fatal(err)
		}
		b.Run(string(d), func(b *testing.B) {
			b.SetBytes(int64(4 * len(x)))
			for b.Loop() {
				if err := Decode(x, d, raw); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
