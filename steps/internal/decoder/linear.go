package decoder

import (
	"github.com/pipe-run/pipe/steps/internal/tensor"
)

// Linear is a matrix W [Out, In] that a block multiplies with from both sides.
// Implementations are safe for use by one goroutine at a time.
type Linear interface {
	// Forward computes y [m, Out] = x [m, In]·Wᵀ, added to y when add is set.
	Forward(threads, m int, x, y []float32, add bool)
	// Backward computes dx [m, In] = dy [m, Out]·W, added to dx when add is set.
	Backward(threads, m int, dy, dx []float32, add bool)
}

// raw is a dense matrix used where it lies, as full training and tests do.
type raw struct {
	out, in int
	w       []float32
}

func (l raw) Forward(threads, m int, x, y []float32, add bool) {
	tensor.GemmNT(threads, m, l.out, l.in, x, l.w, y, add)
}

func (l raw) Backward(threads, m int, dy, dx []float32, add bool) {
	tensor.GemmNN(threads, m, l.in, l.out, dy, l.w, dx, add)
}

// The linears of a block, in the order in which they are computed. This is also
// the order of trainable tensors among an op's inputs.
const (
	projQ = iota
	projK
	projV
	projO
	projGate
	projUp
	projDown
	numProj
)

// projShape is the shape [out, in] of a linear of a block.
func (c Config) projShape(p int) (out, in int) {
	q, kv := c.Heads*c.HeadDim, c.KVHeads*c.HeadDim
	switch p {
	case projQ:
		if c.FusedQKV {
			return q + 2*kv, c.Hidden
		}
		return q, c.Hidden
	case projK, projV:
		return kv, c.Hidden
	case projO:
		return c.Hidden, q
	case projDown:
		return c.Hidden, c.Intermediate
	}
	return c.Intermediate, c.Hidden
}

// adapted is a linear with an optional LoRA.
type adapted struct {
	base    Linear
	bias    []float32 // [out]; nil for none
	out, in int
	num     Numerics
	lora    LoRA
	drop    *dropout // of what the LoRA sees; nil for none
	// da, db and dm receive the gradients of A, B and the magnitudes; nil when not
	// wanted.
	da, db, dm []float32
	// dw and dbias receive the gradients of W and the bias; nil when not wanted.
	dw, dbias []float32
	// low is what the backward pass needs of the forward pass that ran before.
	// Linears may share one when the forward pass of each is repeated right before
	// its backward pass. It is made on first use when nil.
	low   *low
	work  *lowWork // scratch of DoRA in training; nil otherwise
	fused fused
}

// reduce computes what backward needs of a forward pass over x [m, in] whose
// output nobody needs.
func (l *adapted) reduce(threads, m int, x []float32) {
	if l.lora.Rank > 0 {
		l.project(threads, m, x)
	}
	if l.lora.DoRA != nil {
		l.doraValues(threads, m, x)
	}
}

// forward computes y [m, out] from x [m, in].
func (l *adapted) forward(threads, m int, x, y []float32) {
	if l.lora.Rank > 0 && l.fuses() {
		forwardAll(threads, m, x, []*adapted{l}, [][]float32{y})
		return
	}
	l.plainForward(threads, m, x, y)
}

// plainForward is forward, one product after another.
func (l *adapted) plainForward(threads, m int, x, y []float32) {
	switch {
	case l.lora.DoRA != nil:
		l.doraForward(threads, m, x, y)
	case l.lora.Rank > 0:
		l.base.Forward(threads, m, x, y, false)
		l.lowForward(threads, m, x, y)
	default:
		l.base.Forward(threads, m, x, y, false)
	}
	if l.bias != nil {
		addBias(threads, m, l.bias, y)
	}
}

// backward computes dx [m, in] from dy [m, out], adding when add is set, and
// the wanted gradients. x is the input of the forward pass that ran just before
// with the same l. dx may be nil.
func (l *adapted) backward(threads, m int, x, dy, dx []float32, add bool) {
	if l.fuses() {
		l.fusedBackward(threads, m, x, dy, dx, add)
		return
	}
	l.plainBackward(threads, m, x, dy, dx, add)
}

// plainBackward is backward, one product after another.
func (l *adapted) plainBackward(threads, m int, x, dy, dx []float32, add bool) {
	l.denseGradients(threads, m, x, dy)
	if l.lora.DoRA != nil {
		l.doraBackward(threads, m, x, dy, dx, add)
		return
	}
	if dx != nil {
		l.base.Backward(threads, m, dy, dx, add)
	}
	if l.lora.Rank > 0 {
		l.lowBackward(threads, m, x, dy, dx)
	}
}

// denseGradients computes the wanted gradients of W and the bias.
func (l *adapted) denseGradients(threads, m int, x, dy []float32) {
	if l.dw != nil {
		l.num.gemmTN(threads, l.out, l.in, m, dy, x, l.dw, false)
	}
	if l.dbias != nil {
		columnSums(threads, m, dy, l.dbias)
	}
}

// addBias adds bias [n] to the m rows of y [m, n].
func addBias(threads, m int, bias, y []float32) {
	n := len(bias)
	tensor.Parallel(threads, m, func(i int) {
		row := y[i*n:][:n]
		for j, b := range bias {
			row[j] += b
		}
	})
}

// columnStrip is how many columns are summed at a time.
const columnStrip = 64

// columnSums computes dst [n], the sums of the columns of x [m, n], from the
// first row to the last in float64.
func columnSums(threads, m int, x, dst []float32) {
	n := len(dst)
	tensor.Parallel(threads, (n+columnStrip-1)/columnStrip, func(i int) {
		lo := i * columnStrip
		out := dst[lo:min(lo+columnStrip, n)]
		var sums [columnStrip]float64
		for t := range m {
			for j, v := range x[t*n+lo:][:len(out)] {
				sums[j] += float64(v)
			}
		}
		for j := range out {
			out[j] = float32(sums[j])
		}
	})
}

// sized returns buf with length n, reallocating only when it is too small.
func sized(buf []float32, n int) []float32 {
	if cap(buf) < n {
		return make([]float32, n)
	}
	return buf[:n]
}
