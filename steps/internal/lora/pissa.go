package lora

import (
	"context"
	"math"
	"slices"

	"github.com/pipe-run/pipe/steps/internal/decoder"
	"github.com/pipe-run/pipe/steps/internal/kernel"
)

// StartPrincipal begins as PiSSA does (Meng, Wang and Zhang, PiSSA: Principal
// Singular Values and Singular Vectors Adaptation, 2024): A and B hold the
// principal part of each weight in dir, and what is trained beside them is the
// rest, which Initial is to be subtracted for. It ends when ctx does.
func (a *Adapter) StartPrincipal(ctx context.Context, c decoder.Config, dir string, seed uint64, threads int) error {
	a.initial = map[string]Pair{}
	return a.eachWeight(ctx, c, dir, func(path string, w []float32) error {
		p := a.Pairs[path]
		s, u, v, err := principal(ctx, threads, kernel.Rand(seed, "train/pissa/"+path, 0), w, p.Out, p.In, p.Rank)
		if err != nil {
			return err
		}
		for i := range p.Rank {
			root := float32(math.Sqrt(s[i] / float64(p.Scale)))
			for j, x := range v[i*p.In:][:p.In] {
				p.A[i*p.In+j] = float32(root * x)
			}
			for o, x := range u[i*p.Out:][:p.Out] {
				p.B[o*p.Rank+i] = float32(root * x)
			}
		}
		first := p
		first.A, first.B = append([]float32(nil), p.A...), append([]float32(nil), p.B...)
		a.initial[path] = first
		return nil
	})
}

// Restart gives A and B the values that StartPrincipal found.
func (a *Adapter) Restart() {
	for path, first := range a.initial {
		copy(a.Pairs[path].A, first.A)
		copy(a.Pairs[path].B, first.B)
	}
}

// Initial is the update that an adapter of PiSSA began with, which the base is
// trained without.
func (a *Adapter) Initial(module string) (decoder.LoRA, bool) {
	p, ok := a.initial[module]
	return decoder.LoRA{A: p.A, B: p.B, Rank: p.Rank, Scale: p.Scale}, ok
}

// Ordinary returns the adapter as one of the base as it is. That of PiSSA,
//
//	W − s·B₀·A₀ + s·B·A = W + s·[B, −B₀]·[A; A₀]
//
// has twice the rank then, as PEFT has it for path_initial_model_for_weight_conversion;
// alpha grows so that s stays.
func (a *Adapter) Ordinary() *Adapter {
	if a.initial == nil {
		return a
	}
	o := *a
	o.initial, o.Pairs = nil, map[string]Pair{}
	grow := 2.0
	if a.Config.RSLoRA {
		grow = math.Sqrt2
	}
	o.Config.Rank, o.Config.Alpha = 2*a.Config.Rank, grow*a.Config.Alpha
	o.Config.RankPattern, o.Config.AlphaPattern = map[string]int{}, map[string]float64{}
	for key, r := range a.Config.RankPattern {
		o.Config.RankPattern[key] = 2 * r
	}
	for key, alpha := range a.Config.AlphaPattern {
		o.Config.AlphaPattern[key] = grow * alpha
	}
	for path, p := range a.Pairs {
		first, r := a.initial[path], p.Rank
		wide := p
		wide.Rank, wide.B = 2*r, make([]float32, 2*len(p.B))
		wide.A = slices.Concat(p.A, first.A)
		for row := range p.Out {
			to := wide.B[row*2*r:][:2*r]
			copy(to, p.B[row*r:][:r])
			for j, x := range first.B[row*r:][:r] {
				to[r+j] = -x
			}
		}
		o.Pairs[path] = wide
	}
	return &o
}
