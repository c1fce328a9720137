package quant

import (
	"fmt"
	"math"

	"github.com/pipe-run/pipe/steps/internal/tensor"
)

// FourBit is a weight of 4-bit codes as bitsandbytes stores it: the elements in
// row-major order, cut into blocks of BlockSize, each code an index into Table
// that is scaled by its block's absmax.
type FourBit struct {
	Type      string       // NF4 or FP4
	Dims      []int        // logical shape
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

// nestedBlock is the block size of double quantization, fixed in bitsandbytes.
const nestedBlock = 256

// minScale keeps the reciprocal of a block's absmax finite.
const minScale = 1e-38

// fourBitCode is how values in [-1, 1] become codes: the rank of a value is the
// number of thresholds strictly below it, and its code is order[rank].
type fourBitCode struct {
	table      [16]float32 // the value of every code
	order      [16]byte    // the codes by rank
	thresholds [15]float32 // ascending
	cells      [cellMask + 1]cell
}

// cell is one cell of the lookup that replaces a search in the thresholds:
// values in [-1, 1] fall into cells of width 1/512, narrower than the distance
// between two thresholds, so that one comparison decides.
type cell struct {
	threshold   float32 // the threshold inside the cell, or +Inf
	atMost, top byte    // the codes of values at or below the threshold, and above
}

// cellMagic is 1.5·2^14: added to a value in [-1, 1] it leaves the value in
// 512ths, rounded, in the lowest bits of the sum. cellMask keeps those bits.
const (
	cellMagic = 24576
	cellMask  = 2047
)

// cellOf is the cell of x in 512ths, from -512 to 512 for x in [-1, 1]. It does
// not decrease with x.
func cellOf(x float32) int32 {
	return int32(math.Float32bits(x+cellMagic) - 0x46c00000)
}

// newFourBitCode computes the lookup, by the low bits of the cell. Since cellOf
// does not decrease, the result equals counting thresholds for every x in [-1, 1].
func newFourBitCode(table [16]float32, order [16]byte, thresholds [15]float32) *fourBitCode {
	c := &fourBitCode{table: table, order: order, thresholds: thresholds}
	for n := int32(-512); n <= 512; n++ {
		rank, in := 0, cell{threshold: float32(math.Inf(1))}
		for _, t := range thresholds {
			switch at := cellOf(t); {
			case at < n:
				rank++
			case at == n:
				in.threshold = t
			}
		}
		in.atMost, in.top = order[rank], order[min(rank+1, 15)]
		c.cells[n&cellMask] = in
	}
	return c
}

// codesOf finds how values become codes of a scheme.
func codesOf(scheme string) *fourBitCode {
	if scheme == FP4 {
		return fp4()
	}
	return nf4()
}

// QuantizeFourBit is Quantize for NF4 and FP4. Codes and block scales equal
// bitsandbytes' bit for bit: elements are multiplied by the reciprocal of the
// block's absmax. In double quantization the offset is the mean of the block
// scales, summed in order in float64 (bitsandbytes leaves the order of its
// float32 sum to torch), and ties between two neighbours of the eight-bit map go
// to the lower one.
func QuantizeFourBit(threads int, x []float32, shape []int, opt Options) (*FourBit, error) {
	if err := checkBlockSize(opt.BlockSize); err != nil {
		return nil, err
	}
	if n := product(shape); n != len(x) {
		return nil, fmt.Errorf("shape %v has %d elements, not %d", shape, n, len(x))
	}
	blocks := (len(x) + opt.BlockSize - 1) / opt.BlockSize
	code := codesOf(opt.Scheme)
	t := &FourBit{
		Type: opt.Scheme, Dims: append([]int(nil), shape...), DType: opt.DType, BlockSize: opt.BlockSize,
		Table: code.table, Packed: make([]byte, (len(x)+1)/2), Absmax: make([]float32, blocks),
	}
	parallelBlocks(threads, blocks, func(from, to int) {
		for b := from; b < to; b++ {
			lo, hi := b*opt.BlockSize, min((b+1)*opt.BlockSize, len(x))
			t.Absmax[b] = code.block(t.Packed[lo/2:(hi+1)/2], x[lo:hi])
		}
	})
	if err := checkFinite(t.Absmax, opt.BlockSize, len(x)); err != nil {
		return nil, err
	}
	if opt.DoubleQuant {
		t.Nested, t.Absmax = nest(t.Absmax), nil
	}
	return t, nil
}

// checkFinite reports the block of n elements whose absmax is not a number.
func checkFinite(absmax []float32, blockSize, n int) error {
	for b, a := range absmax {
		if a-a != 0 {
			return fmt.Errorf("elements %d to %d hold a value that is not finite", b*blockSize, min((b+1)*blockSize, n)-1)
		}
	}
	return nil
}

// block packs the codes of one block into dst, a zero where the number of
// elements is odd, and returns the block's absmax (NaN or Inf if x has such).
func (c *fourBitCode) block(dst []byte, x []float32) float32 {
	absmax := maxAbs(x)
	scale := 1 / max(absmax, minScale)
	done := packFast(dst, x, c, scale)
	c.pack(dst[done/2:], x[done:], scale)
	return absmax
}

// pack packs the codes of x, scaled: what packFast equals.
func (c *fourBitCode) pack(dst []byte, x []float32, scale float32) {
	i := 0
	for ; i+8 <= len(x); i += 8 {
		in, out := (*[8]float32)(x[i:]), (*[4]byte)(dst[i/2:])
		out[0] = c.pair(in[0], in[1], scale)
		out[1] = c.pair(in[2], in[3], scale)
		out[2] = c.pair(in[4], in[5], scale)
		out[3] = c.pair(in[6], in[7], scale)
	}
	for ; i < len(x); i += 2 {
		var second float32
		if i+1 < len(x) {
			second = x[i+1]
		}
		dst[i/2] = c.pair(x[i], second, scale)
	}
}

// pair packs the codes of two values. The products are rounded before they are
// looked up: the conversions keep the compiler from fusing them with a sum.
func (c *fourBitCode) pair(first, second, scale float32) byte {
	return c.code(float32(first*scale))<<4 | c.code(float32(second*scale))
}

// code is the code of a scaled value. Values of a block with a NaN or Inf give
// some code, never a fault.
func (c *fourBitCode) code(y float32) byte {
	cell := &c.cells[cellOf(y)&cellMask]
	if y > cell.threshold {
		return cell.top
	}
	return cell.atMost
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

// Scheme implements Tensor.
func (t *FourBit) Scheme() string { return t.Type }

// Len is the number of elements.
func (t *FourBit) Len() int { return product(t.Dims) }

// Shape implements tensor.Panels.
func (t *FourBit) Shape() (rows, columns int) { return matrix(t.Dims) }

// Unpack implements tensor.Panels: each element is its code's table value times
// its block's scale, rounded once to float32 (and not to DType, so that no
// precision is lost). With double quantization the scale is the nested code's
// value times its absmax, rounded, plus the offset, rounded.
func (t *FourBit) Unpack(dst []float32, row, column int) {
	_, columns := t.Shape()
	t.unpack(dst, row*columns+column)
}

// scalesAtOnce is how many block scales unpack holds on its stack.
const scalesAtOnce = 32

// unpack writes the elements from index first on.
func (t *FourBit) unpack(dst []float32, first int) {
	var scales [scalesAtOnce]float32
	for len(dst) > 0 {
		block, blocks, n := t.BlockSize, 1, 0
		if within := first % block; within != 0 || len(dst) < block {
			block = min(block-within, len(dst)) // part of a block
		} else {
			blocks = min(len(dst)/block, scalesAtOnce)
		}
		t.scales(scales[:blocks], first/t.BlockSize)
		n = blocks * block
		t.unpackBlocks(dst[:n], first, scales[:blocks], block)
		dst, first = dst[n:], first+n
	}
}

// scales writes the scales of the blocks from block on.
func (t *FourBit) scales(dst []float32, block int) {
	if n := t.Nested; n != nil {
		n.dequantize(dst, block)
		return
	}
	copy(dst, t.Absmax[block:])
}

// unpackBlocks writes len(scales) runs of n elements, each in one block, from
// index first on.
func (t *FourBit) unpackBlocks(dst []float32, first int, scales []float32, n int) {
	packed := t.Packed[first/2 : (first+len(dst)+1)/2]
	if first%2 == 0 && unpack4Fast(dst, packed, &t.Table, scales, n) {
		return
	}
	for i, scale := range scales {
		unpack4(dst[i*n:(i+1)*n], packed[i*n/2:], &t.Table, scale, first%2 == 1)
	}
}

// unpack4 writes elements of one block, the first of them in the low nibble of
// its byte when odd is set: what unpack4Fast equals.
func unpack4(dst []float32, packed []byte, values *[16]float32, scale float32, odd bool) {
	var table [16]float32
	for i, v := range values {
		table[i] = v * scale
	}
	if odd && len(dst) > 0 {
		dst[0] = table[packed[0]&15]
		dst, packed = dst[1:], packed[1:]
	}
	for i, p := range packed[:len(dst)/2] {
		pair := dst[2*i : 2*i+2 : 2*i+2]
		pair[0], pair[1] = table[p>>4], table[p&15]
	}
	if len(dst)%2 == 1 {
		dst[len(dst)-1] = table[packed[len(dst)/2]>>4]
	}
}

// Bytes implements Tensor.
func (t *FourBit) Bytes() int {
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
