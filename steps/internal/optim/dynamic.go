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
	ends   [255]float32 // code c is nearest below ends[c]; at it, the lower one counts
	zero   uint8        // the code of 0
	first  [cells]uint8 // the lowest code of the magnitudes that share a cell
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
	for i := range d.ends {
		d.ends[i] = float32(float64(d.values[i]+d.values[i+1]) / 2)
	}
	for c := range d.first {
		d.first[c] = uint8(d.search(lowest(c)))
	}
	return d
}

// search returns the code nearest to x.
func (d *dynamicMap) search(x float32) int {
	c, _ := slices.BinarySearch(d.ends[:], x)
	return c
}

// cell returns the cell of a magnitude.
func cell(x float32) int {
	const base = (127 - 24) << cellBits
	c := int(math.Float32bits(x)>>(23-cellBits)) - base + 1
	return min(max(c, 0), cells-1)
}

// lowest returns the smallest magnitude in a cell.
func lowest(c int) float32 {
	if c == 0 {
		return 0
	}
	return math.Float32frombits(uint32(c-1+(127-24)<<cellBits) << (23 - cellBits))
}

// code returns the code nearest to x in [−1, 1]. Of a signed map it is asked
// about magnitudes alone, whose codes mirror: zero+k stands for the negative of
// zero−k up to the last, 1, which has none.
func (d *dynamicMap) code(x float32) uint8 {
	c := int(d.first[cell(x)])
	for c < len(d.ends) && x > d.ends[c] {
		c++
	}
	return uint8(c)
}

// signed returns the code of x in [−1, 1] in a signed map.
func (d *dynamicMap) signed(x float32) uint8 {
	if x >= 0 {
		return d.code(x)
	}
	k := d.code(-x) - d.zero
	return d.zero - min(k, d.zero)
}

// unsigned returns the code of x in [0, 1] in an unsigned map: never that of 0
// unless x is 0, since a second moment of 0 beside a first one that is not
// would move a parameter without bound.
func (d *dynamicMap) unsigned(x float32) uint8 {
	if x > 0 {
		return max(1, d.code(x))
	}
	return 0
}
