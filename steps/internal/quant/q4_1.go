package quant

// q4_1: half d; half m; 16 bytes of nibbles, ordered as in Q4_0; value q·d + m.
func q4_1() Format { return Format{"Q4_1", 32, 20, decodeQ4_1} }

func decodeQ4_1(dst []float32, src []byte) {
	d, m := half(src), half(src[2:])
	for i, q := range src[4:20] {
		dst[i] = float32(float32(q&15)*d) + m
		dst[i+16] = float32(float32(q>>4)*d) + m
	}
}
