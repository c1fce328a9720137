// Command quantbench times quantizing and using weights of few bits for `make
// bench`. Each line of standard input
//
//	quantize SCHEME   a matrix [2048, 2048] of float32 becomes codes
//	unpack SCHEME     and float32 again, in the pieces of a product
//	copy              the same float32, copied
//	gemm SCHEME       512 rows times a matrix [1536, 576]; SCHEME may be f32
//
// is done once on one thread and answered with its seconds.
package main

import (
	"bufio"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/pipe-run/pipe/steps/internal/quant"
	"github.com/pipe-run/pipe/steps/internal/tensor"
)

const (
	side               = 2048 // of the matrix that is quantized
	piece              = 256  // elements unpacked at a time
	rows, outs, inputs = 512, 1536, 576
)

func main() {
	b := newBench()
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		work, scheme, _ := strings.Cut(lines.Text(), " ")
		run, err := b.prepare(work, scheme)
		if err != nil {
			fmt.Fprintln(os.Stderr, "quantbench:", err)
			os.Exit(1)
		}
		start := time.Now()
		run()
		fmt.Println(time.Since(start).Seconds())
	}
}

// bench holds filled inputs.
type bench struct{ x, y, left, product []float32 }

func newBench() *bench {
	return &bench{numbers(side * side), make([]float32, side*side), numbers(rows * inputs), numbers(rows * outs)}
}

// numbers are spread around zero.
func numbers(n int) []float32 {
	x := make([]float32, n)
	seed := uint32(1)
	for i := range x {
		seed = seed*1664525 + 1013904223
		x[i] = float32(int32(seed)) / (1 << 36)
	}
	return x
}

// prepare does what is not timed.
func (b *bench) prepare(work, scheme string) (func(), error) {
	opt := quant.Options{Scheme: scheme, BlockSize: 64, DoubleQuant: true, DType: tensor.BF16}
	switch work {
	case "copy":
		return func() { copy(b.y, b.x) }, nil
	case "quantize":
		return func() {
			if _, err := quant.Quantize(1, b.x, []int{side, side}, opt); err != nil {
				panic(err)
			}
		}, nil
	case "unpack":
		q, err := quant.Quantize(1, b.x, []int{side, side}, opt)
		return func() { unpack(q, b.y) }, err
	case "gemm":
		if scheme == "f32" {
			return func() { tensor.GemmNT(1, rows, outs, inputs, b.left, b.x, b.product, false) }, nil
		}
		q, err := quant.Quantize(1, b.x[:outs*inputs], []int{outs, inputs}, opt)
		return func() { tensor.GemmPanelsNT(1, rows, b.left, q, b.product, false) }, err
	}
	return nil, fmt.Errorf("unknown work %q", work)
}

func unpack(q quant.Tensor, dst []float32) {
	for row := range side {
		for column := 0; column < side; column += piece {
			q.Unpack(dst[row*side+column:][:piece], row, column)
		}
	}
}
