package kernel

//go:generate go run ./gen/vector

// ExpSlice sets dst[i] = Exp(x[i] - sub) for all of x; dst may be x. With the greatest element as sub that is the
// numerator of softmax. dst must not be shorter than x.
func ExpSlice(dst, x []float32, sub float32) {
	dst = dst[:len(x)]
	for i := expFast(x, dst, sub); i < len(x); i++ {
		dst[i] = Exp(x[i] - sub)
	}
}

// SigmoidSlice sets dst[i] = Sigmoid(x[i]) for all of x; dst may be x. dst must not be shorter than x.
func SigmoidSlice(dst, x []float32) {
	dst = dst[:len(x)]
	for i := sigmoidFast(x, dst); i < len(x); i++ {
		dst[i] = Sigmoid(x[i])
	}
}

// SiLUSlice sets dst[i] = SiLU(x[i]) for all of x; dst may be x. dst must not be shorter than x.
func SiLUSlice(dst, x []float32) {
	dst = dst[:len(x)]
	for i := siluFast(x, dst); i < len(x); i++ {
		dst[i] = SiLU(x[i])
	}
}
