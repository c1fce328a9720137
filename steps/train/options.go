package train

import (
	"bytes"
	"encoding/json"
	"errors"
	"math"

	"github.com/pipe-run/pipe/steps/internal/optim"
)

// Span is a number of updates, or a share of all updates.
type Span struct {
	Updates int
	Ratio   float64
}

// UnmarshalJSON reads a number of updates or {"ratio": share}.
func (s *Span) UnmarshalJSON(b []byte) error {
	*s = Span{}
	if json.Unmarshal(b, &s.Updates) == nil {
		return nil
	}
	var share struct {
		Ratio *float64 `json:"ratio"`
	}
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&share); err != nil || share.Ratio == nil {
		return errors.New("want a number of updates or {ratio: share}")
	}
	s.Ratio = *share.Ratio
	return nil
}

// MarshalJSON writes what UnmarshalJSON reads.
func (s Span) MarshalJSON() ([]byte, error) {
	if s.Ratio != 0 {
		return json.Marshal(map[string]float64{"ratio": s.Ratio})
	}
	return json.Marshal(s.Updates)
}

// updates returns the length of the span among total updates.
func (s Span) updates(total int) int {
	if s.Ratio == 0 {
		return s.Updates
	}
	n := int(s.Ratio * float64(total))
	if float64(n) < s.Ratio*float64(total) { // up, as transformers does
		n++
	}
	return min(n, total)
}

// EarlyStopping ends a training whose validation loss no longer falls.
type EarlyStopping struct {
	Patience int     `json:"patience"`
	MinDelta float64 `json:"minDelta,omitempty"`
}

// Divergence says when a training that goes wrong is stopped: see guard.
type Divergence struct {
	Factor  float64 `json:"factor"`
	Updates int     `json:"updates"`
}

// What is meant when nothing is said.
const (
	defaultDecay = 0.1 // of the updates of a wsd schedule
	keepLast     = "last"
	keepBest     = "best"
)

func (p *Params) checkSchedule() error {
	s := optim.Decay(p.Schedule)
	switch {
	case s != optim.Constant && s != optim.Linear && s != optim.Cosine && s != optim.WSD:
		return bad("schedule", "%q is not constant, linear, cosine or wsd", p.Schedule)
	case p.Decay != nil && s != optim.WSD:
		return bad("decay", "only the schedule wsd has one; this one is %s", s)
	case p.Decay != nil && !(p.Decay.Ratio >= 0 && p.Decay.Ratio <= 1):
		return bad("decay.ratio", "%g is not between 0 and 1", p.Decay.Ratio)
	case p.Decay != nil && p.Decay.Ratio == 0 && p.Decay.Updates < 1:
		return bad("decay", "%d updates are too few to decay in", p.Decay.Updates)
	case !(p.MinLearningRate >= 0 && p.MinLearningRate < 1):
		return bad("minLearningRate", "%g is not a share of learningRate below 1", p.MinLearningRate)
	case p.MinLearningRate > 0 && s == optim.Constant:
		return bad("minLearningRate", "a constant learning rate has no least value")
	}
	return nil
}

func (p *Params) checkOptimizer() error {
	sgd := p.Optimizer == "sgd"
	switch {
	case p.Optimizer != "" && p.Optimizer != "adamw" && p.Optimizer != "adamw8bit" && !sgd:
		return bad("optimizer", "%q is not adamw, adamw8bit or sgd", p.Optimizer)
	case !sgd && p.Momentum != 0:
		return bad("momentum", "only the optimizer sgd has one; adamw has betas")
	case !sgd && p.Nesterov:
		return bad("nesterov", "only the optimizer sgd has it")
	case !(p.Momentum >= 0 && p.Momentum < 1):
		return bad("momentum", "%g is not at least 0 and below 1", p.Momentum)
	case p.Nesterov && p.Momentum == 0:
		return bad("nesterov", "it needs a momentum above 0")
	case sgd && p.Betas != [2]float64{0.9, 0.999}:
		return bad("betas", "the optimizer sgd has none; it has momentum")
	case sgd && p.Epsilon != 1e-8:
		return bad("epsilon", "the optimizer sgd has none")
	case sgd && p.Momentum == 0 && p.PagedState:
		return bad("pagedState", "the optimizer sgd without momentum has no state")
	}
	return nil
}

func (p *Params) checkLoop() error {
	switch {
	case p.MaxTokensPerBatch < 0 || p.ValidateEvery < 0:
		return bad("maxTokensPerBatch", "counts cannot be negative")
	case p.Keep != "" && p.Keep != keepLast && p.Keep != keepBest:
		return bad("keep", "%q is not last or best", p.Keep)
	case p.EarlyStopping != nil && p.EarlyStopping.Patience < 1:
		return bad("earlyStopping.patience", "%d is below 1", p.EarlyStopping.Patience)
	case p.EarlyStopping != nil && !(p.EarlyStopping.MinDelta >= 0):
		return bad("earlyStopping.minDelta", "%g is below 0", p.EarlyStopping.MinDelta)
	case p.Recompute != "" && p.Recompute != "auto" && p.Recompute != "all" && p.Recompute != "none":
		return bad("recompute", "%q is not auto, all or none", p.Recompute)
	}
	if d := p.Divergence; d != nil {
		switch {
		case !(d.Factor == 0 || d.Factor > 1) || math.IsInf(d.Factor, 0):
			return bad("divergence.factor", "%g is neither above 1 nor 0 for never", d.Factor)
		case d.Updates < 2 || d.Updates > maxGuarded:
			return bad("divergence.updates", "%d is not between 2 and %d", d.Updates, maxGuarded)
		}
	}
	return nil
}

// checkInputs refuses what only validation tokens give a meaning.
func (p *Params) checkInputs(validation bool) error {
	const missing = "it needs validation tokens in in.validation"
	switch {
	case validation:
		return nil
	case p.ValidateEvery > 0:
		return bad("validateEvery", missing)
	case p.Keep == keepBest:
		return bad("keep", missing)
	case p.EarlyStopping != nil:
		return bad("earlyStopping", missing)
	}
	return nil
}

// optimizer returns the optimizer asked for.
func (p *Params) optimizer() optim.Config {
	c := optim.Config{
		Name:  p.Optimizer,
		AdamW: optim.AdamWConfig{Beta1: p.Betas[0], Beta2: p.Betas[1], Epsilon: p.Epsilon, WeightDecay: p.WeightDecay},
		SGD:   optim.SGDConfig{Momentum: p.Momentum, Nesterov: p.Nesterov, WeightDecay: p.WeightDecay},
	}
	if c.Name == "" {
		c.Name = "adamw"
	}
	return c
}

// momentBytes is what the optimizer keeps for every trained element.
func (p *Params) momentBytes() int64 {
	switch p.Optimizer {
	case "adamw8bit":
		return 2 // and two scales for 256 elements
	case "sgd":
		if p.Momentum == 0 {
			return 0
		}
		return 4
	}
	return 8
}
