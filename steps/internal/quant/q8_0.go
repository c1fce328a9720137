package quant

// q8_0: half d; 32 signed bytes; value q·d.
func q8_0() Format { return Format{"Q8_0", 32, 34, decodeQ8_0} }

func decodeQ8_0(dst []float32, src []byte) {
	d := half(src)
	for i, q := range src[2:34] {
		dst[i] = float32(int8(q)) * d
	}
}
