package kernel

import (
	"math"
	"math/bits"
)

// Sin64 returns the sine of x radians with an error below 1 ulp for every finite x; NaN for the others.
func Sin64(x float64) float64 {
	if math.Abs(x) < 0x1p-27 {
		return x
	}
	q, r, lo := reduce(x)
	switch q {
	case 0:
		return sinTaylor(r, lo)
	case 1:
		return cosTaylor(r, lo)
	case 2:
		return -sinTaylor(r, lo)
	}
	return -cosTaylor(r, lo)
}

// Cos64 returns the cosine of x radians with an error below 1 ulp for every finite x; NaN for the others.
func Cos64(x float64) float64 {
	q, r, lo := reduce(x)
	switch q {
	case 0:
		return cosTaylor(r, lo)
	case 1:
		return -sinTaylor(r, lo)
	case 2:
		return -cosTaylor(r, lo)
	}
	return sinTaylor(r, lo)
}

// sinTaylor returns sin(r+lo) for |r| ≤ π/4 and lo below an ulp of r, by Taylor's series to r^17.
func sinTaylor(r, lo float64) float64 {
	z := float64(r * r)
	p := 1.0 / 355687428096000
	p = float64(p*z) - 1.0/1307674368000
	p = float64(p*z) + 1.0/6227020800
	p = float64(p*z) - 1.0/39916800
	p = float64(p*z) + 1.0/362880
	p = float64(p*z) - 1.0/5040
	p = float64(p*z) + 1.0/120
	p = float64(p*z) - 1.0/6
	return r + (float64(float64(r*z)*p) + float64(lo*(1-float64(0.5*z))))
}

// cosTaylor returns cos(r+lo) for |r| ≤ π/4 and lo below an ulp of r, by Taylor's series to r^18.
func cosTaylor(r, lo float64) float64 {
	z := float64(r * r)
	p := -1.0 / 6402373705728000
	p = float64(p*z) + 1.0/20922789888000
	p = float64(p*z) - 1.0/87178291200
	p = float64(p*z) + 1.0/479001600
	p = float64(p*z) - 1.0/3628800
	p = float64(p*z) + 1.0/40320
	p = float64(p*z) - 1.0/720
	p = float64(p*z) + 1.0/24
	h := float64(0.5 * z)
	w := 1 - h
	return w + (((1 - w) - h) + (float64(float64(z*z)*p) - float64(r*lo)))
}

// twoOverPi is 2/π in binary, after one word of zeros: word i+1 has the bits of weight 2^(-64i-1) to 2^(-64i-64).
var twoOverPi = [...]uint64{
	0,
	0xa2f9836e4e441529, 0xfc2757d1f534ddc0, 0xdb6295993c439041, 0xfe5163abdebbc561,
	0xb7246e3a424dd2e0, 0x06492eea09d1921c, 0xfe1deb1cb129a73e, 0xe88235f52ebb4484,
	0xe99c7026b45f7e41, 0x3991d639835339f4, 0x9c845f8bbdf9283b, 0x1ff897ffde05980f,
	0xef2f118b5a0a6d1f, 0x6d367ecf27cb09b7, 0x4f463f669e5fea2d, 0x7527bac7ebe5f17b,
	0x3d0739f78a5292ea, 0x6bfb5fb11f8d5d08, 0x56033046fc7b6bab, 0xf0cfbc209af4361d,
}

// π/2 times 2^127.
const (
	halfPiHi = 0xc90fdaa22168c234
	halfPiLo = 0xc4c6628b80dc1cd1
)

// reduce returns q in 0..3 and r+lo with x = q·π/2 + r + lo modulo 2π, |r| ≤ π/4. It multiplies by as many bits of 2/π
// as matter, in integers (Payne and Hanek, "Radian reduction for trigonometric functions", 1983), so it is as good for
// 1e300 as for 1. r and lo together have over 100 right bits less those lost next to a multiple of π/2 (at most 62).
func reduce(x float64) (q int, r, lo float64) {
	a := math.Abs(x)
	switch {
	case a <= math.Pi/4:
		return 0, x, 0
	case !(a <= math.MaxFloat64):
		return 0, math.NaN(), 0
	}
	hi, low := turn(a)
	q = int(hi >> 62)
	// The fraction of a quarter turn, as a 128-bit number below 1; from a half on, less than nothing of the next one.
	f1, f0 := hi<<2|low>>62, low<<2
	neg := f1>>63 == 1
	if neg {
		var borrow uint64
		f0, borrow = bits.Sub64(0, f0, 0)
		f1, _ = bits.Sub64(0, f1, borrow)
		q = (q + 1) & 3
	}
	r, lo = timesHalfPi(f1, f0)
	if neg {
		r, lo = -r, -lo
	}
	if x < 0 {
		q, r, lo = (4-q)&3, -r, -lo
	}
	return q, r, lo
}

// turn returns a·2/π modulo 4 for a normal a > 0.5, as a 128-bit number with two bits before the point.
func turn(a float64) (hi, low uint64) {
	u := math.Float64bits(a)
	m := u&(1<<52-1) | 1<<52
	e := int(u>>52) - 1075 // a = m·2^e
	at := uint(e + 62)     // the first bit of twoOverPi that matters: higher ones give multiples of 4
	word := func(i uint) uint64 {
		w, s := at/64+i, at%64
		return twoOverPi[w]<<s | twoOverPi[w+1]>>(64-s)
	}
	h2, _ := bits.Mul64(m, word(2))
	h1, l1 := bits.Mul64(m, word(1))
	low, carry := bits.Add64(l1, h2, 0)
	hi, _ = bits.Add64(m*word(0), h1, carry)
	return hi, low
}

// timesHalfPi returns the 128-bit fraction f times π/2 as a float64 and what it lacks.
func timesHalfPi(f1, f0 uint64) (r, lo float64) {
	if f1 == 0 && f0 == 0 {
		return 0, 0 // no float64 but 0 is that near a multiple of π/2
	}
	shift := bits.LeadingZeros64(f1)
	if f1 == 0 {
		shift = 64 + bits.LeadingZeros64(f0)
		f1, f0 = f0<<(shift-64), 0
	} else {
		f1, f0 = f1<<shift|f0>>(64-shift), f0<<shift
	}
	r1, r0 := bits.Mul64(f1, halfPiHi)
	h, _ := bits.Mul64(f1, halfPiLo)
	r0, carry := bits.Add64(r0, h, 0)
	r1 += carry
	h, _ = bits.Mul64(f0, halfPiHi)
	r0, carry = bits.Add64(r0, h, 0)
	r1 += carry
	if r1>>63 == 0 {
		r1, r0 = r1<<1|r0>>63, r0<<1
		shift++
	}
	unit := power2(-52 - shift) // of the top 53 bits
	return float64(float64(r1>>11) * unit), float64(float64((r1<<53|r0>>11)>>11) * unit * 0x1p-53)
}
