//go:build !purego

package quant

import "golang.org/x/sys/cpu"

//go:noescape
func nf4CodesAVX2(dst *byte, x *float32, thresholds *[15]float32, n int, scale float32)

//go:noescape
func maxAbsAVX2(x *float32, n int) uint32

var hasAVX2 = cpu.X86.HasAVX2

// nf4CodesFast packs the codes of whole groups of 32 elements, counting all
// thresholds below each, and says how many elements that is.
func nf4CodesFast(dst []byte, x []float32, scale float32) (done int) {
	n := len(x) &^ 31
	if n == 0 || !hasAVX2 {
		return 0
	}
	_ = dst[n/2-1]
	nf4CodesAVX2(&dst[0], &x[0], &nf4Thresholds, n, scale)
	return n
}

// maxAbsFast is the largest magnitude, as bits, of whole groups of 32 elements,
// and how many elements that is.
func maxAbsFast(x []float32) (largest uint32, done int) {
	n := len(x) &^ 31
	if n == 0 || !hasAVX2 {
		return 0, 0
	}
	return maxAbsAVX2(&x[0], n), n
}
