// Command gemmbench multiplies float32 matrices when told to, so that a bench
// can take turns with another program: for each line "how threads m n k" on
// standard input it prints the seconds of one product. How is
//
//	packed  A·Bᵀ, B packed beforehand
//	use     A·Bᵀ, B packed at use
//	bf16    A·Bᵀ, B kept as bf16 and unpacked at use
//	tn      Aᵀ·B
//	peak    not a product but a billion operations in registers
package main

import (
	"bufio"
	"fmt"
	"os"
	"time"

	"github.com/pipe-run/pipe/steps/internal/kernel"
	"github.com/pipe-run/pipe/steps/internal/tensor"
)

func main() {
	out := bufio.NewWriter(os.Stdout)
	defer out.Flush()
	lines := bufio.NewScanner(os.Stdin)
	var p product
	for lines.Scan() {
		var how string
		var threads, m, n, k int
		if _, err := fmt.Sscan(lines.Text(), &how, &threads, &m, &n, &k); err != nil {
			fmt.Fprintln(os.Stderr, "gemmbench:", err)
			os.Exit(2)
		}
		if how == "peak" {
			fmt.Fprintf(out, "%.9f\n", peak(threads))
		} else {
			p.shape(m, n, k)
			fmt.Fprintf(out, "%.9f\n", p.seconds(how, threads))
		}
		out.Flush()
	}
}

// peak is the seconds of 1e9 operations, at the rate of a few hundredths of a
// second on every thread.
func peak(threads int) float64 {
	tile := kernel.Tiles()[0]
	const turns = 1_000_000
	best := 0.0
	for range 5 {
		start := time.Now()
		operations := make([]int, threads)
		tensor.Parallel(threads, threads, func(i int) { operations[i] = tile.Peak(turns) })
		t := time.Since(start).Seconds() * 1e9 / float64(operations[0]*threads)
		if best == 0 || t < best {
			best = t
		}
	}
	return best
}

// A product has a [m, k] and w [n, k], or for tn a [k, m] and w [k, n].
type product struct {
	m, n, k int
	a, w, c []float32
	packed  *tensor.Packed
	half    *tensor.Half
}

// shape makes operands of another shape, if it is another.
func (p *product) shape(m, n, k int) {
	if p.m != m || p.n != n || p.k != k {
		*p = product{m: m, n: n, k: k, a: random(m * k), w: random(n * k), c: make([]float32, m*n)}
	}
}

func random(n int) []float32 {
	v := make([]float32, n)
	r := kernel.Rand(1, "bench", 0)
	for i := range v {
		v[i] = r.Float32() - 0.5
	}
	return v
}

// seconds is the best of as many products as fill some hundredths of a second.
func (p *product) seconds(how string, threads int) float64 {
	run := p.product(how, threads)
	best, total := 0.0, 0.0
	for total < 0.02 {
		start := time.Now()
		run()
		t := time.Since(start).Seconds()
		total += t
		if best == 0 || t < best {
			best = t
		}
	}
	return best
}

// product is one product, with what is to be ready beforehand made ready.
func (p *product) product(how string, threads int) func() {
	switch how {
	case "packed":
		if p.packed == nil {
			p.packed = tensor.PackNT(threads, p.n, p.k, p.w)
		}
		return func() { p.packed.Mul(threads, p.m, p.a, p.c, false) }
	case "bf16":
		if p.half == nil {
			p.half = narrowed(p.n, p.k, p.w)
		}
		return func() { tensor.GemmPanelsNT(threads, p.m, p.a, p.half, p.c, false) }
	case "tn":
		return func() { tensor.GemmTN(threads, p.m, p.n, p.k, p.a, p.w, p.c, false) }
	}
	return func() { tensor.GemmNT(threads, p.m, p.n, p.k, p.a, p.w, p.c, false) }
}

// narrowed is w [n, k] as bf16.
func narrowed(n, k int, w []float32) *tensor.Half {
	data := make([]byte, 2*n*k)
	err := tensor.Encode(data, tensor.BF16, w)
	if err == nil {
		var h *tensor.Half
		if h, err = tensor.NewHalf(tensor.BF16, n, k, data); err == nil {
			return h
		}
	}
	panic(err) // the sizes fit
}
