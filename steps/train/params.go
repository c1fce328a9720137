package train

import (
	"fmt"

	"github.com/pipe-run/pipe/pipeline"
	"github.com/pipe-run/pipe/steps/internal/decoder"
	"github.com/pipe-run/pipe/steps/internal/optim"
)

// Params mirrors schemas/train.cue.
type Params struct {
	Method string `json:"method"`
	LoRA   *LoRA  `json:"lora"`
	Init   string `json:"init"`
	DType  string `json:"dtype"`

	Objective string `json:"objective,omitempty"`
	DPO       *DPO   `json:"dpo,omitempty"`
	ORPO      *ORPO  `json:"orpo,omitempty"`

	Epochs     int `json:"epochs"`
	MaxUpdates int `json:"maxUpdates"`

	BatchSize            int  `json:"batchSize"`
	GradientAccumulation int  `json:"gradientAccumulation"`
	MaxTokensPerBatch    int  `json:"maxTokensPerBatch,omitempty"`
	LengthGrouped        bool `json:"lengthGrouped,omitempty"`
	LongestFirst         bool `json:"longestFirst,omitempty"`

	LearningRate    float64 `json:"learningRate"`
	Schedule        string  `json:"schedule"`
	Warmup          Span    `json:"warmup"`
	Decay           *Span   `json:"decay,omitempty"`
	MinLearningRate float64 `json:"minLearningRate,omitempty"`

	Optimizer   string     `json:"optimizer,omitempty"`
	WeightDecay float64    `json:"weightDecay"`
	Betas       [2]float64 `json:"betas"`
	Epsilon     float64    `json:"epsilon"`
	Momentum    float64    `json:"momentum,omitempty"`
	Nesterov    bool       `json:"nesterov,omitempty"`
	MaxGradNorm float64    `json:"maxGradNorm"`

	ValidateEvery int            `json:"validateEvery,omitempty"`
	Keep          string         `json:"keep,omitempty"`
	EarlyStopping *EarlyStopping `json:"earlyStopping,omitempty"`

	Seed     uint64 `json:"seed"`
	Numerics string `json:"numerics"`

	// What cannot change a byte of the result: see keyed.
	CheckpointEvery int         `json:"checkpointEvery"`
	PagedState      bool        `json:"pagedState,omitempty"`
	Recompute       string      `json:"recompute,omitempty"`
	Divergence      *Divergence `json:"divergence,omitempty"`
}

// keyed returns p without what is no part of the step's key.
func (p Params) keyed() Params {
	p.CheckpointEvery, p.PagedState, p.Recompute, p.Divergence = 0, false, "", nil
	return p
}

// numerics is how the products of the model are computed.
func (p Params) numerics() decoder.Numerics {
	if p.Numerics == "bf16" {
		return decoder.BF16
	}
	return decoder.F32
}

// defaultEpochs is how long to train when nothing is said.
const defaultEpochs = 3

// bad blames a field.
func bad(field, format string, args ...any) error {
	return &pipeline.FieldError{Field: field, Err: fmt.Errorf(format, args...)}
}

// check refuses what the schema refuses too, for callers that did not go
// through it, and parameters that contradict each other.
func (p *Params) check() error {
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
	case p.Numerics != "f32" && p.Numerics != "bf16":
		return bad("numerics", "%q is not f32 or bf16", p.Numerics)
	}
	if err := p.LoRA.check(); err != nil {
		return err
	}
	for _, b := range p.Betas {
		if !(b >= 0 && b < 1) {
			return bad("betas", "%g is not at least 0 and below 1", b)
		}
	}
	for _, check := range []func() error{p.checkObjective, p.checkSchedule, p.checkOptimizer, p.checkLoop} {
		if err := check(); err != nil {
			return err
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
func (p *Params) schedule(total int) (optim.Schedule, error) {
	s := optim.Schedule{
		Decay: optim.Decay(p.Schedule), Peak: p.LearningRate, Floor: p.MinLearningRate,
		Warmup: p.Warmup.updates(total), Updates: total,
	}
	if s.Decay != optim.WSD {
		return s, nil
	}
	decay := Span{Ratio: defaultDecay}
	if p.Decay != nil {
		decay = *p.Decay
	}
	s.Falling = decay.updates(total)
	if s.Warmup+s.Falling > total {
		return s, bad("decay", "%d updates do not fit beside a warm-up of %d in a training of %d", s.Falling, s.Warmup, total)
	}
	return s, nil
}
