// Command gemmbench multiplies float32 matrices when told to, so that a bench
// can take turns with another program: for each line "how threads m n k" on
// standard input it prints the seconds of one product. How is "packed" (the
// right side packed beforehand) or "use" (packed at use).
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
	var p *product
	for lines.Scan() {
		var how string
		var threads, m, n, k int
		if _, err := fmt.Sscan(lines.Text(), &how, &threads, &m, &n, &k); err != nil {
			fmt.Fprintln(os.Stderr, "gemmbench:", err)
			os.Exit(2)
		}
		if p == nil || p.m != m || p.n != n || p.k != k || p.threads != threads {
			p = newProduct(threads, m, n, k)
		}
		fmt.Fprintf(out, "%.9f\n", p.seconds(how))
		out.Flush()
	}
}

// A product is C = A·Wᵀ with a[m,k] and w[n,k].
type product struct {
	threads, m, n, k int
	a, w, c          []float32
	packed           *tensor.Packed
}

func newProduct(threads, m, n, k int) *product {
	p := &product{threads: threads, m: m, n: n, k: k, a: random(m * k), w: random(n * k), c: make([]float32, m*n)}
	p.packed = tensor.PackNT(threads, n, k, p.w)
	return p
}

func random(n int) []float32 {
	v := make([]float32, n)
	r := kernel.Rand(1, "bench", 0)
	for i := range v {
		v[i] = r.Float32() - 0.5
	}
	return v
}

// seconds is the best of as many products as fill a tenth of a second.
func (p *product) seconds(how string) float64 {
	best, total := 0.0, 0.0
	for i := 0; i < 3 || total < 0.1; i++ {
		start := time.Now()
		if how == "packed" {
			p.packed.Mul(p.threads, p.m, p.a, p.c, false)
		} else {
			tensor.GemmNT(p.threads, p.m, p.n, p.k, p.a, p.w, p.c, false)
		}
		t := time.Since(start).Seconds()
		total += t
		if best == 0 || t < best {
			best = t
		}
	}
	return best
}
