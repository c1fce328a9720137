package optim

import (
	"io"
	"math"
	"slices"

	"github.com/pipe-run/pipe/steps/internal/kernel"
	"github.com/pipe-run/pipe/steps/internal/tensor"
)

// AdamWConfig holds the constants of AdamW, named as in the paper.
type AdamWConfig struct {
	Beta1, Beta2, Epsilon float64
	WeightDecay           float64
}

// step returns what all elements of tensor t have in common in update n,
// counted from 1.
func (c AdamWConfig) step(l *layout, t, n int, rate float64) kernel.AdamWStep {
	own, keep := l.rate(t, rate, c.WeightDecay)
	return kernel.AdamWStep{
		Keep: keep, Rate: own / (1 - power(c.Beta1, n)), Root: math.Sqrt(1 - power(c.Beta2, n)),
		Beta1: c.Beta1, Beta2: c.Beta2, Epsilon: c.Epsilon,
	}
}

// steps returns step of every tensor.
func (c AdamWConfig) steps(l *layout, n int, rate float64) []kernel.AdamWStep {
	all := make([]kernel.AdamWStep, len(l.sizes))
	for t := range all {
		all[t] = c.step(l, t, n, rate)
	}
	return all
}

// AdamW is Adam with decoupled weight decay and bias correction (Loshchilov and
// Hutter, Decoupled Weight Decay Regularization, algorithm 2, with the schedule
// multiplier in the learning rate, as PyTorch has it):
//
//	p ← p − rate·λ·p
//	m ← β₁m + (1−β₁)g,  v ← β₂v + (1−β₂)g²
//	p ← p − rate/(1−β₁ᵗ) · m / (√v/√(1−β₂ᵗ) + ε)
type AdamW struct {
	layout
	cfg     AdamWConfig
	m, v    [][]float32
	updates int
}

// NewAdamW returns an AdamW for the tensors of l. It fails only where l.Memory does.
func NewAdamW(cfg AdamWConfig, l Layout) (*AdamW, error) {
	a := &AdamW{layout: l.complete(), cfg: cfg}
	var err error
	if a.m, err = a.floats(); err != nil {
		return nil, err
	}
	if a.v, err = a.floats(); err != nil {
		return nil, err
	}
	return a, nil
}

// Update implements Optimizer.
func (a *AdamW) Update(threads int, rate float64, params, grads [][]float32) {
	a.updates++
	steps := a.cfg.steps(&a.layout, a.updates, rate)
	tensor.Parallel(threads, len(a.parts), func(i int) {
		t, lo, hi := a.parts[i].tensor, a.parts[i].lo, a.parts[i].hi
		kernel.AdamW(params[t][lo:hi], grads[t][lo:hi], a.m[t][lo:hi], a.v[t][lo:hi], steps[t])
	})
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
