package decoder

import (
	"math"

	"github.com/pipe-run/pipe/steps/internal/kernel"
	"github.com/pipe-run/pipe/steps/internal/tensor"
)

// DoRA gives the rows of V = W + Scale·B·A the lengths Magnitude: with the row
// lengths n of V, y = (Magnitude/n) ⊙ (V·x) + bias. Where dropout hides a part
// of x from the update, it hides it from V, and W·x for that part is added as it
// is. The gradient takes n for a constant, as the paper proposes (Liu et al.,
// DoRA: Weight-Decomposed Low-Rank Adaptation, 2024, section 4.3).
type DoRA struct {
	Magnitude []float32 // [Out]
	// Squares are the squared lengths of the rows of W.
	Squares []float64
	// Gain is Magnitude/n where the weights stay as they are; nil has it computed
	// in every forward pass, from Squares.
	Gain []float32
}

// doraValues is what DoRA keeps between its passes.
type doraValues struct {
	gain    []float32 // Magnitude/n [out]
	inverse []float64 // 1/n [out]
	u       []float32 // V·seen [m, out]
	p, g    []float32 // A·Wᵀ [Rank, out] and A·Aᵀ [Rank, Rank]
}

// doraForward computes y [m, out], before the bias.
func (l *adapted) doraForward(threads, m int, x, y []float32) {
	l.project(threads, m, x)
	if l.work == nil { // nothing to keep for a backward pass
		l.base.Forward(threads, m, x, y, false)
		l.num.gemmNT(threads, m, l.out, l.lora.Rank, l.low.z, l.lora.B, y, true)
		gain := l.gain(threads)
		tensor.Parallel(threads, m, func(i int) { kernel.Mul(y[i*l.out:][:l.out], gain) })
		return
	}
	l.doraValues(threads, m, x)
	if l.drop != nil {
		hidden := l.seen(threads, m, x) // becomes x − seen
		tensor.Parallel(threads, m, func(i int) {
			row := hidden[i*l.in:][:l.in]
			for j, v := range x[i*l.in:][:l.in] {
				row[j] = v - row[j]
			}
		})
		l.base.Forward(threads, m, hidden, y, false)
	} else {
		clear(y[:m*l.out])
	}
	l.addScaled(threads, m, l.low.dora.u, y)
}

// addScaled adds gain ⊙ x to y, both [m, out].
func (l *adapted) addScaled(threads, m int, x, y []float32) {
	gain := l.low.dora.gain
	tensor.Parallel(threads, m, func(i int) {
		kernel.AddMul(y[i*l.out:][:l.out], gain, x[i*l.out:])
	})
}

// doraValues computes gain and u, from z and x [m, in].
func (l *adapted) doraValues(threads, m int, x []float32) {
	v := &l.low.dora
	l.gain(threads)
	v.u = sized(v.u, m*l.out)
	l.base.Forward(threads, m, l.seen(threads, m, x), v.u, false)
	l.num.gemmNT(threads, m, l.out, l.lora.Rank, l.low.z, l.lora.B, v.u, true)
}

// gain returns Magnitude/n. The squared length of a row of V is
//
//	|w|² + 2s·b·(A·w) + s²·b·(A·Aᵀ)·b   for the rows w of W and b of B,
//
// so that neither V nor W is needed. A row of length 0 stays as it is.
func (l *adapted) gain(threads int) []float32 {
	d, v := l.lora.DoRA, &l.low.dora
	if d.Gain != nil {
		return d.Gain
	}
	r, s := l.lora.Rank, float64(l.lora.Scale)
	v.gain, v.p, v.g = sized(v.gain, l.out), sized(v.p, r*l.out), sized(v.g, r*r)
	if len(v.inverse) != l.out {
		v.inverse = make([]float64, l.out)
	}
	l.base.Forward(threads, r, l.lora.A, v.p, false)
	tensor.GemmNT(threads, r, r, l.in, l.lora.A, l.lora.A, v.g, false)
	const strip = 64
	tensor.Parallel(threads, (l.out+strip-1)/strip, func(i int) {
		for o := i * strip; o < min(l.out, (i+1)*strip); o++ {
			var cross, own float64
			for k, b := range l.lora.B[o*r:][:r] {
				cross += float64(float64(b) * float64(v.p[k*l.out+o]))
				own += float64(float64(b) * kernel.Dot64(v.g[k*r:][:r], l.lora.B[o*r:][:r]))
			}
			square := d.Squares[o] + float64(2*s*cross) + float64(s*s*own)
			v.gain[o], v.inverse[o] = 1, 0
			if square > 0 {
				v.inverse[o] = 1 / math.Sqrt(square)
				v.gain[o] = float32(float64(d.Magnitude[o]) * v.inverse[o])
			}
		}
	})
	return v.gain
}

// doraBackward is backward for DoRA. With y = W·(x − seen) + gain ⊙ (V·seen),
// the gradient of seen is Vᵀ·(gain ⊙ dy) − Wᵀ·dy, and that of x beside it Wᵀ·dy.
func (l *adapted) doraBackward(threads, m int, x, dy, dx []float32, add bool) {
	v := &l.low.dora
	if l.dm != nil {
		columnDots(threads, m, dy, v.u, l.dm)
		for o := range l.dm {
			l.dm[o] = float32(float64(l.dm[o]) * v.inverse[o])
		}
	}
	l.work.outs = sized(l.work.outs, m*l.out)
	du := l.work.outs
	clear(du)
	l.addScaled(threads, m, dy, du)
	l.weightsBackward(threads, m, x, du, dx != nil)
	if dx == nil {
		return
	}
	ds := dx
	if l.drop != nil {
		l.base.Backward(threads, m, dy, dx, add)
		ds, add = l.drop.scratch(m, l), false
		tensor.Parallel(threads, m, func(i int) {
			row := du[i*l.out:][:l.out]
			for j, v := range dy[i*l.out:][:l.out] {
				row[j] -= v
			}
		})
	}
	l.base.Backward(threads, m, du, ds, add)
	l.num.gemmNN(threads, m, l.in, l.lora.Rank, l.low.dz, l.lora.A, ds, true)
	if l.drop != nil {
		l.drop.backward(threads, m, l, ds, dx)
	}
}

// columnDots computes dst [n], the dot products of the columns of a and b [m, n],
// from the first row to the last in float64.
func columnDots(threads, m int, a, b, dst []float32) {
	n := len(dst)
	tensor.Parallel(threads, (n+columnStrip-1)/columnStrip, func(i int) {
		lo := i * columnStrip
		out := dst[lo:min(lo+columnStrip, n)]
		var sums [columnStrip]float64
		for t := range m {
			kernel.AddMulWide(sums[:len(out)], a[t*n+lo:], b[t*n+lo:])
		}
		for j := range out {
			out[j] = float32(sums[j])
		}
	})
}
