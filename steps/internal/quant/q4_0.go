package quant

// q4_0: half d; 16 bytes of nibbles. Elements 0 to 15 are the low nibbles, 16
// to 31 the high ones; value (q-8)·d.
func q4_0() Format { return Format{"Q4_0", 32, 18, decodeQ4_0} }

func decodeQ4_0(dst []float32, src []byte) {
	d := half(src)
	for i, q := range src[2:18] {
		dst[i] = float32(int(q&15)-8) * d
		dst[i+16] = float32(int(q>>4)-8) * d
	}
}
