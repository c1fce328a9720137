package kernel

import "math"

// The exact GELU is x·Φ(x), Φ the distribution function of the normal distribution. For a = |x|,
// Φ(−a) = e^(−a²/2)·M(a), where M falls slowly from ½ like Mills' ratio: with t = 1/(1+a/4) it is t times a polynomial
// in t, found by interpolation at Chebyshev's points for 0 ≤ a ≤ 15 (relative error 1.4e-8). Beyond, Φ(−a) is 0.
//
// Errors: the function is right to 10 ulp from -3 on and to 2^-27 below, where it is small; the derivative to 2^-22.
const (
	phiEnd     float32 = 15
	phiDensity float32 = 0.3989422804014327 // 1/√(2π)
)

var phiTail = [...]float32{
	0x1.0750a6p-6, -0x1.ed5ec4p-5, 0x1.79d084p-5, 0x1.1f55eep-5, 0x1.01c28p-7,
	0x1.6bf7cap-4, 0x1.246858p-4, 0x1.87a000p-4, 0x1.977e2ep-4, 0x1.989160p-4,
}

// GELUErf sets y = x·Φ(x); y may be x.
func GELUErf(y, x []float32) {
	x = x[:len(y)]
	for i := geluErfFast(y, x); i < len(y); i++ {
		phi, _ := phi(x[i])
		y[i] = max(x[i], -phiEnd) * phi
	}
}

// GELUErfBackward sets dx to the gradient of GELUErf at x for dy, (Φ(x) + x·φ(x))·dy; dx may be either.
func GELUErfBackward(dx, x, dy []float32) {
	x, dy = x[:len(dx)], dy[:len(dx)]
	for i := geluErfBackwardFast(dx, x, dy); i < len(dx); i++ {
		phi, e := phi(x[i])
		b := min(max(x[i], -phiEnd), phiEnd)
		dx[i] = dy[i] * (phi + float32(b*float32(phiDensity*e)))
	}
}

// phi returns Φ(x) and e^(−x²/2).
func phi(x float32) (p, e float32) {
	a := min(float32(math.Abs(float64(x))), phiEnd)
	m, h, n := exp(-0.5 * float32(a*a))
	e = float32(float32(m*pow2(h)) * pow2(n-h))
	t := 1 / (1 + float32(0.25*a))
	q := phiTail[0]
	for _, c := range phiTail[1:] {
		q = float32(q*t) + c
	}
	q = float32(float32(q*t) * e)
	if math.Signbit(float64(x)) {
		return q, e
	}
	return 1 - q, e
}
