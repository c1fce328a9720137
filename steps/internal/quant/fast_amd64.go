//go:build !purego

package quant

import "golang.org/x/sys/cpu"

//go:noescape
func pack4AVX2(dst *byte, x *float32, thresholds *[15]float32, order *[16]byte, n int, scale float32)

//go:noescape
func maxAbsAVX2(x *float32, n int) uint32

//go:noescape
func unpack4AVX2(dst *float32, packed *byte, table *[16]float32, scales *float32, blocks, n int)

//go:noescape
func unpack4AVX512(dst *float32, packed *byte, table *[16]float32, scales *float32, blocks, n int)

//go:noescape
func q8CodesAVX2(dst *byte, x *float32, n int, scale float32)

//go:noescape
func unpack8AVX2(dst *float32, codes *byte, scales *float32, blocks, n int)

//go:noescape
func unpack8AVX512(dst *float32, codes *byte, scales *float32, blocks, n int)

var (
	hasAVX2   = cpu.X86.HasAVX2
	hasAVX512 = wantAVX512 && hasAVX2 && cpu.X86.HasAVX512F
)

// packFast packs the codes of whole groups of 32 elements, counting all
// thresholds below each, and says how many elements that is.
func packFast(dst []byte, x []float32, c *fourBitCode, scale float32) (done int) {
	n := len(x) &^ 31
	if n == 0 || !hasAVX2 {
		return 0
	}
	_ = dst[n/2-1]
	pack4AVX2(&dst[0], &x[0], &c.thresholds, &c.order, n, scale)
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

// unpack4Fast writes len(scales) runs of n elements and says whether it did: n
// must be a multiple of 16.
func unpack4Fast(dst []float32, packed []byte, table *[16]float32, scales []float32, n int) bool {
	if n == 0 || n%16 != 0 || !hasAVX2 {
		return false
	}
	_, _ = dst[len(scales)*n-1], packed[len(scales)*n/2-1]
	if hasAVX512 {
		unpack4AVX512(&dst[0], &packed[0], table, &scales[0], len(scales), n)
	} else {
		unpack4AVX2(&dst[0], &packed[0], table, &scales[0], len(scales), n)
	}
	return true
}

// q8CodesFast writes the codes of whole groups of 32 elements and says how many
// elements that is.
func q8CodesFast(dst []byte, x []float32, scale float32) (done int) {
	n := len(x) &^ 31
	if n == 0 || !hasAVX2 {
		return 0
	}
	_ = dst[n-1]
	q8CodesAVX2(&dst[0], &x[0], n, scale)
	return n
}

// unpack8Fast writes len(scales) runs of n elements and says whether it did: n
// must be a multiple of 8.
func unpack8Fast(dst []float32, codes []byte, scales []float32, n int) bool {
	if n == 0 || n%8 != 0 || !hasAVX2 {
		return false
	}
	_, _ = dst[len(scales)*n-1], codes[len(scales)*n-1]
	if hasAVX512 && n%16 == 0 {
		unpack8AVX512(&dst[0], &codes[0], &scales[0], len(scales), n)
	} else {
		unpack8AVX2(&dst[0], &codes[0], &scales[0], len(scales), n)
	}
	return true
}
