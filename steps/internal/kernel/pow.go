package kernel

import "math"

// Pow64 returns x^y with an error below 1 ulp (2 where the result is subnormal), and the special cases of C and IEEE 754.
func Pow64(x, y float64) float64 {
	switch {
	case y == 0 || x == 1:
		return 1
	case x != x || y != y:
		return math.NaN()
	case x == 0 || math.IsInf(x, 0) || math.IsInf(y, 0):
		return powLimit(x, y)
	}
	sign := 1.0
	if x < 0 {
		if y != math.Floor(y) {
			return math.NaN()
		}
		if odd(y) {
			sign = -1
		}
		x = -x
	}
	h, l := logPair(x)
	t := float64(y * h)
	switch {
	case t > 1100:
		return math.Inf(int(sign))
	case t < -1100:
		return math.Copysign(0, sign)
	case math.Abs(t) < 0x1p-60:
		return sign
	}
	p, e := twoProd(y, h)
	return sign * expSum(p, e+float64(y*l))
}

// powLimit is Pow64 where x is 0 or infinite or y is infinite.
func powLimit(x, y float64) float64 {
	a := math.Abs(x)
	if math.IsInf(y, 0) {
		switch {
		case a == 1:
			return 1
		case (a > 1) == (y > 0):
			return math.Inf(1)
		}
		return 0
	}
	r := 0.0
	if (a > 1) == (y > 0) {
		r = math.Inf(1)
	}
	if math.Signbit(x) && odd(y) {
		return -r
	}
	return r
}

// odd says whether y is an odd integer.
func odd(y float64) bool {
	a := math.Abs(y)
	return a < 0x1p53 && a == math.Floor(a) && uint64(a)&1 == 1
}

// logPair returns log(x) as the sum of two float64s, right to about 65 bits, for a positive finite x.
func logPair(x float64) (h, l float64) {
	const ln2Third = 0x1.cc01f97b57a08p-87 // ln 2 - ln2Hi - ln2Lo
	m, k := split(x)
	// s = (m-1)/(m+1)
	f := m - 1
	dh, dl := twoSum(m, 1)
	sh := f / dh
	p, e := twoProd(sh, dh)
	sl := ((f - p) - e - float64(sh*dl)) / dh
	// log m = s·(2 + z·(2/3 + z·(2/5 + z·t))), z = s², t = 2/7 + 2z/9 + …
	zh, zl := twoProd(sh, sh)
	zl += float64(2 * float64(sh*sl))
	z := zh
	t := 2.0 / 23
	t = float64(t*z) + 2.0/21
	t = float64(t*z) + 2.0/19
	t = float64(t*z) + 2.0/17
	t = float64(t*z) + 2.0/15
	t = float64(t*z) + 2.0/13
	t = float64(t*z) + 2.0/11
	t = float64(t*z) + 2.0/9
	t = float64(t*z) + 2.0/7
	uh, ul := twoSum(0x1.999999999999ap-2, float64(z*t))
	ul += -0x1.999999999999ap-56
	uh, ul = mulPair(uh, ul, zh, zl)
	uh, e = twoSum(0x1.5555555555555p-1, uh)
	ul += e + 0x1.5555555555555p-55
	uh, ul = mulPair(uh, ul, zh, zl)
	uh, e = twoSum(2, uh)
	ul += e
	uh, ul = mulPair(uh, ul, sh, sl)
	if k == 0 {
		return twoSum(uh, ul)
	}
	// k·ln 2
	p, e = twoProd(k, ln2Lo)
	e += float64(k * ln2Third)
	h, l = twoSum(float64(k*ln2Hi), p)
	l += e
	h, e = twoSum(h, uh)
	return twoSum(h, l+e+ul)
}

// twoSum returns a+b rounded and the rounding error, exactly (Knuth).
func twoSum(a, b float64) (s, e float64) {
	s = a + b
	t := s - a
	return s, (a - (s - t)) + (b - t)
}

// twoProd returns a·b rounded and the rounding error, exactly (Dekker), for factors below 2^990 and products that are
// not subnormal.
func twoProd(a, b float64) (p, e float64) {
	p = float64(a * b)
	ah, al := halves(a)
	bh, bl := halves(b)
	e = float64(ah*bh) - p
	e += float64(ah * bl)
	e += float64(al * bh)
	e += float64(al * bl)
	return p, e
}

// halves splits a into two float64s of 26 significant bits each (Veltkamp).
func halves(a float64) (h, l float64) {
	t := float64(a * (1<<27 + 1))
	h = t - (t - a)
	return h, a - h
}

// mulPair multiplies two pairs, to about 100 bits.
func mulPair(ah, al, bh, bl float64) (h, l float64) {
	p, e := twoProd(ah, bh)
	e += float64(ah*bl) + float64(al*bh)
	return twoSum(p, e)
}
