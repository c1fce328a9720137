// Command bf16bench multiplies matrices in bf16 and in float32 when told to,
// so that a bench can take turns between them: for each line "how threads m n k"
// on standard input it prints the seconds of one product. How is
//
//	f32      A·Bᵀ in float32, B packed beforehand
//	f32use   A·Bᵀ in float32, B packed at use
//	packed   A·Bᵀ in bf16, B packed beforehand
//	use      A·Bᵀ in bf16, B in float32 and packed at use
//	stored   A·Bᵀ in bf16, B stored as bf16 and packed at use
//	peak     not a product but a billion operations of AMX on tiles that are
//	         loaded already; 0 where there is no AMX
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
			fail(err)
		}
		if how == "peak" {
			fmt.Fprintf(out, "%.9f\n", peak(threads))
			out.Flush()
			continue
		}
		if p == nil || p.m != m || p.n != n || p.k != k {
			var err error
			if p, err = newProduct(m, n, k); err != nil {
				fail(err)
			}
		}
		fmt.Fprintf(out, "%.9f\n", p.seconds(how, threads))
		out.Flush()
	}
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, "bf16bench:", err)
	os.Exit(2)
}

// peak is the seconds of 1e9 operations at the rate of all threads together.
func peak(threads int) float64 {
	best := 0.0
	for range 5 {
		start := time.Now()
		flops := make([]float64, threads)
		tensor.Parallel(threads, threads, func(i int) { flops[i] = kernel.AMXPeak(200_000) })
		if flops[0] == 0 {
			return 0
		}
		if t := time.Since(start).Seconds() * 1e9 / (flops[0] * float64(threads)); best == 0 || t < best {
			best = t
		}
	}
	return best
}

// A product is C = A·Wᵀ with a [m, k] and w [n, k].
type product struct {
	m, n, k int
	a, w, c []float32
	f32     *tensor.Packed
	packed  *tensor.BF16Packed
	stored  *tensor.Half
}

func newProduct(m, n, k int) (*product, error) {
	p := &product{m: m, n: n, k: k, a: random(m * k), w: random(n * k), c: make([]float32, m*n)}
	p.f32, p.packed = tensor.PackNT(1, n, k, p.w), tensor.PackBF16NT(1, n, k, p.w)
	data := make([]byte, 2*len(p.w))
	if err := tensor.Encode(data, tensor.BF16, p.w); err != nil {
		return nil, err
	}
	var err error
	p.stored, err = tensor.NewHalf(tensor.BF16, n, k, data)
	return p, err
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
func (p *product) seconds(how string, threads int) float64 {
	best, total := 0.0, 0.0
	for i := 0; i < 3 || total < 0.1; i++ {
		start := time.Now()
		p.multiply(how, threads)
		t := time.Since(start).Seconds()
		total += t
		if best == 0 || t < best {
			best = t
		}
	}
	return best
}

func (p *product) multiply(how string, threads int) {
	switch how {
	case "f32":
		p.f32.Mul(threads, p.m, p.a, p.c, false)
	case "f32use":
		tensor.GemmNT(threads, p.m, p.n, p.k, p.a, p.w, p.c, false)
	case "packed":
		p.packed.Mul(threads, p.m, p.a, p.c, false)
	case "use":
		tensor.GemmBF16NT(threads, p.m, p.n, p.k, p.a, p.w, p.c, false)
	case "stored":
		tensor.GemmBF16(threads, p.m, p.k, p.a, tensor.BF16Right{B: tensor.BF16PanelsNT(p.stored), C: p.c})
	default:
		fail(fmt.Errorf("no product named %q", how))
	}
}
