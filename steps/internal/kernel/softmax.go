package kernel

import "math"

// Max returns the greatest element of x, passing over NaNs: -Inf if there is no other, and +0 for either zero.
func Max(x []float32) float32 {
	best := float32(math.Inf(-1))
	for i := maxFast(&best, x); i < len(x); i++ {
		if x[i] > best {
			best = x[i]
		}
	}
	return best + 0
}

// ExpSum sets dst[i] = Exp(x[i] - sub) for all of x, as ExpSlice does, and returns the sum of dst in float64.
func ExpSum(dst, x []float32, sub float32) float64 {
	var sum lanes
	dst = dst[:len(x)]
	for i := expSumFast(&sum, x, dst, sub); i < len(x); i++ {
		dst[i] = Exp(x[i] - sub)
		sum[i&7] += float64(dst[i])
	}
	return sum.total()
}

// SoftmaxBackward turns ds, the gradient of probabilities p, into that of their scores, where d = Σ p·ds:
// ds = p·(ds − d).
func SoftmaxBackward(ds, p []float32, d float32) {
	p = p[:len(ds)]
	for i := softmaxBackwardFast(ds, p, d); i < len(ds); i++ {
		ds[i] = p[i] * (ds[i] - d)
	}
}
