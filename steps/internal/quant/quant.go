// Package quant packs float32 weights into few bits and back: bitsandbytes' NF4
// and FP4 with double quantization, eight-bit blocks as ggml's Q8_0, and, to read
// them, the block formats of ggml. One file each.
package quant

import (
	"fmt"

	"github.com/pipe-run/pipe/steps/internal/tensor"
)

// The schemes that Quantize knows.
const (
	NF4 = "nf4"
	FP4 = "fp4"
	Q8  = "q8_0"
)

// Tensor is a weight in few bits. It is multiplied with as it is, piece by piece.
type Tensor interface {
	tensor.Panels

	// Scheme is NF4, FP4 or Q8.
	Scheme() string

	// Parts are the tensors that hold it in a file, by suffix of the weight's name.
	Parts() ([]Part, error)

	// Bytes is the size of codes and scales, without tables and descriptions.
	Bytes() int
}

// Part is one of the tensors that hold a weight of few bits: the weight's own
// name followed by Suffix.
type Part struct {
	Suffix string
	DType  tensor.DType
	Shape  []int
	Data   []byte // little endian
}

// Options choose how Quantize stores a weight.
type Options struct {
	Scheme      string       // NF4, FP4 or Q8
	BlockSize   int          // of NF4 and FP4: a power of two from 32 to 4096; 64 is bitsandbytes' default
	DoubleQuant bool         // of NF4 and FP4: quantize the block scales too
	DType       tensor.DType // what to record as the dtype of the original weight
}

// Size is how many bytes of codes and scales so many elements take.
func (o Options) Size(elements int) int {
	if o.Scheme == Q8 {
		return elements + 2*(elements/Q8Block)
	}
	blocks := (elements + o.BlockSize - 1) / o.BlockSize
	if o.DoubleQuant {
		return (elements+1)/2 + blocks + 4*((blocks+nestedBlock-1)/nestedBlock)
	}
	return (elements+1)/2 + 4*blocks
}

// Quantize quantizes x, the row-major elements of a matrix [rows, columns], on up
// to threads cores; the bits do not depend on threads. A value that is infinite
// or NaN is an error, and so is a shape that the scheme cannot hold.
func Quantize(threads int, x []float32, shape []int, opt Options) (Tensor, error) {
	switch opt.Scheme {
	case NF4, FP4:
		return quantized(QuantizeFourBit(threads, x, shape, opt))
	case Q8:
		return quantized(QuantizeQ8(threads, x, shape))
	}
	return nil, fmt.Errorf("unknown scheme %q", opt.Scheme)
}

// quantized keeps a failed pointer from becoming an interface that is not nil.
func quantized[T Tensor](t T, err error) (Tensor, error) {
	if err != nil {
		return nil, err
	}
	return t, nil
}

// Dequantize writes all elements of t to dst, row by row, on up to threads cores.
func Dequantize(threads int, t tensor.Panels, dst []float32) {
	rows, columns := t.Shape()
	if len(dst) != rows*columns {
		panic(fmt.Sprintf("quant: %d elements into %d", rows*columns, len(dst)))
	}
	if columns == 0 {
		return
	}
	const rowsPerTask = 16
	tensor.Parallel(threads, (rows+rowsPerTask-1)/rowsPerTask, func(i int) {
		for r := i * rowsPerTask; r < min((i+1)*rowsPerTask, rows); r++ {
			t.Unpack(dst[r*columns:(r+1)*columns], r, 0)
		}
	})
}

// matrix reads a shape as rows and columns: the last dimension has the columns.
func matrix(dims []int) (rows, columns int) {
	if len(dims) == 0 {
		return 1, 1
	}
	return product(dims[:len(dims)-1]), dims[len(dims)-1]
}

// blocksPerTask is how many blocks one call of a parallel loop takes.
const blocksPerTask = 4096

// parallelBlocks calls f for ranges that cover [0, blocks) on up to threads
// goroutines and waits for them. Blocks must not depend on each other.
func parallelBlocks(threads, blocks int, f func(from, to int)) {
	tensor.Parallel(threads, (blocks+blocksPerTask-1)/blocksPerTask, func(i int) {
		f(i*blocksPerTask, min((i+1)*blocksPerTask, blocks))
	})
}
