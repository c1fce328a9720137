package quant

import (
	"fmt"
	"testing"

	"github.com/pipe-run/pipe/steps/internal/tensor"
)

// benchSchemes are the options to measure, on a matrix [2048, 2048].
func benchSchemes() []Options {
	return []Options{
		{Scheme: NF4, BlockSize: 64, DType: tensor.BF16},
		{Scheme: NF4, BlockSize: 64, DType: tensor.BF16, DoubleQuant: true},
		{Scheme: FP4, BlockSize: 64, DType: tensor.BF16, DoubleQuant: true},
		{Scheme: Q8},
	}
}

func (o Options) String() string {
	if o.DoubleQuant {
		return o.Scheme + "-double"
	}
	return o.Scheme
}

const benchSide = 2048

// BenchmarkQuantize counts the bytes of float32 read.
func BenchmarkQuantize(b *testing.B) {
	x := random(benchSide*benchSide, 1)
	for _, opt := range benchSchemes() {
		b.Run(opt.String(), func(b *testing.B) {
			b.SetBytes(int64(4 * len(x)))
			for b.Loop() {
				if _, err := Quantize(1, x, []int{benchSide, benchSide}, opt); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkUnpack counts the bytes of float32 written, in the pieces of a product.
func BenchmarkUnpack(b *testing.B) {
	x := random(benchSide*benchSide, 1)
	for _, opt := range benchSchemes() {
		q, err := Quantize(1, x, []int{benchSide, benchSide}, opt)
		if err != nil {
			b.Fatal(err)
		}
		for _, piece := range []int{128, 256} {
			dst := make([]float32, piece)
			b.Run(fmt.Sprintf("%s/%d", opt, piece), func(b *testing.B) {
				b.SetBytes(int64(4 * len(x)))
				for b.Loop() {
					for row := range benchSide {
						for column := 0; column < benchSide; column += piece {
							q.Unpack(dst, row, column)
						}
					}
				}
			})
		}
	}
}

// BenchmarkKernels is the assembly beside the plain Go that defines it, in L1.
func BenchmarkKernels(b *testing.B) {
	const n = 64
	x, dst, packed := random(n, 1), make([]float32, n), make([]byte, n)
	c, scale := nf4(), []float32{0.5}
	for _, k := range []struct {
		name string
		run  func()
	}{
		{"pack4/fast", func() { packFast(packed, x, c, 20) }},
		{"pack4/plain", func() { c.pack(packed, x, 20) }},
		{"unpack4/fast", func() { unpack4Fast(dst, packed, &c.table, scale, n) }},
		{"unpack4/plain", func() { unpack4(dst, packed, &c.table, scale[0], false) }},
		{"codes8/fast", func() { q8CodesFast(packed, x, 1000) }},
		{"codes8/plain", func() { q8CodesPlain(packed, x, 1000) }},
		{"unpack8/fast", func() { unpack8Fast(dst, packed, scale, n) }},
		{"unpack8/plain", func() { unpack8Plain(dst, packed, scale[0]) }},
	} {
		b.Run(k.name, func(b *testing.B) {
			b.SetBytes(4 * n)
			for b.Loop() {
				k.run()
			}
		})
	}
}

// BenchmarkGemm multiplies 512 rows with a matrix of each scheme, beside the
// same matrix in float32, laid out in panels at use as theirs are.
func BenchmarkGemm(b *testing.B) {
	const m, n, k = 512, 1536, 576
	w, x, y := random(n*k, 1), random(m*k, 2), make([]float32, m*n)
	report := func(b *testing.B) {
		b.ReportMetric(2*m*n*k*float64(b.N)/b.Elapsed().Seconds()/1e9, "GFLOP/s")
	}
	b.Run("f32", func(b *testing.B) {
		for b.Loop() {
			tensor.GemmNT(1, m, n, k, x, w, y, false)
		}
		report(b)
	})
	for _, opt := range benchSchemes() {
		q, err := Quantize(1, w, []int{n, k}, opt)
		if err != nil {
			b.Fatal(err)
		}
		b.Run(opt.String()+"/forward", func(b *testing.B) {
			for b.Loop() {
				tensor.GemmPanelsNT(1, m, x, q, y, false)
			}
			report(b)
		})
		b.Run(opt.String()+"/backward", func(b *testing.B) {
			for b.Loop() {
				tensor.GemmPanelsNN(1, m, y, q, x, false)
			}
			report(b)
		})
	}
}
