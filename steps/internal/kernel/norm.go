package kernel

// Rows of RMSNorm, y = w·x·inv with inv = 1/√(mean(x²)+ε), and of LayerNorm, y = w·(x−mean)·inv + b with
// inv = 1/√(variance+ε). Callers compute inv and mean from SumSquares, Sum64 and SumSquaresFrom, and pass 1+w where a
// model stores w less 1. All slices are one row, [width].

// NormRow sets y = w·(x·inv).
func NormRow(y, x, w []float32, inv float32) {
	x, w = x[:len(y)], w[:len(y)]
	for i := normRowFast(y, x, w, inv); i < len(y); i++ {
		y[i] = w[i] * float32(x[i]*inv)
	}
}

// NormRowDot returns the sum of w·dy·x in float64, of products w·dy rounded to float32. NormRowBackward's coef is that
// times inv³/width.
func NormRowDot(dy, x, w []float32) float64 {
	var sum lanes
	x, w = x[:len(dy)], w[:len(dy)]
	for i := normRowDotFast(&sum, dy, x, w); i < len(dy); i++ {
		sum[i&7] += float64(float64(float32(w[i]*dy[i])) * float64(x[i]))
	}
	return sum.total()
}

// NormRowBackward adds to dx the gradient of NormRow at x for dy: dx += inv·(w·dy) − x·coef.
func NormRowBackward(dx, dy, x, w []float32, inv, coef float32) {
	dy, x, w = dy[:len(dx)], x[:len(dx)], w[:len(dx)]
	for i := normRowBackwardFast(dx, dy, x, w, inv, coef); i < len(dx); i++ {
		dx[i] += float32(inv*float32(w[i]*dy[i])) - float32(x[i]*coef)
	}
}

// NormRowWeights adds to dw the gradient of the weights of NormRow: dw += dy·(x·inv), a float64 sum over rows.
func NormRowWeights(dw []float64, dy, x []float32, inv float32) {
	dy, x = dy[:len(dw)], x[:len(dw)]
	for i := normRowWeightsFast(dw, dy, x, inv); i < len(dw); i++ {
		dw[i] += float64(float64(dy[i]) * float64(float32(x[i]*inv)))
	}
}

// LayerNormRow sets y = w·((x−mean)·inv) + b.
func LayerNormRow(y, x, w, b []float32, mean, inv float32) {
	x, w, b = x[:len(y)], w[:len(y)], b[:len(y)]
	for i := layerNormRowFast(y, x, w, b, mean, inv); i < len(y); i++ {
		y[i] = float32(w[i]*float32((x[i]-mean)*inv)) + b[i]
	}
}

// LayerNormRowDots returns the sums of g = w·dy, rounded to float32, and of g·n, n = (x−mean)·inv, in float64. Divided
// by the width they are the c and d of LayerNormRowBackward.
func LayerNormRowDots(dy, x, w []float32, mean, inv float32) (g, gn float64) {
	var sum [2]lanes
	x, w = x[:len(dy)], w[:len(dy)]
	for i := layerNormRowDotsFast(&sum, dy, x, w, mean, inv); i < len(dy); i++ {
		v := float64(float32(w[i] * dy[i]))
		sum[0][i&7] += v
		sum[1][i&7] += float64(v * float64(float32((x[i]-mean)*inv)))
	}
	return sum[0].total(), sum[1].total()
}

// LayerNormRowBackward adds to dx the gradient of LayerNormRow at x for dy:
//
//	dx += inv·((w·dy − c) − n·d),  n = (x−mean)·inv,  c = mean(w·dy),  d = mean(w·dy·n)
func LayerNormRowBackward(dx, dy, x, w []float32, mean, inv, c, d float32) {
	dy, x, w = dy[:len(dx)], x[:len(dx)], w[:len(dx)]
	for i := layerNormRowBackwardFast(dx, dy, x, w, mean, inv, c, d); i < len(dx); i++ {
		n := float32((x[i] - mean) * inv)
		dx[i] += float32(inv * ((float32(w[i]*dy[i]) - c) - float32(n*d)))
	}
}

// LayerNormRowWeights adds to dw and db the gradients of the weights and of the bias of LayerNormRow, float64 sums over
// rows: dw += dy·n, db += dy. Either may be nil.
func LayerNormRowWeights(dw, db []float64, dy, x []float32, mean, inv float32) {
	if dw != nil {
		x, dw = x[:len(dy)], dw[:len(dy)]
		for i := layerNormRowWeightsFast(dw, dy, x, mean, inv); i < len(dw); i++ {
			dw[i] += float64(float64(dy[i]) * float64(float32((x[i]-mean)*inv)))
		}
	}
	if db != nil {
		AddWide(db[:len(dy)], dy)
	}
}
