package optim

import (
	"math"

	"github.com/pipe-run/pipe/steps/internal/kernel"
)

// Decay is what a learning rate does after its warm-up.
type Decay string

const (
	Constant Decay = "constant" // stays at its peak
	Linear   Decay = "linear"   // falls linearly to the floor
	Cosine   Decay = "cosine"   // falls along half a cosine to the floor
	WSD      Decay = "wsd"      // stays at its peak and falls linearly to the floor at the end
)

// A Schedule gives each update its learning rate: it rises linearly from 0
// during Warmup updates and decays over the rest of Updates. The values are
// those of transformers' get_constant, get_linear, get_cosine and
// get_wsd (with linear decay) schedules, in which the first update of a warm-up
// has rate 0; that of get_wsd has the floor's, but not here.
type Schedule struct {
	Decay   Decay
	Peak    float64
	Warmup  int
	Updates int
	Falling int     // WSD: the last so many updates decay
	Floor   float64 // where it ends, as a share of Peak
}

// Rate returns the learning rate of update i, counted from 0.
func (s Schedule) Rate(i int) float64 {
	if i < s.Warmup {
		return s.Peak * (float64(i) / float64(s.Warmup))
	}
	switch s.Decay {
	case Linear:
		return s.above(1 - s.progress(i, s.Warmup))
	case Cosine:
		return s.above(max(0, float64(0.5*(1+kernel.Cos64(math.Pi*s.progress(i, s.Warmup))))))
	case WSD:
		if i >= s.Steady() {
			return s.above(1 - s.progress(i, s.Steady()))
		}
	}
	return s.Peak
}

// progress returns which part of the decay from update begin on is over at update i.
func (s Schedule) progress(i, begin int) float64 {
	return min(1, float64(i-begin)/float64(max(1, s.Updates-begin)))
}

// above scales a share of the peak so that it ends at the floor.
func (s Schedule) above(share float64) float64 {
	if s.Floor == 0 {
		return s.Peak * share
	}
	return s.Peak * (s.Floor + float64((1-s.Floor)*share))
}

// Steady returns how many updates have rates that depend on nothing but Peak
// and Warmup: a longer training begins with the same.
func (s Schedule) Steady() int {
	switch s.Decay {
	case Constant:
		return s.Updates
	case WSD:
		return max(min(s.Warmup, s.Updates), s.Updates-s.Falling)
	}
	return min(s.Warmup, s.Updates)
}
