package kernel

import (
	"math"
	"math/rand/v2"
	"testing"
)

// The same functions in float64. The standard library's erf is good to float64's precision.
func gelu64(x float64) float64 { return x * Sigmoid64(geluZ(x)) }
func geluZ(x float64) float64  { return 2 * math.Sqrt(2/math.Pi) * (x + 0.044715*x*x*x) }
func geluSlope64(x float64) float64 {
	s, c := Sigmoid64(geluZ(x)), Sigmoid64(-geluZ(x))
	return s + x*s*c*2*math.Sqrt(2/math.Pi)*(1+3*0.044715*x*x)
}
func siluSlope64(x float64) float64 { return Sigmoid64(x) + x*Sigmoid64(x)*Sigmoid64(-x) }
func geluErf64(x float64) float64   { return x * 0.5 * math.Erfc(-x/math.Sqrt2) }
func geluErfSlope(x float64) float64 {
	return 0.5*math.Erfc(-x/math.Sqrt2) + x*Exp64(-x*x/2)/math.Sqrt(2*math.Pi)
}

// alone applies a function of slices to one number.
func alone(f func(y, x []float32)) func(float32) float32 {
	return func(x float32) float32 {
		v := []float32{x}
		f(v, v)
		return v[0]
	}
}

// gradient applies a backward function to one number, for a gradient of 1.
func gradient(f func(dx, x, dy []float32)) func(float32) float32 {
	return func(x float32) float32 {
		v := []float32{x}
		f(v, v, []float32{1})
		return v[0]
	}
}

// The activations against float64, over many numbers: at most ulps units in the last place off, or of the last place of
// numbers just below 1 where the function is below that (it may be 0 there, or tiny).
func TestActivationAccuracy(t *testing.T) {
	n := 300_000
	if testing.Short() {
		n = 30_000
	}
	r := rand.New(rand.NewPCG(47, 48))
	for _, c := range []struct {
		name   string
		lo, hi float64
		f      func(float32) float32
		want   func(float64) float64
		ulps   float64
		of1    bool
	}{
		{"Tanh", -12, 12, Tanh, Tanh64, 2.5, false},
		{"Tanh small", -0x1p-10, 0x1p-10, Tanh, Tanh64, 2.5, false},
		{"Sigmoid", -20, 20, Sigmoid, Sigmoid64, 2.5, false},
		{"SiLU", -20, 20, SiLU, SiLU64, 3, false},
		{"SiLU slope", 0, 20, alone(func(y, x []float32) { _, y[0] = siluSlope(x[0]) }), siluSlope64, 4, true},
		{"SiLU slope", -20, 0, alone(func(y, x []float32) { _, y[0] = siluSlope(x[0]) }), siluSlope64, 4, true},
		{"GELU", 0, 20, alone(GELU), gelu64, 3, false},
		{"GELU", -1, 0, alone(GELU), gelu64, 4, false},
		{"GELU", -3, -1, alone(GELU), gelu64, 1, true},
		{"GELU", -10, -3, alone(GELU), gelu64, 0.1, true},
		{"GELU slope", 0, 20, gradient(GELUBackward), geluSlope64, 4, true},
		{"GELU slope", -20, 0, gradient(GELUBackward), geluSlope64, 4, true},
		{"GELUErf", 0, 20, alone(GELUErf), geluErf64, 10, false},
		{"GELUErf", -1, 0, alone(GELUErf), geluErf64, 10, false},
		{"GELUErf", -3, -1, alone(GELUErf), geluErf64, 10, false},
		{"GELUErf", -10, -3, alone(GELUErf), geluErf64, 0.1, true},
		{"GELUErf slope", 0, 20, gradient(GELUErfBackward), geluErfSlope, 4, true},
		{"GELUErf slope", -20, 0, gradient(GELUErfBackward), geluErfSlope, 4, true},
	} {
		worst, at := 0.0, float32(0)
		for range n {
			x := float32(c.lo + r.Float64()*(c.hi-c.lo))
			want := c.want(float64(x))
			_, e := math.Frexp(want)
			if c.of1 {
				e = max(e, 0)
			}
			if d := math.Abs(float64(c.f(x))-want) / math.Ldexp(1, e-24); d > worst {
				worst, at = d, x
			}
		}
		t.Logf("%s, %g to %g: %.2f ulp", c.name, c.lo, c.hi, worst)
		if worst > c.ulps {
			t.Errorf("%s(%v) is off by %.2f ulp", c.name, at, worst)
		}
	}
}
