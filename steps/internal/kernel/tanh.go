package kernel

import "math"

// Tanh returns the hyperbolic tangent of x with an error below 2.5 ulp. All operations are float32, unfused, as in Exp.
func Tanh(x float32) float32 {
	if x != x {
		return x
	}
	a := min(float32(math.Abs(float64(x))), 10) // beyond, the result is 1 anyway
	p, k := expm1(a + a)
	s := pow2(int32(k))
	e := (s - 1) + float32(s*p) // e^2a - 1, good for small a too
	return float32(math.Copysign(float64(e/(e+2)), float64(x)))
}

// TanhSlice sets dst[i] = Tanh(x[i]) for all of x; dst may be x. dst must not be shorter than x.
func TanhSlice(dst, x []float32) {
	dst = dst[:len(x)]
	for i := tanhFast(x, dst); i < len(x); i++ {
		dst[i] = Tanh(x[i])
	}
}

// SoftCap bounds every element of x: x = cap·tanh(x/cap), for a cap that is positive and normal, as is its inverse.
func SoftCap(x []float32, cap float32) {
	inv := 1 / cap
	for i := softCapFast(x, cap, inv); i < len(x); i++ {
		x[i] = cap * Tanh(float32(x[i]*inv))
	}
}

// SoftCapBackward turns dx, the gradient of y, what SoftCap gave, into that of what it was given: dx·(1 − (y/cap)²).
func SoftCapBackward(dx, y []float32, cap float32) {
	inv := 1 / cap
	y = y[:len(dx)]
	for i := softCapBackwardFast(dx, y, inv); i < len(dx); i++ {
		t := float32(y[i] * inv)
		dx[i] *= 1 - float32(t*t)
	}
}
