package quant

import (
	"fmt"
	"math"

	"github.com/pipe-run/pipe/steps/internal/tensor"
)

// NF4Tensor is a weight of 4-bit codes as bitsandbytes stores it: the elements
// in row-major order, cut into blocks of BlockSize, each code an index into
// Table that is scaled by its block's absmax.
type NF4Tensor struct {
	Type      string       // "nf4" or "fp4"
	Shape     []int        // logical shape
	DType     tensor.DType // dtype of the weight before it was quantized
	BlockSize int          // elements per block
	Table     [16]float32  // the value of every code
	Packed    []byte       // two codes a byte, the first in the high nibble
	Absmax    []float32    // scale per block; nil with double quantization
	Nested    *Nested      // the scales, quantized in turn; nil without
}

// Nested holds the block scales of double quantization: eight-bit codes in
// blocks of BlockSize, scaled by Absmax and moved by Offset.
type Nested struct {
	BlockSize int
	Codes     []byte
	Absmax    []float32
	Table     [256]float32
	Offset    float32
}

// NF4Options chooses the layout of QuantizeNF4.
type NF4Options struct {
	BlockSize   int          // a power of two from 32 to 4096; 64 is bitsandbytes' default
	DoubleQuant bool         // quantize the block scales too
	DType       tensor.DType // what to record as the dtype of the original weight
}

// nestedBlock is the block size of double quantization, fixed in bitsandbytes.
const nestedBlock = 256

// minScale keeps the reciprocal of a block's absmax finite.
const minScale = 1e-38

// nf4Table holds the quantiles of a normal distribution of the QLoRA paper
// (Dettmers et al. 2023, appendix E), as float32.
var nf4Table = [16]float32{
	-1, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453,
	-0.28444138169288635, -0.18477343022823334, -0.09105003625154495, 0,
	0.07958029955625534, 0.16093020141124725, 0.24611230194568634, 0.33791524171829224,
	0.44070982933044434, 0.5626170039176941, 0.7229568362236023, 1,
}

// nf4Thresholds are the midpoints between neighbours of nf4Table: the code of x
// is the number of thresholds strictly below x.
var nf4Thresholds = [15]float32{
	-0.8480964004993439, -0.6106329262256622, -0.4599952697753906, -0.33967943489551544,
	-0.23460740596055984, -0.13791173323988914, -0.045525018125772476, 0.03979014977812767,
	0.1202552504837513, 0.2035212516784668, 0.2920137718319893, 0.3893125355243683,
	0.5016634166240692, 0.6427869200706482, 0.8614784178118011,
}

// nf4Bucket is one cell of the lookup that replaces a search in the thresholds:
// values in [-1, 1] fall into cells of width 1/16, narrower than the distance
// between two thresholds, so that one comparison decides.
type nf4Bucket struct {
	threshold float32 // the threshold inside the cell, or +Inf
	code      uint32  // the code of values at or below it
}

// cellMagic is 1.5·2^19: added to a value in [-1, 1] it leaves the value in
// sixteenths, rounded, in the lowest bits of the sum.
const cellMagic = 786432

// cellOf is the cell of x in sixteenths, from -16 to 16 for x in [-1, 1]. It
// does not decrease with x.
func cellOf(x float32) int32 {
	return int32(math.Float32bits(x+cellMagic) - 0x49400000)
}

// nf4Buckets computes the lookup, by the low six bits of the cell. Since cellOf
// does not decrease, the result equals counting thresholds for every x in [-1, 1].
func nf4Buckets() *[64]nf4Bucket {
	var b [64]nf4Bucket
	for cell := int32(-32); cell < 32; cell++ {
		bucket := &b[cell&63]
		bucket.threshold = float32(math.Inf(1))
		for _, t := range nf4Thresholds {
			switch c := cellOf(t); {
			case c < cell:
				bucket.code++
			case c == cell:
				bucket.threshold = t
			}
		}
	}
	return &b
}

// QuantizeNF4 quantizes x, the row-major elements of a tensor of the given
// shape, on up to threads cores; the bits do not depend on threads. Codes and
// block scales equal bitsandbytes' bit for bit: elements are multiplied by the
// reciprocal of the block's absmax. In double quantization the offset is the
// mean of the block scales, summed in order in float64 (bitsandbytes leaves the
// order of its float32 sum to torch), and ties between two neighbours of the
// eight-bit map go to the lower one.
//
// A value that is infinite or NaN is an error.
func QuantizeNF4(threads int, x []float32, shape []int, opt NF4Options) (*NF4Tensor, error) {
	if err := checkBlockSize(opt.BlockSize); err != nil {
		return nil, err
	}
	if n := product(shape); n != len(x) {
		return nil, fmt.Errorf("shape %v has %d elements, not %d", shape, n, len(x))
	}
	blocks := (len(x) + opt.BlockSize - 1) / opt.BlockSize
	t := &NF4Tensor{
		Type: "nf4", Shape: append([]int(nil), shape...), DType: opt.DType, BlockSize: opt.BlockSize,
		Table: nf4Table, Packed: make([]byte, (len(x)+1)/2), Absmax: make([]float32, blocks),
	}
	buckets := nf4Buckets()
	parallelBlocks(threads, blocks, func(from, to int) {
		for b := from; b < to; b++ {
			lo, hi := b*opt.BlockSize, min((b+1)*opt.BlockSize, len(x))
			t.Absmax[b] = quantizeBlock(t.Packed[lo/2:(hi+1)/2], x[lo:hi], buckets)
		}
	})
	for b, a := range t.Absmax {
		if a-a != 0 {
			return nil, fmt.Errorf("elements %d to %d hold a value that is not finite", b*opt.BlockSize, min((b+1)*opt.BlockSize, len(x))-1)
		}
	}
	if opt.DoubleQuant {
		t.Nested, t.Absmax = nest(t.Absmax), nil
	}
	return t, nil
}

// quantizeBlock packs the codes of one block into dst, a zero where the number
// of elements is odd, and returns the block's absmax (NaN or Inf if x has such).
func quantizeBlock(dst []byte, x []float32, buckets *[64]nf4Bucket) float32 {
	absmax := maxAbs(x)
	scale := 1 / max(absmax, minScale)
	done := nf4CodesFast(dst, x, scale)
	nf4Codes(dst[done/2:], x[done:], scale, buckets)
	return absmax
}

// nf4Codes packs the codes of x, scaled: what nf4CodesFast equals.
func nf4Codes(dst []byte, x []float32, scale float32, buckets *[64]nf4Bucket) {
	i := 0
	for ; i+8 <= len(x); i += 8 {
		in, out := (*[8]float32)(x[i:]), (*[4]byte)(dst[i/2:])
		out[0] = nf4Pair(in[0], in[1], scale, buckets)
		out[1] = nf4Pair(in[2], in[3], scale, buckets)
		out[2] = nf4Pair(in[4], in[5], scale, buckets)
		out[3] = nf4Pair(in[6], in[7], scale, buckets)
	}
	for ; i < len(x); i += 2 {
		var second float32
		if i+1 < len(x) {
			second = x[i+1]
		}
		dst[i/2] = nf4Pair(x[i], second, scale, buckets)
	}
}

// nf4Pair packs the codes of two values. The products are rounded before they
// are looked up: the conversions keep the compiler from fusing them with a sum.
func nf4Pair(first, second, scale float32, buckets *[64]nf4Bucket) byte {
	return byte(nf4Code(float32(first*scale), buckets)<<4 | nf4Code(float32(second*scale), buckets))
}

// nf4Code is the code of a scaled value. Values of a block with a NaN or Inf
// give some code, never a fault.
func nf4Code(y float32, buckets *[64]nf4Bucket) uint32 {
	b := &buckets[cellOf(y)&63]
	var above uint32
	if y > b.threshold {
		above = 1
	}
	return b.code + above
}

// maxAbs is the largest magnitude in x, compared as bits: a NaN or Inf comes
// out as such.
func maxAbs(x []float32) float32 {
	largest, done := maxAbsFast(x)
	return math.Float32frombits(max(largest, maxAbsBits(x[done:])))
}

// maxAbsBits is the largest magnitude in x as bits: what maxAbsFast equals.
func maxAbsBits(x []float32) uint32 {
	const magnitude = 0x7fffffff
	var m0, m1, m2, m3 uint32
	i := 0
	for ; i+4 <= len(x); i += 4 {
		in := (*[4]float32)(x[i:])
		m0 = max(m0, math.Float32bits(in[0])&magnitude)
		m1 = max(m1, math.Float32bits(in[1])&magnitude)
		m2 = max(m2, math.Float32bits(in[2])&magnitude)
		m3 = max(m3, math.Float32bits(in[3])&magnitude)
	}
	for ; i < len(x); i++ {
		m0 = max(m0, math.Float32bits(x[i])&magnitude)
	}
	return max(m0, m1, m2, m3)
}

// Len is the number of elements.
func (t *NF4Tensor) Len() int { return product(t.Shape) }

// Scales are the block scales in float32: Absmax itself, or the nested codes
// times their absmax, rounded, plus the offset, rounded.
func (t *NF4Tensor) Scales() []float32 {
	if t.Nested == nil {
		return t.Absmax
	}
	return t.Nested.dequantize()
}

// Dequantize writes all elements to dst, which has Len elements: the code's
// table value times the block's scale, rounded once to float32 (and not to
// DType, so that no precision is lost).
func (t *NF4Tensor) Dequantize(threads int, dst []float32) {
	if len(dst) != t.Len() {
		panic(fmt.Sprintf("quant: %d elements into %d", t.Len(), len(dst)))
	}
	scales := t.Scales()
	parallelBlocks(threads, len(scales), func(from, to int) {
		lo, hi := from*t.BlockSize, min(to*t.BlockSize, len(dst))
		t.DequantizeRange(dst[lo:hi], lo, scales)
	})
}

// DequantizeRange writes the elements from index first on to dst, given the
// result of Scales. It panics if they are not all there.
func (t *NF4Tensor) DequantizeRange(dst []float32, first int, scales []float32) {
	for len(dst) > 0 {
		block := first / t.BlockSize
		n := min((block+1)*t.BlockSize-first, len(dst))
		t.scaled(dst[:n], first, scales[block])
		dst, first = dst[n:], first+n
	}
}

// scaled dequantizes elements of one block.
func (t *NF4Tensor) scaled(dst []float32, first int, scale float32) {
	var table [16]float32
	for i, v := range t.Table {
		table[i] = v * scale
	}
	if first%2 == 1 && len(dst) > 0 {
		dst[0] = table[t.Packed[first/2]&15]
		dst, first = dst[1:], first+1
	}
	packed := t.Packed[first/2 : (first+len(dst)+1)/2]
	for i, p := range packed[:len(dst)/2] {
		pair := dst[2*i : 2*i+2 : 2*i+2]
		pair[0], pair[1] = table[p>>4], table[p&15]
	}
	if len(dst)%2 == 1 {
		dst[len(dst)-1] = table[packed[len(packed)-1]>>4]
	}
}

// BitsPerElement is the size of codes and scales over the number of elements.
func (t *NF4Tensor) BitsPerElement() float64 {
	return float64(t.Bytes()*8) / float64(max(t.Len(), 1))
}

// Bytes is the size of codes and scales, without the tables.
func (t *NF4Tensor) Bytes() int {
	n := len(t.Packed) + 4*len(t.Absmax)
	if t.Nested != nil {
		n += len(t.Nested.Codes) + 4*len(t.Nested.Absmax)
	}
	return n
}

func checkBlockSize(n int) error {
	if n < 32 || n > 4096 || n&(n-1) != 0 {
		return fmt.Errorf("block size %d is not a power of two from 32 to 4096", n)
	}
	return nil
}

func product(shape []int) int {
	n := 1
	for _, d := range shape {
		n *= d
	}
	return n
}
