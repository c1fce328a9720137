package kernel

// Rotate turns the pairs (x[i], x[i+half]) of one head by angles given as cos and sin [half]; x is [2·half] or longer
// (the rest stays). sign is 1, or -1 to turn back, which is also the gradient.
func Rotate(x, cos, sin []float32, sign float32) {
	half := len(cos)
	lo, hi, sin := x[:half], x[half:2*half], sin[:half]
	for i := rotateFast(lo, hi, cos, sin, sign); i < half; i++ {
		a, b, c, s := lo[i], hi[i], cos[i], float32(sign*sin[i])
		lo[i] = float32(a*c) - float32(b*s)
		hi[i] = float32(b*c) + float32(a*s)
	}
}
