package quant

import "encoding/binary"

// q5_1: half d; half m; 32 fifth bits; 16 bytes of nibbles; as Q5_0, but value q·d + m.
func q5_1() Format { return Format{"Q5_1", 32, 24, decodeQ5_1} }

func decodeQ5_1(dst []float32, src []byte) {
	d, m, high := half(src), half(src[2:]), binary.LittleEndian.Uint32(src[4:])
	for i, q := range src[8:24] {
		lo := uint32(q&15) | high>>i&1<<4
		hi := uint32(q>>4) | high>>(i+16)&1<<4
		dst[i] = float32(float32(lo)*d) + m
		dst[i+16] = float32(float32(hi)*d) + m
	}
}
