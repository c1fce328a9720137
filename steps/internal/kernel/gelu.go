package kernel

import "math"

// The tanh form of GELU (Hendrycks and Gimpel, "Gaussian error linear units", 2016) is x·½(1 + tanh u) with
// u = √(2/π)·(x + 0.044715x³), which equals x·sigmoid(2u) and is computed so: nothing cancels. Its derivative is
// s·(1 + x·(2u)'·(1−s)). From ±geluEnd on, the sigmoid is 0 or 1.
//
// Errors: the function is right to 4 ulp from -1 on and to 2^-24 below, where it is small; the derivative to 2^-22.
const (
	geluLinear float32 = 1.5957691216057308  // 2√(2/π)
	geluCubic  float32 = 0.07135481627260025 // 2√(2/π)·0.044715
	geluSquare float32 = 0.21406444881780076 // 3 times that
	geluEnd    float32 = 13
)

// GELU sets y = x·sigmoid(2√(2/π)·(x + 0.044715x³)), the tanh form; y may be x.
func GELU(y, x []float32) {
	x = x[:len(y)]
	for i := geluFast(y, x); i < len(y); i++ {
		y[i] = gelu(x[i])
	}
}

// GELUBackward sets dx to the gradient of GELU at x for dy; dx may be either.
func GELUBackward(dx, x, dy []float32) {
	x, dy = x[:len(dx)], dy[:len(dx)]
	for i := geluBackwardFast(dx, x, dy); i < len(dx); i++ {
		_, slope := geluSlope(x[i])
		dx[i] = dy[i] * slope
	}
}

func gelu(x float32) float32 {
	b := min(max(x, -geluEnd), geluEnd)
	u := float32(b * (geluLinear + float32(geluCubic*float32(b*b))))
	return logistic(max(x, -geluEnd), u)
}

// geluSlope returns GELU and its derivative at x.
func geluSlope(x float32) (value, slope float32) {
	low := max(x, -geluEnd)
	b := min(low, geluEnd)
	square := float32(b * b)
	s, c := sigmoids(float32(b * (geluLinear + float32(geluCubic*square))))
	du := geluLinear + float32(geluSquare*square)
	return float32(low * s), float32(s * (1 + float32(float32(b*du)*c)))
}

// sigmoids returns 1/(1+e^-x) and 1/(1+e^x), with one division and neither from the other by subtraction.
func sigmoids(x float32) (s, c float32) {
	m, h, n := exp(-float32(math.Abs(float64(x))))
	e := float32(float32(m*pow2(h)) * pow2(n-h))
	s = 1 / (1 + e)
	c = float32(e * s)
	if x < 0 {
		return c, s
	}
	return s, c
}
