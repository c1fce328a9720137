package tensor

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/pipe-run/pipe/steps/internal/kernel"
)

// gflops reports the rate of a product done b.N times.
func gflops(b *testing.B, m, n, k int) {
	flops := 2 * float64(m) * float64(n) * float64(k) * float64(b.N)
	b.ReportMetric(flops/float64(b.Elapsed().Nanoseconds()), "GFLOP/s")
}

func BenchmarkGemm(b *testing.B) {
	r := rand.New(rand.NewPCG(7, 8))
	for _, tile := range kernel.Tiles() {
		for _, s := range [][3]int{{512, 2048, 2048}, {512, 576, 576}, {512, 64, 64}, {512, 8, 576}, {512, 576, 8}, {1, 576, 1536}} {
			m, n, k := s[0], s[1], s[2]
			if tile.Name == kernel.Generic().Name && m*n*k > 1<<28 {
				continue
			}
			x, w, c := random(r, m*k), random(r, n*k), random(r, m*n)
			packed := newPacked(tile, 1, n, k, lanesByRow{w, k})
			rows := byRow(x, k)
			for _, threads := range []int{1, 2} {
				for _, f := range []struct {
					name string
					run  func()
				}{
					{"packed", func() { packed.Mul(threads, m, x, c, false) }},
					{"NT", func() { gemm(tile, threads, m, n, k, rows, lanesByRow{w, k}, c, n, false) }},
					{"NN", func() { gemm(tile, threads, m, n, k, rows, lanesByColumn{w, n}, c, n, false) }},
					{"TN", func() { gemmTN(tile, threads, m, n, k, x, m, w, n, c, n, false) }},
				} {
					b.Run(fmt.Sprintf("%s/%dx%dx%d/%s/%d", tile.Name, m, n, k, f.name, threads), func(b *testing.B) {
						b.SetBytes(int64(4 * (m*k + n*k + m*n)))
						b.ReportAllocs()
						for b.Loop() {
							f.run()
						}
						gflops(b, m, n, k)
					})
				}
			}
		}
	}
}
