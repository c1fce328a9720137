package optim

import (
	"io"

	"github.com/pipe-run/pipe/steps/internal/tensor"
)

// SGDConfig holds the constants of SGD.
type SGDConfig struct {
	Momentum, WeightDecay float64
	Nesterov              bool // needs a momentum
}

// SGD is stochastic gradient descent as PyTorch's SGD has it without dampening:
//
//	g ← g + λp,  v ← μv + g,  p ← p − rate·v        (Nesterov: p − rate·(g + μv))
type SGD struct {
	layout
	cfg     SGDConfig
	v       [][]float32 // nil without momentum
	updates int
}

// NewSGD returns an SGD for the tensors of l. It fails only where l.Memory does.
func NewSGD(cfg SGDConfig, l Layout) (*SGD, error) {
	s := &SGD{layout: l.complete(), cfg: cfg}
	var err error
	if cfg.Momentum != 0 {
		s.v, err = s.floats()
	}
	return s, err
}

// Update implements Optimizer.
func (s *SGD) Update(threads int, rate float64, params, grads [][]float32) {
	s.updates++
	tensor.Parallel(threads, len(s.parts), func(i int) {
		t, lo, hi := s.parts[i].tensor, s.parts[i].lo, s.parts[i].hi
		own, decay := float64(rate*s.rates[t]), s.cfg.WeightDecay
		if !s.decay[t] {
			decay = 0
		}
		p, g := params[t][lo:hi], grads[t][lo:hi]
		if s.v == nil {
			for j := range p {
				move := float64(g[j]) + float64(decay*float64(p[j]))
				p[j] = float32(float64(p[j]) - float64(own*move))
			}
			return
		}
		s.momentum(own, decay, p, g, s.v[t][lo:hi])
	})
}

// momentum moves one chunk.
func (s *SGD) momentum(rate, decay float64, p, g, v []float32) {
	mu := s.cfg.Momentum
	g, v = g[:len(p)], v[:len(p)]
	for j := range p {
		gj := float64(g[j]) + float64(decay*float64(p[j]))
		move := float64(mu*float64(v[j])) + gj
		v[j] = float32(move)
		if s.cfg.Nesterov {
			move = gj + float64(mu*move)
		}
		p[j] = float32(float64(p[j]) - float64(rate*move))
	}
}

// Updates implements Optimizer.
func (s *SGD) Updates() int { return s.updates }

func (s *SGD) state() State { return State{Kind: "sgd", Updates: &s.updates, Tensors: s.v} }

// WriteTo implements io.WriterTo.
func (s *SGD) WriteTo(w io.Writer) (int64, error) { return s.state().WriteTo(w) }

// ReadFrom implements io.ReaderFrom.
func (s *SGD) ReadFrom(r io.Reader) (int64, error) { return s.state().ReadFrom(r) }
