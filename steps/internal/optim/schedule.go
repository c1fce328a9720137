package optim

import (
	"math"

	"github.com/pipe-run/pipe/steps/internal/kernel"
)

// Decay is what a learning rate does after its warm-up.
type Decay string

const (
	Constant Decay = "constant" // stays at its peak
	Linear   Decay = "linear"   // falls linearly to 0
	Cosine   Decay = "cosine"   // falls along half a cosine to 0
)

// A Schedule gives each update its learning rate: it rises linearly from 0
// during Warmup updates and decays over the rest of Updates. The values are
// those of transformers' get_constant, get_linear and get_cosine schedules, in
// which the first update of a warm-up has rate 0.
type Schedule struct {
	Decay   Decay
	Peak    float64
	Warmup  int
	Updates int
}

// Rate returns the learning rate of update i, counted from 0.
func (s Schedule) Rate(i int) float64 {
	if i < s.Warmup {
		return s.Peak * (float64(i) / float64(s.Warmup))
	}
	rest := float64(max(1, s.Updates-s.Warmup))
	progress := min(1, float64(i-s.Warmup)/rest)
	switch s.Decay {
	case Linear:
		return s.Peak * (1 - progress)
	case Cosine:
		return s.Peak * max(0, float64(0.5*(1+kernel.Cos64(math.Pi*progress))))
	default:
		return s.Peak
	}
}
