package kernel

// lanes are the partial sums of a reduction in float64: element i goes to lane i%8, in order, whatever the width of a
// vector register. The products of two float32s that are summed are exact in float64, so a fused multiply-add gives
// the same bits.
type lanes [8]float64

// total adds the lanes pairwise, as halves of a register are folded.
func (l *lanes) total() float64 {
	return ((l[0] + l[4]) + (l[2] + l[6])) + ((l[1] + l[5]) + (l[3] + l[7]))
}

// Sum64 returns the sum of x in float64.
func Sum64(x []float32) float64 {
	var sum lanes
	for i := sum64Fast(&sum, x); i < len(x); i++ {
		sum[i&7] += float64(x[i])
	}
	return sum.total()
}

// Dot64 returns the sum of a[i]·b[i] in float64; b may be longer than a.
func Dot64(a, b []float32) float64 {
	var sum lanes
	b = b[:len(a)]
	for i := dot64Fast(&sum, a, b); i < len(a); i++ {
		sum[i&7] += float64(float64(a[i]) * float64(b[i]))
	}
	return sum.total()
}

// SumSquares returns the sum of x[i]² in float64.
func SumSquares(x []float32) float64 { return Dot64(x, x) }

// SumSquaresFrom returns the sum of (x[i] − mean)² in float64, of differences rounded to float32.
func SumSquaresFrom(x []float32, mean float32) float64 {
	var sum lanes
	for i := sumSquaresFromFast(&sum, x, mean); i < len(x); i++ {
		d := float64(x[i] - mean)
		sum[i&7] += float64(d * d)
	}
	return sum.total()
}
