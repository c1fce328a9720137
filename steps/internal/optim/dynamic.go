package optim

import (
	"math"
	"slices"
)

// block is how many elements share one scale.
const block = 256

// A dynamicMap is a code of 8 bits for numbers between −1 and 1 (or 0 and 1)
// whose relative precision is about even over seven decades: Dettmers et al.,
// 8-bit Optimizers via Block-wise Quantization, section 2.1, with the values
// that bitsandbytes documents as its dynamic map. Codes are numbered by value.
type dynamicMap struct {
	values [256]float32
	zero   uint8        // the code of 0
	ends   [256]uint32  // the bits of the greatest magnitude that code c, of no negative number, is nearest to
	first  [cells]uint8 // the lowest code of the magnitudes that share a cell, in which at most one code ends
}

// The cells split magnitudes by exponent and leading bits of the mantissa; all
// below 2⁻²⁴ share the first, all from 1 on the last.
const (
	cellBits = 7
	cells    = 24<<cellBits + 2
)

// newDynamicMap makes the map of signed or of non-negative numbers. Each decade
// 10⁻⁶…10⁰ has the middles of 2ⁱ (unsigned 2ⁱ⁺¹) equal parts of its upper nine
// tenths, i = 0…6; 0 and 1 complete it.
func newDynamicMap(signed bool) *dynamicMap {
	d := &dynamicMap{}
	values := []float64{0, 1}
	scale := 1e-6
	for i := range 7 {
		n := 1 << i
		if !signed {
			n *= 2
		}
		for j := range n {
			v := float64(scale * (0.1 + float64(0.9*(float64(j)+0.5))/float64(n)))
			values = append(values, v)
			if signed {
				values = append(values, -v)
			}
		}
		scale *= 10
	}
	slices.Sort(values)
	for i, v := range values[:256] {
		d.values[i] = float32(v)
		if v == 0 {
			d.zero = uint8(i)
		}
	}
	for c := int(d.zero); c < 255; c++ {
		d.ends[c] = math.Float32bits(float32(float64(d.values[c]+d.values[c+1]) / 2))
	}
	d.ends[255] = math.MaxInt32
	for c := range d.first {
		d.first[c] = d.search(lowest(c))
	}
	return d
}

// search returns the code nearest to a magnitude given by its bits, the lower
// of two.
func (d *dynamicMap) search(bits uint32) uint8 {
	c, _ := slices.BinarySearch(d.ends[d.zero:], bits)
	return d.zero + uint8(c)
}

// cell returns the cell of a magnitude.
func cell(bits uint32) int {
	const base = (127 - 24) << cellBits
	return min(max(int(bits>>(23-cellBits))-base+1, 0), cells-1)
}

// lowest returns the smallest magnitude in a cell.
func lowest(c int) uint32 {
	if c == 0 {
		return 0
	}
	return uint32(c-1+(127-24)<<cellBits) << (23 - cellBits)
}

// nearest is search, with neither a loop nor a branch.
func (d *dynamicMap) nearest(bits uint32) uint8 {
	c := d.first[cell(bits)]
	return c + uint8((d.ends[c]-bits)>>31)
}

// signed returns the code of x in [−1, 1] in a signed map. Codes mirror there:
// zero−k stands for the negative of zero+k up to the last, 1, which has none.
func (d *dynamicMap) signed(x float32) uint8 {
	bits := math.Float32bits(x)
	negative := int32(bits) >> 31 // −1 or 0
	k := min(int32(d.nearest(bits&math.MaxInt32))-int32(d.zero), 128+negative)
	return uint8(int32(d.zero) + (k ^ negative) - negative)
}

// unsigned returns the code of x in [0, 1] in an unsigned map: never that of 0
// unless x is 0, since a second moment of 0 beside a first one that is not
// would move a parameter without bound.
func (d *dynamicMap) unsigned(x float32) uint8 {
	bits := math.Float32bits(x) & math.MaxInt32
	return max(d.nearest(bits), uint8((bits+math.MaxInt32)>>31))
}
