package quant

import (
	"encoding/binary"
	"fmt"
	"math"

	"github.com/pipe-run/pipe/steps/internal/tensor"
)

// Q8Tensor is a matrix of eight-bit codes in blocks of Q8Block elements of a row,
// each with a scale in half precision: the numbers of ggml's Q8_0, codes and
// scales side by side as compressed-tensors stores them.
type Q8Tensor struct {
	Rows, Columns int
	Codes         []byte // [Rows, Columns], signed
	Scales        []byte // [Rows, Columns/Q8Block] of F16, little endian
}

// Q8Block is how many elements of a row share a scale in Q8.
const Q8Block = 32

// scaleSuffix is that of the scales' name.
const scaleSuffix = "_scale"

// QuantizeQ8 is Quantize for Q8: codes and scales are those of ggml's reference.
// The scale is absmax/127, rounded to half precision; codes are elements times
// the reciprocal of the scale before that rounding, rounded half away from zero.
func QuantizeQ8(threads int, x []float32, shape []int) (*Q8Tensor, error) {
	if n := product(shape); n != len(x) {
		return nil, fmt.Errorf("shape %v has %d elements, not %d", shape, n, len(x))
	}
	rows, columns := matrix(shape)
	if columns%Q8Block != 0 {
		return nil, fmt.Errorf("rows of %d elements are not whole blocks of %d", columns, Q8Block)
	}
	blocks := len(x) / Q8Block
	t := &Q8Tensor{Rows: rows, Columns: columns, Codes: make([]byte, len(x)), Scales: make([]byte, 2*blocks)}
	absmax := make([]float32, blocks)
	parallelBlocks(threads, blocks, func(from, to int) {
		for b := from; b < to; b++ {
			lo, hi := b*Q8Block, (b+1)*Q8Block
			absmax[b] = maxAbs(x[lo:hi])
			scale := absmax[b] / 127
			binary.LittleEndian.PutUint16(t.Scales[2*b:], tensor.F16FromF32(scale))
			q8Codes(t.Codes[lo:hi], x[lo:hi], reciprocal(scale))
		}
	})
	if err := checkFinite(absmax, Q8Block, len(x)); err != nil {
		return nil, err
	}
	const largest = 127 * 65504
	for b, a := range absmax {
		if a > largest {
			return nil, fmt.Errorf("elements %d to %d reach %g, more than %s holds", b*Q8Block, (b+1)*Q8Block-1, a, Q8)
		}
	}
	return t, nil
}

// reciprocal is 1/scale, 0 where that is not finite: a block of zeros, or of
// numbers so small that their scale is zero in half precision.
func reciprocal(scale float32) float32 {
	if r := 1 / scale; r <= math.MaxFloat32 {
		return r
	}
	return 0
}

// q8Codes writes the codes of a block, scaled.
func q8Codes(dst []byte, x []float32, scale float32) {
	done := q8CodesFast(dst, x, scale)
	q8CodesPlain(dst[done:], x[done:], scale)
}

// q8CodesPlain is what q8CodesFast equals. The largest float below ½, with the
// sign of the product, makes truncation round half away from zero.
func q8CodesPlain(dst []byte, x []float32, scale float32) {
	const belowHalf, sign = 0x3effffff, 1 << 31
	for i, v := range x {
		v = float32(v * scale)
		dst[i] = byte(int32(v + math.Float32frombits(belowHalf|math.Float32bits(v)&sign)))
	}
}

// Scheme implements Tensor.
func (t *Q8Tensor) Scheme() string { return Q8 }

// Shape implements tensor.Panels.
func (t *Q8Tensor) Shape() (rows, columns int) { return t.Rows, t.Columns }

// Unpack implements tensor.Panels: each element is its code times its block's
// scale, which float32 holds exactly.
func (t *Q8Tensor) Unpack(dst []float32, row, column int) {
	var scales [scalesAtOnce]float32
	for first := row*t.Columns + column; len(dst) > 0; {
		block, blocks := Q8Block, 1
		if within := first % Q8Block; within != 0 || len(dst) < Q8Block {
			block = min(Q8Block-within, len(dst)) // part of a block
		} else {
			blocks = min(len(dst)/Q8Block, scalesAtOnce)
		}
		for i := range blocks {
			scales[i] = tensor.F32FromF16(binary.LittleEndian.Uint16(t.Scales[2*(first/Q8Block+i):]))
		}
		n := blocks * block
		unpack8(dst[:n], t.Codes[first:first+n], scales[:blocks], block)
		dst, first = dst[n:], first+n
	}
}

// unpack8 writes len(scales) runs of n elements, each in one block.
func unpack8(dst []float32, codes []byte, scales []float32, n int) {
	if unpack8Fast(dst, codes, scales, n) {
		return
	}
	for i, scale := range scales {
		unpack8Plain(dst[i*n:(i+1)*n], codes[i*n:(i+1)*n], scale)
	}
}

// unpack8Plain is what unpack8Fast equals.
func unpack8Plain(dst []float32, codes []byte, scale float32) {
	for i, q := range codes[:len(dst)] {
		dst[i] = float32(int8(q)) * scale
	}
}

// Bytes implements Tensor.
func (t *Q8Tensor) Bytes() int { return len(t.Codes) + len(t.Scales) }

// Parts implements Tensor, as compressed-tensors stores 8-bit integers in groups.
func (t *Q8Tensor) Parts() ([]Part, error) {
	return []Part{
		{"", tensor.I8, []int{t.Rows, t.Columns}, t.Codes},
		{scaleSuffix, tensor.F16, []int{t.Rows, t.Columns / Q8Block}, t.Scales},
	}, nil
}

// parseQ8 puts a weight of codes as described by the first part together, all
// but the codes themselves.
func parseQ8(codes, scale Part) (*Q8Tensor, error) {
	if codes.DType != tensor.I8 || len(codes.Shape) != 2 {
		return nil, fmt.Errorf("codes are %s %v, not a matrix of I8", codes.DType, codes.Shape)
	}
	if _, err := elementCount(codes.Shape); err != nil {
		return nil, err
	}
	t := &Q8Tensor{Rows: codes.Shape[0], Columns: codes.Shape[1], Scales: scale.Data}
	if t.Columns%Q8Block != 0 {
		return nil, fmt.Errorf("rows of %d elements are not whole blocks of %d", t.Columns, Q8Block)
	}
	blocks := t.Columns / Q8Block
	if scale.DType != tensor.F16 || len(scale.Shape) != 2 || scale.Shape[0] != t.Rows || scale.Shape[1] != blocks || len(scale.Data) != 2*t.Rows*blocks {
		return nil, fmt.Errorf("%s is %s %v, not F16 [%d %d]: a scale for each %d elements of a row", scaleSuffix, scale.DType, scale.Shape, t.Rows, blocks, Q8Block)
	}
	for i := 0; i < len(scale.Data); i += 2 {
		if binary.LittleEndian.Uint16(scale.Data[i:])&0x7c00 == 0x7c00 {
			return nil, fmt.Errorf("%s holds a value that is not finite", scaleSuffix)
		}
	}
	return t, nil
}

// CodeBytes implements Header.
func (t *Q8Tensor) CodeBytes() int { return t.Rows * t.Columns }

// WithCodes implements Header.
func (t *Q8Tensor) WithCodes(codes []byte) (Tensor, error) {
	if want := t.CodeBytes(); len(codes) != want {
		return nil, fmt.Errorf("%d bytes of codes, not %d", len(codes), want)
	}
	c := *t
	c.Codes = codes
	return &c, nil
}
