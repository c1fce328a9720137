package kernel

import "math"

// ln 2 = ln2Hi32 + ln2Lo32, where ln2Hi32 has 15 significant bits: its product with an exponent is exact in float32.
const (
	ln2Hi32 float32 = 0x1.62e4p-1
	ln2Lo32 float32 = 0x1.7f7d1cp-20
	log2e32 float32 = 0x1.715476p0
	round32 float32 = 0x1.8p23 // adding and subtracting it rounds to an integer, to nearest even
)

// Exp returns e^x with an error below 1 ulp (2 where the result is subnormal). It is +Inf from about 88.7229 on and 0
// below about -103.97. All operations are float32, unfused, so that eight of them fit a vector register.
func Exp(x float32) float32 {
	e, h, n := exp(x)
	return float32(e*pow2(h)) * pow2(n-h)
}

// exp returns e, h and n with e^x = e·2^n, where 2^h and 2^(n-h) are normal numbers: only the product with the second
// can round. It is the definition of the assembly's exp.
func exp(x float32) (e float32, h, n int32) {
	if x != x {
		return x, 0, 0
	}
	x = min(max(x, -120), 89) // beyond, the result is 0 (times 120 even) or +Inf anyway
	p, k := expm1(x)
	n = int32(k)
	return 1 + p, n >> 1, n
}

// expm1 returns p and an integer k with e^x = (1+p)·2^k, for a finite x that Exp does not bound; |p| ≤ 0.42.
func expm1(x float32) (p, k float32) {
	k = (float32(x*log2e32) + round32) - round32
	hi := x - float32(k*ln2Hi32) // exact
	lo := float32(k * ln2Lo32)
	r := hi - lo
	p = float32(1.0 / 5040)
	p = float32(p*r) + 1.0/720
	p = float32(p*r) + 1.0/120
	p = float32(p*r) + 1.0/24
	p = float32(p*r) + 1.0/6
	p = float32(p*r) + 0.5
	// What hi - lo lost when it was rounded comes back with the small terms.
	return r + (float32(float32(r*r)*p) + ((hi - r) - lo)), k
}

// pow2 returns 2^n for -126 ≤ n ≤ 127.
func pow2(n int32) float32 { return math.Float32frombits(uint32(n+127) << 23) }

// Sigmoid returns 1/(1+e^-x) with an error below 2.5 ulp.
func Sigmoid(x float32) float32 { return logistic(1, x) }

// SiLU returns x/(1+e^-x), which is 0 at -∞, with an error below 3 ulp.
func SiLU(x float32) float32 { return logistic(max(x, -120), x) }

// logistic returns a/(1+e^-x). It works with e = e^-|x|, which does not overflow, and multiplies by the part of e that
// could make it subnormal last.
func logistic(a, x float32) float32 {
	m, h, n := exp(-float32(math.Abs(float64(x))))
	m = float32(m * pow2(h))
	last := pow2(n - h)
	d := 1 + float32(m*last)
	if x < 0 {
		return float32(float32(a*m)/d) * last
	}
	return a / d
}

// The functions below are those of float64, rounded: their error is barely over half an ulp.

// Log returns the natural logarithm of x.
func Log(x float32) float32 { return float32(Log64(float64(x))) }

// Sin returns the sine of x radians.
func Sin(x float32) float32 { return float32(Sin64(float64(x))) }

// Cos returns the cosine of x radians.
func Cos(x float32) float32 { return float32(Cos64(float64(x))) }

// Pow returns x^y.
func Pow(x, y float32) float32 { return float32(Pow64(float64(x), float64(y))) }

// RSqrt returns 1/√x, computed in float64 and rounded.
func RSqrt(x float32) float32 { return float32(RSqrt64(float64(x))) }
