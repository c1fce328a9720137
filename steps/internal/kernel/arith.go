package kernel

// The functions on rows and chunks below take slices of equal length, that of the first, unless they say otherwise.
// What is written may be the same slice as what is read, never a shifted part of it. Every operation is one float32
// operation, rounded once, on each element alone, so results do not depend on how work is split.

// Add sets dst[i] += x[i]; x may be longer than dst.
func Add(dst, x []float32) {
	x = x[:len(dst)]
	for i := addFast(dst, x); i < len(dst); i++ {
		dst[i] += x[i]
	}
}

// AddScaled sets dst[i] += s·x[i]; x may be longer than dst.
func AddScaled(dst, x []float32, s float32) {
	x = x[:len(dst)]
	for i := addScaledFast(dst, x, s); i < len(dst); i++ {
		dst[i] += float32(s * x[i])
	}
}

// Scale sets dst[i] = s·dst[i].
func Scale(dst []float32, s float32) {
	for i := scaleFast(dst, s); i < len(dst); i++ {
		dst[i] *= s
	}
}

// Mul sets dst[i] = dst[i]·x[i]; x may be longer than dst.
func Mul(dst, x []float32) {
	x = x[:len(dst)]
	for i := mulFast(dst, x); i < len(dst); i++ {
		dst[i] *= x[i]
	}
}

// AddMul sets dst[i] += x[i]·y[i]; x and y may be longer than dst.
func AddMul(dst, x, y []float32) {
	x, y = x[:len(dst)], y[:len(dst)]
	for i := addMulFast(dst, x, y); i < len(dst); i++ {
		dst[i] += float32(x[i] * y[i])
	}
}

// AddWide sets dst[i] += x[i] in float64; x may be longer than dst.
func AddWide(dst []float64, x []float32) {
	x = x[:len(dst)]
	for i := addWideFast(dst, x); i < len(dst); i++ {
		dst[i] += float64(x[i])
	}
}

// AddMulWide sets dst[i] += x[i]·y[i] in float64, where the products are exact; x and y may be longer than dst.
func AddMulWide(dst []float64, x, y []float32) {
	x, y = x[:len(dst)], y[:len(dst)]
	for i := addMulWideFast(dst, x, y); i < len(dst); i++ {
		dst[i] += float64(float64(x[i]) * float64(y[i]))
	}
}
