package optim

import (
	"io"
	"slices"

	"github.com/pipe-run/pipe/steps/internal/tensor"
)

// SGDConfig holds the constants of SGD.
type SGDConfig struct {
	Momentum, WeightDecay float64
}

// SGD is stochastic gradient descent with momentum and decoupled weight decay:
//
//	p ← p − rate·λ·p,  v ← μv + g,  p ← p − rate·v
type SGD struct {
	cfg     SGDConfig
	decay   []bool
	parts   []part
	v       [][]float32 // nil without momentum
	updates int
}

// NewSGD returns an SGD for tensors of the given sizes; decay is as for NewAdamW.
func NewSGD(cfg SGDConfig, sizes []int, decay []bool) *SGD {
	s := &SGD{cfg: cfg, decay: slices.Clone(decay), parts: parts(sizes)}
	if cfg.Momentum != 0 {
		for _, n := range sizes {
			s.v = append(s.v, make([]float32, n))
		}
	}
	return s
}

// Update implements Optimizer.
func (s *SGD) Update(threads int, rate float64, params, grads [][]float32) {
	s.updates++
	tensor.Parallel(threads, len(s.parts), func(i int) {
		t, lo, hi := s.parts[i].tensor, s.parts[i].lo, s.parts[i].hi
		keep := 1.0
		if s.decay == nil || s.decay[t] {
			keep = 1 - float64(rate*s.cfg.WeightDecay)
		}
		p, g := params[t][lo:hi], grads[t][lo:hi]
		for j := range p {
			move := float64(g[j])
			if s.v != nil {
				v := s.v[t][lo:hi]
				move += float64(s.cfg.Momentum * float64(v[j]))
				v[j] = float32(move)
			}
			p[j] = float32(float64(keep*float64(p[j])) - float64(rate*move))
		}
	})
}

// Updates implements Optimizer.
func (s *SGD) Updates() int { return s.updates }

func (s *SGD) state() State { return State{Kind: "sgd", Updates: &s.updates, Tensors: s.v} }

// WriteTo implements io.WriterTo.
func (s *SGD) WriteTo(w io.Writer) (int64, error) { return s.state().WriteTo(w) }

// ReadFrom implements io.ReaderFrom.
func (s *SGD) ReadFrom(r io.Reader) (int64, error) { return s.state().ReadFrom(r) }
