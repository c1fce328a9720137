package quant

// q4_K: half d; half dmin; 12 bytes of six-bit scales and mins; 128 bytes of
// nibbles. Eight sub-blocks of 32 elements; each 32 bytes hold one sub-block in
// their low nibbles and the next in their high ones. Value (d·scale)·q − dmin·min.
func q4_K() Format { return Format{"Q4_K", 256, 144, decodeQ4_K} }

func decodeQ4_K(dst []float32, src []byte) {
	d, dmin, scales, codes := half(src), half(src[2:]), src[4:16], src[16:144]
	for g := range 4 {
		s0, m0 := sixBits(scales, 2*g)
		s1, m1 := sixBits(scales, 2*g+1)
		d0, d1, min0, min1 := d*s0, d*s1, float32(dmin*m0), float32(dmin*m1)
		lo, hi := dst[64*g:64*g+32], dst[64*g+32:64*g+64]
		for i, q := range codes[32*g : 32*g+32] {
			lo[i] = float32(d0*float32(q&15)) - min0
			hi[i] = float32(d1*float32(q>>4)) - min1
		}
	}
}

// sixBits unpacks scale and min number j, from 0 to 7, of Q4_K and Q5_K.
func sixBits(s []byte, j int) (scale, minimum float32) {
	if j < 4 {
		return float32(s[j] & 63), float32(s[j+4] & 63)
	}
	return float32(s[j+4]&15 | s[j-4]>>6<<4), float32(s[j+4]>>4 | s[j]>>6<<4)
}
