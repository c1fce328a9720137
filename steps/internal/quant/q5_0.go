package quant

import "encoding/binary"

// q5_0: half d; 32 fifth bits, one per element; 16 bytes of nibbles, ordered as
// in Q4_0; value (q-16)·d.
func q5_0() Format { return Format{"Q5_0", 32, 22, decodeQ5_0} }

func decodeQ5_0(dst []float32, src []byte) {
	d, high := half(src), binary.LittleEndian.Uint32(src[2:])
	for i, q := range src[6:22] {
		lo := uint32(q&15) | high>>i&1<<4
		hi := uint32(q>>4) | high>>(i+16)&1<<4
		dst[i] = float32(int(lo)-16) * d
		dst[i+16] = float32(int(hi)-16) * d
	}
}
