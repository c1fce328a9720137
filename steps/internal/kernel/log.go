package kernel

import "math"

// Log64 returns the natural logarithm of x with an error below 1 ulp: NaN below 0, -Inf at 0.
func Log64(x float64) float64 {
	switch {
	case x != x || x > math.MaxFloat64:
		return x
	case x < 0:
		return math.NaN()
	case x == 0:
		return math.Inf(-1)
	}
	m, k := split(x)
	f := m - 1 // exact
	s := f / (2 + f)
	z := float64(s * s)
	// log(1+f) = 2 atanh(s) = 2s + s·R with R = 2z/3 + 2z²/5 + …; and 2s = f - s·f, s·f = f²/2 - s·f²/2,
	// so that the large terms f and f²/2 carry no error of s.
	r := atanhTail(z)
	h := float64(float64(0.5*f) * f)
	if k == 0 {
		return f - (h - float64(s*(h+r)))
	}
	return float64(k*ln2Hi) - ((h - (float64(s*(h+r)) + float64(k*ln2Lo))) - f)
}

// split returns m in [√½, √2) and an integer k with x = m·2^k, for a positive finite x.
func split(x float64) (m, k float64) {
	e := 0
	if x < 0x1p-1022 {
		x *= 0x1p54
		e = -54
	}
	u := math.Float64bits(x)
	e += int(u>>52) - 1023
	m = math.Float64frombits(u&(1<<52-1) | 1023<<52)
	if m > math.Sqrt2 {
		m /= 2
		e++
	}
	return m, float64(e)
}

// atanhTail returns 2z/3 + 2z²/5 + 2z³/7 + …, for 0 ≤ z ≤ 0.0295; the rest is below 2^-60.
func atanhTail(z float64) float64 {
	p := 2.0 / 23
	p = float64(p*z) + 2.0/21
	p = float64(p*z) + 2.0/19
	p = float64(p*z) + 2.0/17
	p = float64(p*z) + 2.0/15
	p = float64(p*z) + 2.0/13
	p = float64(p*z) + 2.0/11
	p = float64(p*z) + 2.0/9
	p = float64(p*z) + 2.0/7
	p = float64(p*z) + 2.0/5
	p = float64(p*z) + 2.0/3
	return float64(p * z)
}
