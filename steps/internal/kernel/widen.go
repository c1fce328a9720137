package kernel

import "math"

// WidenBF16 sets dst to the bfloat16 numbers in src, two little-endian bytes each. src must not be shorter than
// 2·len(dst) bytes. Every number keeps its bits.
func WidenBF16(dst []float32, src []byte) {
	src = src[:2*len(dst)]
	for i := widenBF16Fast(dst, src); i < len(dst); i++ {
		dst[i] = math.Float32frombits(uint32(src[2*i])<<16 | uint32(src[2*i+1])<<24)
	}
}

// WidenF16 sets dst to the IEEE 754 half-precision numbers in src, two little-endian bytes each. src must not be shorter
// than 2·len(dst) bytes. All numbers are exact; a NaN keeps its sign and payload.
func WidenF16(dst []float32, src []byte) {
	src = src[:2*len(dst)]
	for i := widenF16Fast(dst, src); i < len(dst); i++ {
		dst[i] = widenF16(uint32(src[2*i]) | uint32(src[2*i+1])<<8)
	}
}

func widenF16(h uint32) float32 {
	sign, u := h&0x8000<<16, h&0x7fff<<13
	f := math.Float32bits(math.Float32frombits(u) * 0x1p112) // rebiases the exponent; makes subnormals normal
	if h&0x7c00 == 0x7c00 {
		f |= 0x7f800000
	}
	return math.Float32frombits(sign | f)
}
