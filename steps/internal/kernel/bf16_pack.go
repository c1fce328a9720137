package kernel

import "encoding/binary"

// PairRow rounds src and writes it as pairs; an odd last element is paired with 0, and the pairs of dst beyond are 0.
// What begins ahead elements after src is going to be wanted next; it need not exist.
func PairRow(dst []uint32, src []float32, ahead int) {
	n := len(src) / 2
	for i := pairsFast(dst[:n], src, ahead); i < n; i++ {
		dst[i] = pairOf(src[2*i], src[2*i+1])
	}
	if len(src)%2 == 1 {
		dst[n] = pairOf(src[2*n], 0)
		n++
	}
	clear(dst[n:])
}

// PairLines rounds two lines and pairs them element by element: lo is the even k. A nil hi stands for zeros. The pairs
// of dst beyond lo are 0.
func PairLines(dst []uint32, lo, hi []float32) {
	n := len(lo)
	i := 0
	if hi == nil {
		for ; i < n; i++ {
			dst[i] = pairOf(lo[i], 0)
		}
	} else {
		hi = hi[:n]
		i = pairLinesFast(dst[:n], lo, hi)
	}
	for ; i < n; i++ {
		dst[i] = pairOf(lo[i], hi[i])
	}
	clear(dst[n:])
}

// PairStored is PairLines for bfloat16s as stored, little-endian. hi may be nil.
func PairStored(dst []uint32, lo, hi []byte) {
	n := len(lo) / 2
	i := 0
	if hi != nil {
		i = pairStoredFast(dst[:n], lo, hi[:2*n])
	}
	for ; i < n; i++ {
		dst[i] = uint32(binary.LittleEndian.Uint16(lo[2*i:]))
		if hi != nil {
			dst[i] |= uint32(binary.LittleEndian.Uint16(hi[2*i:])) << 16
		}
	}
	clear(dst[n:])
}

// SplitPairs turns pairs [step][16][mr] into the split form [step][2][16][mr] of a BF16Tile's A. dst is twice as long
// as src.
func SplitPairs(dst, src []uint32, mr int) {
	n := stepPairs * mr
	for ; len(src) >= n; dst, src = dst[2*n:], src[n:] {
		even, odd := dst[:n], dst[n:2*n]
		for i := splitFast(even, odd, src[:n]); i < n; i++ {
			even[i], odd[i] = src[i]<<16, src[i]&0xffff0000
		}
	}
}
