package quant

// q5_K: as Q4_K, with 32 bytes of fifth bits before the nibbles: bit j of byte
// i belongs to element i of sub-block j.
func q5_K() Format { return Format{"Q5_K", 256, 176, decodeQ5_K} }

func decodeQ5_K(dst []float32, src []byte) {
	d, dmin, scales, high, codes := half(src), half(src[2:]), src[4:16], src[16:48], src[48:176]
	for g := range 4 {
		s0, m0 := sixBits(scales, 2*g)
		s1, m1 := sixBits(scales, 2*g+1)
		d0, d1, min0, min1 := d*s0, d*s1, float32(dmin*m0), float32(dmin*m1)
		lo, hi := dst[64*g:64*g+32], dst[64*g+32:64*g+64]
		for i, q := range codes[32*g : 32*g+32] {
			h := high[i] >> (2 * g)
			lo[i] = float32(d0*float32(q&15|h&1<<4)) - min0
			hi[i] = float32(d1*float32(q>>4|h>>1&1<<4)) - min1
		}
	}
}
