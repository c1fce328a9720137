package kernel

import "math"

// FMA returns a*b + c rounded once to float32, to nearest even: what VFMADD231SS and FMADDS compute.
//
// float32(math.FMA(float64(a), float64(b), float64(c))) is not that: it rounds twice. Here the product of two float32s
// is exact in float64, so only the sum can be off, and only when it lands half way between two float32s or below the
// normal range; those cases go through fmaSlow.
func FMA(a, b, c float32) float32 {
	return float32(fma(float64(a), float64(b), float64(c)))
}

const (
	dropped = 1<<29 - 1          // the bits of a float64 significand that a float32 has no room for
	half    = 1 << 28            // their value half way between two float32s
	tiny    = (1023 - 125) << 53 // a float64 shifted left by one (sign dropped): below 2^-125
)

// fma is FMA on float64s that hold float32 values; its result holds one too.
func fma(a, b, c float64) float64 {
	s := float64(a*b) + c
	if u := math.Float64bits(s); u&dropped == half || u<<1 < tiny {
		return fmaSlow(a, b, c)
	}
	return float64(float32(s))
}

// fmaSlow rounds a*b+c to odd in float64 first. Rounding that to float32 is then right for every result, as at least
// two more bits are dropped (Boldo and Melquiond, "Emulation of FMA and correctly rounded sums", 2008).
//
//go:noinline
func fmaSlow(a, b, c float64) float64 {
	p := float64(a * b) // exact
	s := p + c
	if s == 0 || s-s != 0 { // zero (then exact), infinite or not a number
		return float64(float32(s))
	}
	// Knuth's two-sum: s + lost == p + c exactly.
	t := s - p
	lost := (p - (s - t)) + (c - t)
	u := math.Float64bits(s)
	if lost != 0 && u&1 == 0 {
		if (lost > 0) == (s > 0) {
			u++
		} else {
			u--
		}
	}
	return float64(float32(math.Float64frombits(u)))
}
