package optim

import (
	"io"
	"math"
	"slices"

	"github.com/pipe-run/pipe/steps/internal/tensor"
)

// AdamWConfig holds the constants of AdamW, named as in the paper.
type AdamWConfig struct {
	Beta1, Beta2, Epsilon float64
	WeightDecay           float64
}

// AdamW is Adam with decoupled weight decay and bias correction (Loshchilov and
// Hutter, Decoupled Weight Decay Regularization, algorithm 2, with the schedule
// multiplier in the learning rate, as PyTorch has it):
//
//	p ← p − rate·λ·p
//	m ← β₁m + (1−β₁)g,  v ← β₂v + (1−β₂)g²
//	p ← p − rate/(1−β₁ᵗ) · m / (√v/√(1−β₂ᵗ) + ε)
type AdamW struct {
	cfg     AdamWConfig
	decay   []bool
	parts   []part
	m, v    [][]float32
	updates int
}

// NewAdamW returns an AdamW for tensors of the given sizes. Weight decay applies
// to the tensors for which decay is true; a nil decay means all.
func NewAdamW(cfg AdamWConfig, sizes []int, decay []bool) *AdamW {
	a := &AdamW{cfg: cfg, decay: slices.Clone(decay), parts: parts(sizes)}
	for _, n := range sizes {
		a.m, a.v = append(a.m, make([]float32, n)), append(a.v, make([]float32, n))
	}
	return a
}

// Update implements Optimizer.
func (a *AdamW) Update(threads int, rate float64, params, grads [][]float32) {
	a.updates++
	c1 := rate / (1 - power(a.cfg.Beta1, a.updates))
	c2 := math.Sqrt(1 - power(a.cfg.Beta2, a.updates))
	tensor.Parallel(threads, len(a.parts), func(i int) {
		t, lo, hi := a.parts[i].tensor, a.parts[i].lo, a.parts[i].hi
		keep := 1.0
		if a.decay == nil || a.decay[t] {
			keep = 1 - float64(rate*a.cfg.WeightDecay)
		}
		a.update(keep, c1, c2, params[t][lo:hi], grads[t][lo:hi], a.m[t][lo:hi], a.v[t][lo:hi])
	})
}

// update moves one chunk.
func (a *AdamW) update(keep, c1, c2 float64, p, g, m, v []float32) {
	b1, b2, eps := a.cfg.Beta1, a.cfg.Beta2, a.cfg.Epsilon
	g, m, v = g[:len(p)], m[:len(p)], v[:len(p)]
	for i := range p {
		gi := float64(g[i])
		mi := float64(b1*float64(m[i])) + float64((1-b1)*gi)
		vi := float64(b2*float64(v[i])) + float64((1-b2)*float64(gi*gi))
		m[i], v[i] = float32(mi), float32(vi)
		step := float64(c1*mi) / (math.Sqrt(vi)/c2 + eps)
		p[i] = float32(float64(keep*float64(p[i])) - step)
	}
}

// power returns xⁿ by n multiplications, the definition that every machine shares.
func power(x float64, n int) float64 {
	p := 1.0
	for range n {
		p *= x
		if p == 0 {
			break
		}
	}
	return p
}

// Updates implements Optimizer.
func (a *AdamW) Updates() int { return a.updates }

func (a *AdamW) state() State {
	return State{Kind: "adamw", Updates: &a.updates, Tensors: slices.Concat(a.m, a.v)}
}

// WriteTo implements io.WriterTo.
func (a *AdamW) WriteTo(w io.Writer) (int64, error) { return a.state().WriteTo(w) }

// ReadFrom implements io.ReaderFrom.
func (a *AdamW) ReadFrom(r io.Reader) (int64, error) { return a.state().ReadFrom(r) }
