package kernel

import "math"

// At returns the stream of another position of s's seed and purpose, from its beginning.
func (s *Stream) At(position uint64) Stream { return Stream{key: s.key, position: position} }

// Mask sets bit i%64 of mask[i/64], for i < n, with the probability 1 − drop/65536 that the element i is kept; bits
// beyond n are unspecified. Each decision takes 16 random bits from the beginning of the stream: element i is kept
// when the 16 bits i, the low half of each word first, are drop or more. mask holds ⌈n/64⌉ words.
func (s *Stream) Mask(mask []uint64, n int, drop uint32) {
	mask = mask[:(n+63)/64]
	low, high := uint32(s.position), uint32(s.position>>32)
	for w := s.maskFast(mask, drop); w < len(mask); w++ {
		var kept uint64
		for b := range uint32(8) {
			w0, w1, w2, w3 := mix(uint32(w)<<3|b, uint32(uint64(w)>>29), low, high, s.key[0], s.key[1])
			eight := passes(w0, drop) | passes(w1, drop)<<2 | passes(w2, drop)<<4 | passes(w3, drop)<<6
			kept |= uint64(eight) << (8 * b)
		}
		mask[w] = kept
	}
}

// passes sets bit 0 when the low half of word is drop or more, and bit 1 when the high half is.
func passes(word, drop uint32) uint32 {
	// A difference below 0 has its sign bit set.
	return ^(word&0xffff-drop)>>31 | ^(word>>16-drop)>>31<<1
}

// Dropout sets dst[i] = x[i]·scale where bit i of mask is set, and 0 elsewhere. dst may be x.
func Dropout(dst, x []float32, mask []uint64, scale float32) {
	x, mask = x[:len(dst)], mask[:(len(dst)+63)/64]
	for i := dropoutFast(dst, x, mask, scale); i < len(dst); i++ {
		keep := -uint32(mask[i>>6] >> (i & 63) & 1)
		dst[i] = math.Float32frombits(math.Float32bits(x[i]*scale) & keep)
	}
}

// DropoutAdd adds x[i]·scale to dst[i] where bit i of mask is set.
func DropoutAdd(dst, x []float32, mask []uint64, scale float32) {
	x, mask = x[:len(dst)], mask[:(len(dst)+63)/64]
	for i := dropoutAddFast(dst, x, mask, scale); i < len(dst); i++ {
		keep := -uint32(mask[i>>6] >> (i & 63) & 1)
		dst[i] += math.Float32frombits(math.Float32bits(float32(x[i]*scale)) & keep)
	}
}
