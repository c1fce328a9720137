package quant

import (
	"math"
	"sort"

	"github.com/pipe-run/pipe/steps/internal/kernel"
)

// nest quantizes block scales to eight bits (double quantization).
func nest(scales []float32) *Nested {
	n := &Nested{
		BlockSize: nestedBlock,
		Codes:     make([]byte, len(scales)),
		Absmax:    make([]float32, (len(scales)+nestedBlock-1)/nestedBlock),
		Table:     dynamicMap(),
		Offset:    mean(scales),
	}
	var midpoints [255]float32
	for i := range midpoints {
		midpoints[i] = (n.Table[i] + n.Table[i+1]) * 0.5
	}
	shifted := make([]float32, nestedBlock)
	for b := range n.Absmax {
		lo, hi := b*nestedBlock, min((b+1)*nestedBlock, len(scales))
		block := shifted[:hi-lo]
		for i, s := range scales[lo:hi] {
			block[i] = s - n.Offset
		}
		n.Absmax[b] = maxAbs(block)
		reciprocal := 1 / max(n.Absmax[b], minScale)
		for i, v := range block {
			n.Codes[lo+i] = nestedCode(&midpoints, float32(v*reciprocal))
		}
	}
	return n
}

// nestedCode is the number of midpoints below y.
func nestedCode(midpoints *[255]float32, y float32) byte {
	code := 0
	for half := 128; half > 0; half /= 2 {
		if midpoints[code+half-1] < y {
			code += half
		}
	}
	return byte(code)
}

// dequantize writes the scales of the blocks from first on; each of the two
// operations rounds to float32.
func (n *Nested) dequantize(dst []float32, first int) {
	for i, c := range n.Codes[first : first+len(dst)] {
		dst[i] = float32(n.Table[c]*n.Absmax[(first+i)/n.BlockSize]) + n.Offset
	}
}

// mean sums in order in float64. Scales are finite and not negative; a sum of
// n of them exceeds no float64.
func mean(x []float32) float32 {
	if len(x) == 0 {
		return 0
	}
	var sum float64
	for _, v := range x {
		sum += float64(v)
	}
	return float32(sum / float64(len(x)))
}

// dynamicMap is the signed eight-bit map of bitsandbytes ("8-bit optimizers via
// block-wise quantization", Dettmers et al. 2021): for each power of ten from
// 10^-6 to 1 the midpoints of 2^i equal parts of [0.1, 1], of both signs, then
// 0 and 1. In ascending order; 0 has index 127.
func dynamicMap() [256]float32 {
	powers := [7]float32{1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1}
	values := make([]float32, 0, 256)
	for i, power := range powers {
		edges := linspace(0.1, 1, 1<<i+1)
		for j := range edges[1:] {
			v := float32((edges[j]+edges[j+1])/2) * power
			values = append(values, v, -v)
		}
	}
	values = append(values, 0, 1)
	sort.Slice(values, func(i, j int) bool { return values[i] < values[j] })
	return [256]float32(values)
}

// linspace is torch.linspace in float32: it counts from both ends towards the
// middle, multiplying and adding in one rounding. So PyTorch computes wherever
// the CPU has AVX2; elsewhere 16 values of the map differ in their last bit.
func linspace(start, end float32, n int) []float32 {
	step := (end - start) / float32(n-1)
	list := make([]float32, n)
	for i := range list {
		if i < n/2 {
			list[i] = kernel.FMA(step, float32(i), start)
		} else {
			list[i] = kernel.FMA(-step, float32(n-1-i), end)
		}
	}
	return list
}

// finite reports whether every value is a number.
func finite(x []float32) bool {
	m := maxAbs(x)
	return !math.IsNaN(float64(m)) && !math.IsInf(float64(m), 0)
}
