package train

import (
	"bytes"
	"encoding/json"
	"fmt"

	"github.com/pipe-run/pipe/pipeline"
)

// updateLine is a line of training.jsonl. Nothing in it depends on time or machine.
type updateLine struct {
	Update           int     `json:"update"`
	Epoch            float64 `json:"epoch"`
	Loss             float64 `json:"loss"` // nats per supervised token, before the update
	LearningRate     float64 `json:"learningRate"`
	GradientNorm     float64 `json:"gradientNorm"` // before clipping
	SupervisedTokens int     `json:"supervisedTokens"`

	// Of pairs: the share whose better answer won, and the mean of what it won
	// by, in nats.
	RewardAccuracy *float64 `json:"rewardAccuracy,omitempty"`
	RewardMargin   *float64 `json:"rewardMargin,omitempty"`
}

// found notes what the judge found.
func (l *updateLine) found(s preferences) {
	accuracy, margin := s.figures()
	l.RewardAccuracy, l.RewardMargin = &accuracy, &margin
}

// validationLine is the line of a measurement.
type validationLine struct {
	Update           int     `json:"update"`
	Epoch            float64 `json:"epoch"`
	ValidationLoss   float64 `json:"validationLoss"`
	ValidationTokens int     `json:"validationTokens"`

	ValidationAccuracy *float64 `json:"validationAccuracy,omitempty"` // of pairs
}

// endLine is the last line of a training that stops early or keeps its best
// weights.
type endLine struct {
	StoppedAfter int     `json:"stoppedAfter,omitempty"` // updates, if that was early
	KeptUpdate   int     `json:"keptUpdate"`             // whose weights come out
	KeptLoss     float64 `json:"keptValidationLoss,omitempty"`
}

// speed is how fast an update was: for those who watch, never for an artifact.
type speed struct {
	seconds float64
	tokens  int     // of the inputs, padding not counted
	flops   float64 // that the result takes; what is computed again is not counted
}

// record logs an update and tells the run about it.
func (tr *trainer) record(l updateLine, s speed) error {
	at := int64(l.Update)
	tr.task.Emit(pipeline.Progress{Done: at, Total: int64(tr.total), Unit: "updates"})
	metrics := []pipeline.Metric{
		{Name: "train/loss", Value: l.Loss, At: at},
		{Name: "train/learningRate", Value: l.LearningRate, At: at},
		{Name: "train/gradNorm", Value: l.GradientNorm, At: at},
		{Name: "train/tokensPerSecond", Value: float64(s.tokens) / s.seconds, At: at},
	}
	if peak := tr.peak(s.flops / s.seconds); peak > 0 {
		metrics = append(metrics, pipeline.Metric{Name: "train/mfu", Value: s.flops / s.seconds / peak, At: at})
	}
	if l.RewardAccuracy != nil {
		metrics = append(metrics,
			pipeline.Metric{Name: "train/rewardAccuracy", Value: *l.RewardAccuracy, At: at},
			pipeline.Metric{Name: "train/rewardMargin", Value: *l.RewardMargin, At: at})
	}
	for _, m := range metrics {
		if finite(m.Value) {
			tr.task.Emit(m)
		}
	}
	return tr.line(l)
}

func (tr *trainer) line(v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encoding %s: %w", logFile, err)
	}
	tr.log = append(append(tr.log, b...), '\n')
	return nil
}

// splitLines returns the lines of a log, which all end.
func splitLines(log []byte) [][]byte {
	lines := bytes.Split(log, []byte("\n"))
	return lines[:len(lines)-1]
}
