package quant

// q6_K: 128 bytes of low nibbles; 64 bytes of upper two bits; 16 signed scales;
// half d. Two halves of 128 elements, each of four rows of 32 that share their
// bytes of upper bits; a scale covers 16 elements. Value (d·scale)·(q−32).
func q6_K() Format { return Format{"Q6_K", 256, 210, decodeQ6_K} }

func decodeQ6_K(dst []float32, src []byte) {
	d := half(src[208:])
	for h := range 2 {
		low, high, scales := src[64*h:64*h+64], src[128+32*h:160+32*h], src[192+8*h:200+8*h]
		out := dst[128*h : 128*h+128]
		for i, up := range high {
			for row := range 4 {
				q := low[i+row%2*32] >> (row / 2 * 4) & 15
				q |= up >> (2 * row) & 3 << 4
				scale := d * float32(int8(scales[i/16+2*row]))
				out[32*row+i] = scale * float32(int(q)-32)
			}
		}
	}
}
