package train

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/pipe-run/pipe/pipeline"
	"github.com/pipe-run/pipe/steps/internal/lora"
)

// LoRA is a low-rank adapter to be trained.
type LoRA struct {
	Rank         int                `json:"rank"`
	Alpha        float64            `json:"alpha"`
	RSLoRA       bool               `json:"rsLoRA,omitempty"`
	Targets      lora.Selector      `json:"targets"`
	Exclude      *lora.Selector     `json:"exclude,omitempty"`
	Layers       []int              `json:"layers,omitempty"`
	RankPattern  map[string]int     `json:"rankPattern,omitempty"`
	AlphaPattern map[string]float64 `json:"alphaPattern,omitempty"`
	Dropout      float64            `json:"dropout,omitempty"`
	DoRA         bool               `json:"dora,omitempty"`
	PlusRatio    float64            `json:"loraPlusRatio,omitempty"`
}

// check refuses what the schema refuses too.
func (l *LoRA) check() error {
	bad := func(field, format string, args ...any) error {
		return &pipeline.FieldError{Field: "lora." + field, Err: fmt.Errorf(format, args...)}
	}
	positive := func(x float64) bool { return x > 0 && !math.IsInf(x, 0) }
	switch {
	case l == nil:
		return nil
	case l.Rank < 1:
		return bad("rank", "%d is below 1", l.Rank)
	case !positive(l.Alpha):
		return bad("alpha", "%g is not above 0", l.Alpha)
	case !(l.Dropout >= 0 && l.Dropout < 1):
		return bad("dropout", "%g is not at least 0 and below 1", l.Dropout)
	case l.PlusRatio != 0 && !positive(l.PlusRatio):
		return bad("loraPlusRatio", "%g is not above 0", l.PlusRatio)
	}
	for _, key := range slices.Sorted(maps.Keys(l.RankPattern)) {
		if r := l.RankPattern[key]; r < 1 {
			return bad("rankPattern", "the rank of %q is %d, below 1", key, r)
		}
	}
	for _, key := range slices.Sorted(maps.Keys(l.AlphaPattern)) {
		if a := l.AlphaPattern[key]; !positive(a) {
			return bad("alphaPattern", "the alpha of %q is %g, not above 0", key, a)
		}
	}
	return nil
}

// spec is what the adapter is to be.
func (l *LoRA) spec() lora.Spec {
	return lora.Spec{
		Selection: lora.Selection{Targets: l.Targets, Exclude: l.Exclude, Layers: l.Layers},
		Rank:      l.Rank, Alpha: l.Alpha, RSLoRA: l.RSLoRA,
		RankPattern: l.RankPattern, AlphaPattern: l.AlphaPattern, Dropout: l.Dropout, DoRA: l.DoRA,
	}
}

// rates are the factors on the learning rate of trained tensors, nil for none:
// LoRA+ has B, and all that is no matrix, learn faster than A.
func (w *weightSet) rates(names []string) []float64 {
	if w.lora == nil || w.p.LoRA.PlusRatio == 0 {
		return nil
	}
	var list []float64
	for _, name := range names {
		factor := 1.0
		if strings.HasSuffix(name, ".lora_B.weight") || strings.HasSuffix(name, ".lora_magnitude_vector") {
			factor = w.p.LoRA.PlusRatio
		}
		list = append(list, factor)
	}
	return list
}
