package kernel

import (
	"math"
	"math/big"
	"math/rand/v2"
	"testing"
)

// spread returns n numbers between lo and hi, evenly or, where both are positive, evenly in their logarithms.
func spread(r *rand.Rand, lo, hi float64, n int) []float64 {
	x := make([]float64, n)
	for i := range x {
		if lo > 0 {
			x[i] = min(max(math.Exp(math.Log(lo)+r.Float64()*(math.Log(hi)-math.Log(lo))), lo), hi)
		} else {
			x[i] = lo + r.Float64()*(hi-lo)
		}
	}
	return append(x, lo, hi)
}

func one() *big.Float { return num(1) }

func bigTanh(x *big.Float) *big.Float {
	e := bigExp(mul(num(2), x))
	return quo(sub(e, one()), add(e, one()))
}

func bigSigmoid(x *big.Float) *big.Float {
	return quo(one(), add(one(), bigExp(mul(num(-1), x))))
}

// Each function against arbitrary precision; worst is what its comment promises.
func TestAccuracy(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	n := 1000
	if testing.Short() {
		n = 300
	}
	sin := func(x *big.Float) *big.Float { f, _ := x.Float64(); s, _ := bigSinCos(f); return s }
	cos := func(x *big.Float) *big.Float { f, _ := x.Float64(); _, c := bigSinCos(f); return c }
	silu := func(x *big.Float) *big.Float { return mul(x, bigSigmoid(x)) }
	rsqrt := func(x *big.Float) *big.Float { return quo(one(), new(big.Float).Sqrt(x)) }
	for _, c := range []struct {
		name   string
		lo, hi float64
		f      func(float64) float64
		want   func(*big.Float) *big.Float
		worst  float64
	}{
		{"Exp64", -708, 709.7, Exp64, bigExp, 1},
		{"Exp64 small", -1, 1, Exp64, bigExp, 1},
		{"Exp64 subnormal", -745, -708, Exp64, bigExp, 2},
		{"Log64", 5e-324, 1.79e308, Log64, bigLog, 1},
		{"Log64 near 1", 0.5, 2, Log64, bigLog, 1},
		{"Log64 nearer 1", 1 - 1e-5, 1 + 1e-5, Log64, bigLog, 1},
		{"Sin64", -10, 10, Sin64, sin, 1},
		{"Sin64 positions", 0, 1 << 20, Sin64, sin, 1},
		{"Sin64 any", 1e-300, 1.79e308, Sin64, sin, 1},
		{"Cos64", -10, 10, Cos64, cos, 1},
		{"Cos64 positions", 0, 1 << 20, Cos64, cos, 1},
		{"Cos64 any", 1e-300, 1.79e308, Cos64, cos, 1},
		{"Tanh64", -5, 5, Tanh64, bigTanh, 2},
		{"Tanh64 any", 1e-20, 30, Tanh64, bigTanh, 2},
		{"Sigmoid64", -700, 40, Sigmoid64, bigSigmoid, 1.5},
		{"Sigmoid64 small", -5, 5, Sigmoid64, bigSigmoid, 1.5},
		{"SiLU64", -745, 700, SiLU64, silu, 2.5},
		{"SiLU64 small", -5, 5, SiLU64, silu, 2.5},
		{"RSqrt64", 1e-300, 1e300, RSqrt64, rsqrt, 1.5},
	} {
		worst := 0.0
		for _, x := range spread(r, c.lo, c.hi, n) {
			if got := c.f(x); x != 0 {
				if e := ulps64(got, c.want(num(x))); e > worst {
					if worst = e; e > c.worst {
						t.Errorf("%s(%v) = %v is off by %.3f ulp", c.name, x, got, e)
					}
				}
			}
		}
		t.Logf("%s: %.3f ulp", c.name, worst)
	}
	for _, c := range []struct {
		name   string
		lo, hi float64
		f      func(float32) float32
		want   func(*big.Float) *big.Float
		worst  float64
	}{
		{"Exp", -87.3, 88.72, Exp, bigExp, 1},
		{"Exp small", -1, 1, Exp, bigExp, 1},
		{"Exp subnormal", -103.9, -87.3, Exp, bigExp, 2},
		{"Log", 1e-45, 3.4e38, Log, bigLog, 0.501},
		{"Sin", -1e6, 1e6, Sin, sin, 0.501},
		{"Cos", -1e6, 1e6, Cos, cos, 0.501},
		{"Tanh", -10, 10, Tanh, bigTanh, 2.5},
		{"Tanh small", 1e-30, 0.1, Tanh, bigTanh, 2.5},
		{"Sigmoid", -100, 20, Sigmoid, bigSigmoid, 2.5},
		{"Sigmoid small", -5, 5, Sigmoid, bigSigmoid, 2.5},
		{"SiLU", -100, 100, SiLU, silu, 3},
		{"SiLU small", -5, 5, SiLU, silu, 3},
		{"RSqrt", 1e-40, 1e38, RSqrt, rsqrt, 0.501},
	} {
		worst := 0.0
		for _, x := range spread(r, c.lo, c.hi, n) {
			x32 := float32(x)
			if got := c.f(x32); x32 != 0 {
				if e := ulps32(got, c.want(num(float64(x32)))); e > worst {
					if worst = e; e > c.worst {
						t.Errorf("%s(%v) = %v is off by %.3f ulp", c.name, x32, got, e)
					}
				}
			}
		}
		t.Logf("%s: %.3f ulp", c.name, worst)
	}
}

func TestPowAccuracy(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	worst := 0.0
	for i := range 1500 {
		x := math.Exp(r.NormFloat64() * []float64{1, 100, 1e-6}[i%3])
		y := r.NormFloat64() * []float64{10, 3, 1e6}[i%3]
		want := bigExp(mul(num(y), bigLog(num(x))))
		limit := 1.0
		if want.MantExp(nil) < -1021 {
			limit = 2
		}
		if e := ulps64(Pow64(x, y), want); e > worst {
			if worst = e; e > limit {
				t.Errorf("Pow64(%v, %v) = %v is off by %.3f ulp", x, y, Pow64(x, y), e)
			}
		}
	}
	t.Logf("Pow64: %.3f ulp", worst)
}

// The hardest float64s to reduce: those next to a multiple of π/2 (Kahan's, Muller's), and exact halves of turns.
func TestReduceHardArguments(t *testing.T) {
	for _, x := range []float64{
		6381956970095103 * 0x1p797, 5.3193726483265414e255, math.Pi, math.Pi / 2, math.Pi / 4, math.Nextafter(math.Pi/4, 1), 3 * math.Pi / 4,
		11 * math.Pi / 2, 355, 1e22, 1 << 20, 0x1p1023, math.MaxFloat64, 103993, 1e5 * math.Pi,
	} {
		for _, x := range []float64{x, -x} {
			s, c := bigSinCos(x)
			if e := ulps64(Sin64(x), s); e > 1 {
				t.Errorf("Sin64(%v) is off by %.3f ulp", x, e)
			}
			if e := ulps64(Cos64(x), c); e > 1 {
				t.Errorf("Cos64(%v) is off by %.3f ulp", x, e)
			}
		}
	}
}

func TestTwoOverPi(t *testing.T) {
	v := quo(num(2), bigPi())
	for i, want := range twoOverPi[1:] {
		v = mul(v, num(0x1p64))
		w, _ := v.Int(nil)
		v = sub(v, new(big.Float).SetPrec(prec).SetInt(w))
		if w.Uint64() != want {
			t.Errorf("word %d is %#x, want %#x", i+1, want, w.Uint64())
		}
	}
}

// same compares values, taking all NaNs for one and telling the two zeros apart.
func same(a, b float64) bool {
	return math.Float64bits(a) == math.Float64bits(b) || a != a && b != b
}

func TestLimits(t *testing.T) {
	inf, nan, zero := math.Inf(1), math.NaN(), math.Copysign(0, -1)
	for _, c := range []struct {
		name    string
		f       func(float64) float64
		g       func(float32) float32
		x, want float64
	}{
		{"exp", Exp64, Exp, inf, inf}, {"exp", Exp64, Exp, -inf, 0}, {"exp", Exp64, Exp, nan, nan},
		{"exp", Exp64, Exp, 0, 1}, {"exp", Exp64, Exp, zero, 1}, {"exp", Exp64, Exp, 1e4, inf}, {"exp", Exp64, Exp, -1e4, 0},
		{"log", Log64, Log, inf, inf}, {"log", Log64, Log, -1, nan}, {"log", Log64, Log, nan, nan},
		{"log", Log64, Log, 0, -inf}, {"log", Log64, Log, zero, -inf}, {"log", Log64, Log, 1, 0}, {"log", Log64, Log, -inf, nan},
		{"sin", Sin64, Sin, inf, nan}, {"sin", Sin64, Sin, -inf, nan}, {"sin", Sin64, Sin, nan, nan},
		{"sin", Sin64, Sin, 0, 0}, {"sin", Sin64, Sin, zero, zero}, {"sin", Sin64, Sin, 0x1p-140, 0x1p-140},
		{"cos", Cos64, Cos, inf, nan}, {"cos", Cos64, Cos, nan, nan}, {"cos", Cos64, Cos, 0, 1}, {"cos", Cos64, Cos, 0x1p-140, 1},
		{"tanh", Tanh64, Tanh, inf, 1}, {"tanh", Tanh64, Tanh, -inf, -1}, {"tanh", Tanh64, Tanh, nan, nan},
		{"tanh", Tanh64, Tanh, 0, 0}, {"tanh", Tanh64, Tanh, zero, zero},
		{"sigmoid", Sigmoid64, Sigmoid, inf, 1}, {"sigmoid", Sigmoid64, Sigmoid, -inf, 0},
		{"sigmoid", Sigmoid64, Sigmoid, nan, nan}, {"sigmoid", Sigmoid64, Sigmoid, 0, 0.5},
		{"silu", SiLU64, SiLU, inf, inf}, {"silu", SiLU64, SiLU, -inf, zero}, {"silu", SiLU64, SiLU, nan, nan},
		{"silu", SiLU64, SiLU, 0, 0}, {"silu", SiLU64, SiLU, zero, zero}, {"silu", SiLU64, SiLU, -1e4, zero},
		{"rsqrt", RSqrt64, RSqrt, inf, 0}, {"rsqrt", RSqrt64, RSqrt, 0, inf}, {"rsqrt", RSqrt64, RSqrt, -1, nan}, {"rsqrt", RSqrt64, RSqrt, 4, 0.5},
	} {
		if got := c.f(c.x); !same(got, c.want) {
			t.Errorf("%s64(%v) = %v, want %v", c.name, c.x, got, c.want)
		}
		if got := float64(c.g(float32(c.x))); !same(got, c.want) {
			t.Errorf("%s32(%v) = %v, want %v", c.name, c.x, got, c.want)
		}
	}
}

// The standard library follows C's table of special cases; its other results are good to about 14 digits.
func TestPowLimits(t *testing.T) {
	edges := []float64{
		0, math.Copysign(0, -1), 1, -1, 2, -2, 3, -3, 0.5, -0.5, 1.5, -1.5, math.Inf(1), math.Inf(-1), math.NaN(),
		math.MaxFloat64, -math.MaxFloat64, 5e-324, -5e-324, 0x1p53 - 1, 0x1p53, 0x1p60, 10, 1e-30,
	}
	for _, x := range edges {
		for _, y := range edges {
			want := math.Pow(x, y)
			got := Pow64(x, y)
			if !same(got, want) && !(math.Abs(got-want) <= 2e-14*math.Abs(want)) {
				t.Errorf("Pow64(%v, %v) = %v, want %v", x, y, got, want)
			}
		}
	}
}

func TestPowExact(t *testing.T) {
	for x := 1.0; x < 40; x++ {
		want := 1.0
		for y := 0.0; y < 10; y++ {
			if got := Pow64(x, y); got != want {
				t.Errorf("Pow64(%v, %v) = %v, want %v", x, y, got, want)
			}
			want *= x
		}
	}
}
