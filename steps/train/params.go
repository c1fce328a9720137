package train

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/pipe-run/pipe/pipeline"
	"github.com/pipe-run/pipe/steps/internal/optim"
)

// Params mirrors schemas/train.cue.
type Params struct {
	Method string `json:"method"`
	LoRA   *LoRA  `json:"lora"`
	Init   string `json:"init"`
	DType  string `json:"dtype"`

	Epochs     int `json:"epochs"`
	MaxUpdates int `json:"maxUpdates"`

	BatchSize            int `json:"batchSize"`
	GradientAccumulation int `json:"gradientAccumulation"`

	LearningRate float64    `json:"learningRate"`
	Schedule     string     `json:"schedule"`
	Warmup       Warmup     `json:"warmup"`
	WeightDecay  float64    `json:"weightDecay"`
	Betas        [2]float64 `json:"betas"`
	Epsilon      float64    `json:"epsilon"`
	MaxGradNorm  float64    `json:"maxGradNorm"`

	Seed     uint64 `json:"seed"`
	Numerics string `json:"numerics"`

	CheckpointEvery int `json:"checkpointEvery"`
}

// Warmup is a number of updates, or a share of all updates.
type Warmup struct {
	Updates int
	Ratio   float64
}

// UnmarshalJSON reads a number of updates or {"ratio": share}.
func (w *Warmup) UnmarshalJSON(b []byte) error {
	*w = Warmup{}
	if json.Unmarshal(b, &w.Updates) == nil {
		return nil
	}
	var share struct {
		Ratio *float64 `json:"ratio"`
	}
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&share); err != nil || share.Ratio == nil {
		return errors.New("warmup: want a number of updates or {ratio: share}")
	}
	w.Ratio = *share.Ratio
	return nil
}

// MarshalJSON writes what UnmarshalJSON reads.
func (w Warmup) MarshalJSON() ([]byte, error) {
	if w.Ratio != 0 {
		return json.Marshal(map[string]float64{"ratio": w.Ratio})
	}
	return json.Marshal(w.Updates)
}

// updates returns the length of the warm-up among total updates.
func (w Warmup) updates(total int) int {
	if w.Ratio == 0 {
		return w.Updates
	}
	n := int(w.Ratio * float64(total))
	if float64(n) < w.Ratio*float64(total) { // up, as transformers does
		n++
	}
	return min(n, total)
}

// defaultEpochs is how long to train when nothing is said.
const defaultEpochs = 3

// check refuses what the schema refuses too, for callers that did not go
// through it, and parameters that contradict each other.
func (p *Params) check() error {
	bad := func(field, format string, args ...any) error {
		return &pipeline.FieldError{Field: field, Err: fmt.Errorf(format, args...)}
	}
	switch {
	case p.Method != "lora" && p.Method != "full":
		return bad("method", "%q is not lora or full", p.Method)
	case p.Method == "lora" && p.LoRA == nil:
		return bad("lora", "missing")
	case p.Method == "full" && p.LoRA != nil:
		return bad("lora", "not used by method full")
	case p.Method == "lora" && (p.Init != "" || p.DType != ""):
		return bad("method", "init and dtype belong to method full")
	case p.Method == "full" && p.Init != "pretrained" && p.Init != "random":
		return bad("init", "%q is not pretrained or random", p.Init)
	case p.Method == "full" && dtypes[p.DType] == "":
		return bad("dtype", "%q is not f32, bf16 or f16", p.DType)
	case p.Epochs < 0 || p.MaxUpdates < 0 || p.CheckpointEvery < 0 || p.Warmup.Updates < 0:
		return bad("epochs", "counts cannot be negative")
	case p.BatchSize < 1:
		return bad("batchSize", "%d is below 1", p.BatchSize)
	case p.GradientAccumulation < 1:
		return bad("gradientAccumulation", "%d is below 1", p.GradientAccumulation)
	case !(p.LearningRate > 0):
		return bad("learningRate", "%g is not above 0", p.LearningRate)
	case !(p.Warmup.Ratio >= 0 && p.Warmup.Ratio <= 1):
		return bad("warmup.ratio", "%g is not between 0 and 1", p.Warmup.Ratio)
	case p.Numerics != "f32":
		return bad("numerics", "%q is not f32", p.Numerics)
	}
	if err := p.LoRA.check(); err != nil {
		return err
	}
	switch optim.Decay(p.Schedule) {
	case optim.Constant, optim.Linear, optim.Cosine:
	default:
		return bad("schedule", "%q is not constant, linear or cosine", p.Schedule)
	}
	for _, b := range p.Betas {
		if !(b >= 0 && b < 1) {
			return bad("betas", "%g is not at least 0 and below 1", b)
		}
	}
	return nil
}

// rowsPerUpdate is how many rows one update sees.
func (p *Params) rowsPerUpdate() int { return p.BatchSize * p.GradientAccumulation }

// updates returns how many updates an epoch over rows rows has, and all of
// training. The last update of an epoch may see fewer rows than the others.
func (p *Params) updates(rows int) (epoch, total int) {
	epoch = (rows + p.rowsPerUpdate() - 1) / p.rowsPerUpdate()
	epochs := p.Epochs
	if epochs == 0 {
		if p.MaxUpdates > 0 {
			return epoch, p.MaxUpdates
		}
		epochs = defaultEpochs
	}
	total = epochs * epoch
	if p.MaxUpdates > 0 {
		total = min(total, p.MaxUpdates)
	}
	return epoch, total
}

// schedule returns the learning rates of total updates.
func (p *Params) schedule(total int) optim.Schedule {
	return optim.Schedule{
		Decay: optim.Decay(p.Schedule), Peak: p.LearningRate,
		Warmup: p.Warmup.updates(total), Updates: total,
	}
}
