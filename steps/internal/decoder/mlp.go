package decoder

import (
	"github.com/pipe-run/pipe/steps/internal/kernel"
	"github.com/pipe-run/pipe/steps/internal/tensor"
)

// chunk is how many elements one unit of elementwise work covers.
const chunk = 1 << 14

// eachChunk calls f for consecutive ranges [lo, hi) that cover n, in parallel.
func eachChunk(threads, n int, f func(lo, hi int)) {
	tensor.Parallel(threads, (n+chunk-1)/chunk, func(i int) { f(i*chunk, min(n, (i+1)*chunk)) })
}

// activate computes the MLP's activations from ups, what its first linears gave:
// the gate and what it gates, or one alone.
func (c Config) activate(threads int, ups [2][]float32, act []float32) {
	eachChunk(threads, len(act), func(lo, hi int) {
		a, x := act[lo:hi], ups[0][lo:hi]
		switch {
		case c.Gated && c.Act == SiLU:
			kernel.SwiGLU(a, x, ups[1][lo:hi])
		case c.Gated && c.Act == GELUTanh:
			kernel.GeGLU(a, x, ups[1][lo:hi])
		case c.Act == SiLU:
			kernel.SiLUSlice(a, x)
		case c.Act == GELUTanh:
			kernel.GELU(a, x)
		default:
			kernel.GELUErf(a, x)
			if c.Gated {
				kernel.Mul(a, ups[1][lo:hi])
			}
		}
	})
}

// activateBackward computes the gradients of ups for dact, that of the
// activations. The first goes where the activations were, act, the second, if
// there is one, where their gradient was. ups may be overwritten.
func (c Config) activateBackward(threads int, ups [2][]float32, act, dact []float32) [2][]float32 {
	eachChunk(threads, len(act), func(lo, hi int) {
		a, d, x := act[lo:hi], dact[lo:hi], ups[0][lo:hi]
		switch {
		case c.Gated && c.Act == SiLU:
			kernel.SwiGLUBackward(a, d, x, ups[1][lo:hi], d)
		case c.Gated && c.Act == GELUTanh:
			kernel.GeGLUBackward(a, d, x, ups[1][lo:hi], d)
		case c.Gated:
			up := ups[1][lo:hi]
			kernel.Mul(up, d)
			kernel.GELUErf(a, x)
			kernel.Mul(d, a)
			kernel.GELUErfBackward(a, x, up)
		case c.Act == SiLU:
			for i := range a {
				a[i] = 1
			}
			kernel.SwiGLUBackward(a, d, x, a, d)
		case c.Act == GELUTanh:
			kernel.GELUBackward(a, x, d)
		default:
			kernel.GELUErfBackward(a, x, d)
		}
	})
	return [2][]float32{act, dact}
}
