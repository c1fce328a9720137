package kernel

import "math"

// ln 2 = ln2Hi + ln2Lo, where ln2Hi has 32 significant bits: its product with an exponent is exact.
const (
	ln2Hi = 0x1.62e42fee00000p-1
	ln2Lo = 0x1.a39ef35793c76p-33
	log2e = 0x1.71547652b82fep0
)

// Exp64 returns e^x with an error below 1 ulp (2 where the result is subnormal).
func Exp64(x float64) float64 {
	switch {
	case x != x || x > math.MaxFloat64:
		return x
	case x > 710:
		return math.Inf(1)
	case x < -746:
		return 0
	}
	return expSum(x, 0)
}

// expSum returns e^(x+lo) for |x| ≤ 1100 and a lo that is tiny beside x.
func expSum(x, lo float64) float64 {
	k, r, c := reduceLn2(x, lo)
	return scale(1+expm1Taylor(r, c), k)
}

// reduceLn2 returns an integer k and r+c = x + lo - k·ln 2, where |r| ≤ 0.36 and c is below half an ulp of r.
func reduceLn2(x, lo float64) (k int, r, c float64) {
	n := math.Floor(float64(x*log2e) + 0.5)
	hi := x - float64(n*ln2Hi) // exact
	lo -= float64(n * ln2Lo)
	r = hi + lo
	return int(n), r, (hi - r) + lo
}

// expm1Taylor returns e^(r+c) - 1 for r and c of reduceLn2, by Taylor's series to r^13: the rest is below 2^-58 of the
// result.
func expm1Taylor(r, c float64) float64 {
	p := 1.0 / 6227020800
	p = float64(p*r) + 1.0/479001600
	p = float64(p*r) + 1.0/39916800
	p = float64(p*r) + 1.0/3628800
	p = float64(p*r) + 1.0/362880
	p = float64(p*r) + 1.0/40320
	p = float64(p*r) + 1.0/5040
	p = float64(p*r) + 1.0/720
	p = float64(p*r) + 1.0/120
	p = float64(p*r) + 1.0/24
	p = float64(p*r) + 1.0/6
	p = float64(p*r) + 1.0/2
	return r + (float64(float64(r*r)*p) + (c + float64(c*r)))
}

// scale returns x·2^k, rounded once, for |k| ≤ 2000 and 0.5 ≤ |x| ≤ 2, or up to 2000 if k is negative.
func scale(x float64, k int) float64 {
	switch {
	case k > 1023:
		return x * 0x1p1023 * power2(min(k-1023, 1023))
	case k < -1022:
		return x * power2(max(k+1000, -1022)) * 0x1p-1000
	}
	return x * power2(k)
}

// power2 returns 2^k for -1022 ≤ k ≤ 1023.
func power2(k int) float64 { return math.Float64frombits(uint64(k+1023) << 52) }

// Tanh64 returns the hyperbolic tangent of x with an error below 2 ulp.
func Tanh64(x float64) float64 {
	a := math.Abs(x)
	var t float64
	switch {
	case x != x:
		return x
	case a > 20:
		t = 1
	case a < 0x1p-28:
		t = a
	default:
		// e^2a - 1 = (2^k - 1) + 2^k·p
		k, r, c := reduceLn2(2*a, 0)
		s := power2(k)
		e := (s - 1) + float64(s*expm1Taylor(r, c))
		t = e / (e + 2)
	}
	return math.Copysign(t, x)
}

// Sigmoid64 returns 1/(1+e^-x) with an error below 1.5 ulp (2 where the result is subnormal).
func Sigmoid64(x float64) float64 {
	a := -math.Abs(x)
	if !(a > -40) { // 1+e^a rounds to 1
		if x < 0 {
			return Exp64(x)
		}
		return 1 + Exp64(a)
	}
	k, r, c := reduceLn2(a, 0)
	s, p := power2(k), expm1Taylor(r, c)
	h := 1 + p
	l := float64(((1 - h) + p) * s)
	h = float64(h * s) // h + l = e^a
	d, dl := twoSum(1, h)
	dl += l
	if x < 0 {
		q := h / d
		return q + (l-float64(q*dl))/d
	}
	q := 1 / d
	return q - float64(q*dl)/d
}

// SiLU64 returns x/(1+e^-x), which is 0 at -∞, with an error below 2.5 ulp.
func SiLU64(x float64) float64 {
	if x < -700 {
		// The denominator rounds to 1. e^x may be subnormal, with few bits left, so it is scaled after the product.
		x = max(x, -1000)
		k, r, c := reduceLn2(x, 0)
		return scale(x*(1+expm1Taylor(r, c)), k)
	}
	return x * Sigmoid64(x)
}

// RSqrt64 returns 1/√x, each of the two operations rounded.
func RSqrt64(x float64) float64 { return 1 / math.Sqrt(x) }
