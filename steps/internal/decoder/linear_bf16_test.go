package decoder

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/pipe-run/pipe/steps/internal/tensor"
)

// rounded is x in bfloat16, as float32s.
func rounded(x []float32) []float32 {
	y := make([]float32, len(x))
	for i, v := range x {
		y[i] = tensor.F32FromBF16(tensor.BF16FromF32(v))
	}
	return y
}

// checkLinearBF16 compares y with what want computes of the rounded operands, to the error of their sums, and says
// whether any element is not that of the operands as they are.
func checkLinearBF16(t *testing.T, what string, got, want, plain []float32) {
	t.Helper()
	same := true
	for i := range want {
		if math.Abs(float64(got[i]-want[i])) > 1e-4 {
			t.Fatalf("%s: element %d is %v, want %v", what, i, got[i], want[i])
		}
		same = same && math.Abs(float64(got[i]-plain[i])) < 1e-4
	}
	if same {
		t.Errorf("%s: nothing is rounded", what)
	}
}

// Every form of a linear multiplies rounded operands, forward and backward.
func TestLinearsInBF16(t *testing.T) {
	const m, out, in = 9, 21, 70
	r := rand.New(rand.NewPCG(71, 72))
	random := func(n int) []float32 {
		x := make([]float32, n)
		for i := range x {
			x[i] = float32(r.NormFloat64())
		}
		return x
	}
	w, x, dy := random(out*in), random(m*in), random(m*out)
	stored := make([]byte, 2*len(w))
	if err := tensor.Encode(stored, tensor.BF16, w); err != nil {
		t.Fatal(err)
	}
	half, err := tensor.NewHalf(tensor.BF16, out, in, stored)
	if err != nil {
		t.Fatal(err)
	}
	full := matrix{out, in, w}
	exact, plain := raw{out, in, rounded(w)}, raw{out, in, w}
	for name, l := range map[string]Linear{
		"raw":    BF16.linear(plain),
		"packed": &packedBF16{tensor.PackBF16(1, tensor.BF16PanelsNT(full)), tensor.PackBF16(1, tensor.BF16PanelsNN(full))},
		"stored": panelsBF16{half},
		"panels": panelsBF16{full},
	} {
		y, want, other := make([]float32, m*out), make([]float32, m*out), make([]float32, m*out)
		l.Forward(2, m, x, y, false)
		exact.Forward(1, m, rounded(x), want, false)
		plain.Forward(1, m, x, other, false)
		checkLinearBF16(t, name+" forward", y, want, other)
		dx, want, other := make([]float32, m*in), make([]float32, m*in), make([]float32, m*in)
		l.Backward(2, m, dy, dx, false)
		exact.Backward(1, m, rounded(dy), want, false)
		plain.Backward(1, m, dy, other, false)
		checkLinearBF16(t, name+" backward", dx, want, other)
	}
	if _, ok := F32.linear(plain).(raw); !ok {
		t.Error("a linear of f32 is not left alone")
	}
}
