package tensor

import (
	"encoding/binary"
	"fmt"
	"math"

	"github.com/pipe-run/pipe/steps/internal/kernel"
)

// F32FromBF16 widens a bfloat16, exactly.
func F32FromBF16(h uint16) float32 { return math.Float32frombits(uint32(h) << 16) }

// BF16FromF32 rounds to bfloat16, to nearest even. A NaN stays one (made quiet).
func BF16FromF32(f float32) uint16 {
	u := math.Float32bits(f)
	if u&0x7fffffff > 0x7f800000 {
		return uint16(u>>16) | 0x40
	}
	return uint16((u + 0x7fff + u>>16&1) >> 16)
}

// F32FromF16 widens an IEEE 754 binary16, exactly; subnormals, infinities and the payload of a NaN too.
func F32FromF16(h uint16) float32 {
	sign := uint32(h&0x8000) << 16
	u := uint32(h&0x7fff) << 13
	if h&0x7c00 == 0x7c00 {
		return math.Float32frombits(sign | u | 0x7f800000)
	}
	f := math.Float32frombits(u) * 0x1p112 // rebiases the exponent; makes subnormals normal
	return math.Float32frombits(sign | math.Float32bits(f))
}

// F16FromF32 rounds to IEEE 754 binary16, to nearest even; from 65520 on that is infinity. A NaN stays one (made quiet).
func F16FromF32(f float32) uint16 {
	u := math.Float32bits(f)
	sign := uint16(u >> 16 & 0x8000)
	u &= 0x7fffffff
	switch {
	case u > 0x7f800000:
		return sign | 0x7e00 | uint16(u>>13&0x3ff)
	case u >= 0x477ff000: // 65520
		return sign | 0x7c00
	case u < 0x38800000: // below 2^-14: a multiple of 2^-24, rounded by the addition of 0.5
		s := math.Float32frombits(u) + 0.5
		return sign | uint16(math.Float32bits(s)-0x3f000000)
	}
	return sign | uint16((u-0x38000000+0xfff+u>>13&1)>>13)
}

// Decode widens len(dst) little-endian elements of dtype F32, BF16, F16 or F64 from src; F64 is rounded to nearest
// even. It fails for another dtype or a src of another length.
func Decode(dst []float32, d DType, src []byte) error {
	if err := checkConvert(len(dst), d, len(src)); err != nil {
		return err
	}
	switch d {
	case F32:
		for i := range dst {
			dst[i] = math.Float32frombits(binary.LittleEndian.Uint32(src[4*i:]))
		}
	case BF16:
		kernel.WidenBF16(dst, src)
	case F16:
		kernel.WidenF16(dst, src)
	case F64:
		for i := range dst {
			dst[i] = float32(math.Float64frombits(binary.LittleEndian.Uint64(src[8*i:])))
		}
	}
	return nil
}

// Encode narrows src to little-endian elements of dtype F32, BF16, F16 or F64 in dst, to nearest even. It fails for
// another dtype or a dst of another length.
func Encode(dst []byte, d DType, src []float32) error {
	if err := checkConvert(len(src), d, len(dst)); err != nil {
		return err
	}
	switch d {
	case F32:
		for i, v := range src {
			binary.LittleEndian.PutUint32(dst[4*i:], math.Float32bits(v))
		}
	case BF16:
		for i, v := range src {
			binary.LittleEndian.PutUint16(dst[2*i:], BF16FromF32(v))
		}
	case F16:
		for i, v := range src {
			binary.LittleEndian.PutUint16(dst[2*i:], F16FromF32(v))
		}
	case F64:
		for i, v := range src {
			binary.LittleEndian.PutUint64(dst[8*i:], math.Float64bits(float64(v)))
		}
	}
	return nil
}

func checkConvert(n int, d DType, bytes int) error {
	switch d {
	case F32, BF16, F16, F64:
	default:
		return fmt.Errorf("converting dtype %q to or from F32 is not possible", string(d))
	}
	if bytes != n*d.Size() {
		return fmt.Errorf("%d elements of %s take %d bytes, not %d", n, d, n*d.Size(), bytes)
	}
	return nil
}
