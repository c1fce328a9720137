package decoder

import (
	"math"

	"github.com/pipe-run/pipe/steps/internal/tensor"
)

// rowsPerPart is how many rows one unit of row-wise parallel work covers.
const rowsPerPart = 16

// eachRows calls f for consecutive ranges of rows [lo, hi) that cover n, in parallel.
func eachRows(threads, n int, f func(lo, hi int)) {
	parts := (n + rowsPerPart - 1) / rowsPerPart
	tensor.Parallel(threads, parts, func(i int) {
		f(i*rowsPerPart, min(n, (i+1)*rowsPerPart))
	})
}

// inverseRMS returns 1/sqrt(mean(x²) + eps). The squares are exact in float64.
func inverseRMS(x []float32, eps float64) float32 {
	var sum float64
	for _, v := range x {
		sum += float64(float64(v) * float64(v))
	}
	return float32(1 / math.Sqrt(sum/float64(len(x))+eps))
}

// rmsNorm computes y [n, h] = x·w/rms(x) row by row.
func rmsNorm(threads, n, h int, eps float64, x, w, y []float32) {
	eachRows(threads, n, func(lo, hi int) {
		for t := lo; t < hi; t++ {
			row, out := x[t*h:(t+1)*h], y[t*h:(t+1)*h]
			inv := inverseRMS(row, eps)
			for i, v := range row {
				out[i] = w[i] * float32(v*inv)
			}
		}
	})
}

// rmsNormBackward adds to dx [n, h] the gradient of rmsNorm at x for dy, and
// writes to dw [h], when it is not nil, the gradient of the weights:
//
//	dx = inv·(w·dy) − x·inv³/h·Σ w·dy·x,  dw = Σ_rows dy·x·inv
func rmsNormBackward(threads, n, h int, eps float64, x, w, dy, dx, dw []float32) {
	eachRows(threads, n, func(lo, hi int) {
		for t := lo; t < hi; t++ {
			normRowBackward(eps, x[t*h:(t+1)*h], w, dy[t*h:(t+1)*h], dx[t*h:(t+1)*h])
		}
	})
	if dw == nil {
		return
	}
	inv := make([]float32, n)
	for t := range inv {
		inv[t] = inverseRMS(x[t*h:(t+1)*h], eps)
	}
	eachRows(threads, h, func(lo, hi int) {
		for i := lo; i < hi; i++ {
			var sum float64
			for t := range n {
				sum += float64(float64(dy[t*h+i]) * float64(float32(x[t*h+i]*inv[t])))
			}
			dw[i] = float32(sum)
		}
	})
}

func normRowBackward(eps float64, x, w, dy, dx []float32) {
	inv := inverseRMS(x, eps)
	var dot float64
	for i, v := range x {
		dot += float64(float64(float32(w[i]*dy[i])) * float64(v))
	}
	inv64 := float64(inv)
	coef := float32(dot * inv64 * inv64 * inv64 / float64(len(x)))
	for i, v := range x {
		g := float32(inv*float32(w[i]*dy[i])) - float32(v*coef)
		dx[i] += g
	}
}
