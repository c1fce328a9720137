//go:build !purego

package kernel

// maskAVX2 writes all words of mask; keys are those of the ten rounds, in pairs.
//
//go:noescape
func maskAVX2(mask []uint64, keys *[20]uint32, low, high, drop uint32)

// maskFast writes the words of Mask, or none.
func (s *Stream) maskFast(mask []uint64, drop uint32) (done int) {
	if !hasAVX2 {
		return 0
	}
	var keys [20]uint32
	k0, k1 := s.key[0], s.key[1]
	for i := 0; i < len(keys); i += 2 {
		keys[i], keys[i+1] = k0, k1
		k0 += 0x9e3779b9
		k1 += 0xbb67ae85
	}
	maskAVX2(mask, &keys, uint32(s.position), uint32(s.position>>32), drop)
	return len(mask)
}
