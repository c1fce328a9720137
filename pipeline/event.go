package pipeline

import (
	"encoding/json"
	"fmt"
	"time"
)

// An Event is one fact about a run. The terminal, the JSON log, the history
// and the report are all folds over the same stream. In JSON the members of
// Fact stand beside "event", "time" and "step".
type Event struct {
	Time time.Time
	Step string // empty for facts about the whole run
	Fact Fact
}

// A Fact is what an event says: one of the types of this file.
type Fact interface {
	// EventName is the value of "event" in JSON.
	EventName() string
}

// RunStart opens a run.
type RunStart struct {
	ID    string `json:"id"`
	Name  string `json:"name"`
	File  string `json:"file"`
	Steps int    `json:"steps"`
}

// StepStart says that a step begins to execute, and why it is no hit.
type StepStart struct {
	Kind   string `json:"kind"`
	Key    Key    `json:"key"`
	Reason string `json:"reason,omitempty"`
}

// Progress says how far a step has come. Total is 0 when unknown.
type Progress struct {
	Done  int64  `json:"done"`
	Total int64  `json:"total,omitempty"`
	Unit  string `json:"unit"` // "bytes", "rows", "tokens", "updates"
}

// Metric is one measured number. At counts updates, rows or whatever the
// metric is plotted over. In JSON, which has no other name for them, NaN and
// infinities are null; null is read as NaN.
type Metric struct {
	Name  string  `json:"name"` // such as "train/loss"
	Value float64 `json:"value"`
	At    int64   `json:"at,omitempty"`
}

// Log is a line for people.
type Log struct {
	Level   string `json:"level"` // "info", "warn" or "error"
	Message string `json:"message"`
}

// Retry says that something failed and will be tried again.
type Retry struct {
	Attempt int     `json:"attempt"` // that failed, from 1
	Message string  `json:"message"`
	Delay   float64 `json:"delay"` // seconds until the next attempt
}

// Status is how a step ended.
type Status string

const (
	Ran         Status = "ran"
	Cached      Status = "cached"
	Failed      Status = "failed"
	Skipped     Status = "skipped" // a step before it failed
	Interrupted Status = "interrupted"
)

// Gate is one condition of a step's gate, checked on the metrics that it has,
// of a hit too.
type Gate struct {
	Metric string   `json:"metric"`
	Op     string   `json:"op"`
	Bound  float64  `json:"bound"`
	Value  *float64 `json:"value"` // nil when the step has no such metric
	Passed bool     `json:"passed"`
	Pos
}

// String says what was measured and what was wanted.
func (g Gate) String() string {
	if g.Value == nil {
		return fmt.Sprintf("it has no metric %q", g.Metric)
	}
	return fmt.Sprintf("%s is %.6g, wanted %s %g", g.Metric, *g.Value, g.Op, g.Bound)
}

// StepEnd closes a step. Usage is that of this run: zero for a hit.
type StepEnd struct {
	Status  Status            `json:"status"`
	Key     string            `json:"key"` // empty when it was never known
	Outputs map[string]Digest `json:"outputs"`
	Reason  string            `json:"reason,omitempty"` // of a failure or skip
	From    string            `json:"from,omitempty"`   // the second cache that a cached result was taken from
	Usage
}

// Trouble is an error at the user's line; the program ends with a code
// other than 0 after it.
type Trouble struct{ Problem }

// RunEnd closes a run; it is the last line of `pipe run --json`.
type RunEnd struct {
	ID          string                 `json:"id"`
	Ran         int                    `json:"ran"`
	Cached      int                    `json:"cached"`
	Failed      int                    `json:"failed"`
	Skipped     int                    `json:"skipped"`
	Interrupted int                    `json:"interrupted"`
	Seconds     float64                `json:"seconds"`
	Steps       map[string]StepSummary `json:"steps"`
}

// StepSummary is a step in RunEnd.
type StepSummary struct {
	Status  Status            `json:"status"`
	Key     string            `json:"key"`
	Outputs map[string]Digest `json:"outputs"`
}

func (RunStart) EventName() string  { return "run-start" }
func (StepStart) EventName() string { return "step-start" }
func (Progress) EventName() string  { return "progress" }
func (Metric) EventName() string    { return "metric" }
func (Log) EventName() string       { return "log" }
func (Retry) EventName() string     { return "retry" }
func (Gate) EventName() string      { return "gate" }
func (StepEnd) EventName() string   { return "step-end" }
func (Trouble) EventName() string   { return "error" }
func (RunEnd) EventName() string    { return "run" }

// UnmarshalJSON reads what MarshalJSON wrote. The fact is a value, not a
// pointer.
func (e *Event) UnmarshalJSON(b []byte) error {
	var head eventHead
	if err := json.Unmarshal(b, &head); err != nil {
		return err
	}
	e.Time, e.Step = head.Time, head.Step
	var err error
	switch head.Event {
	case "run-start":
		e.Fact, err = decodeFact[RunStart](b)
	case "step-start":
		e.Fact, err = decodeFact[StepStart](b)
	case "progress":
		e.Fact, err = decodeFact[Progress](b)
	case "metric":
		e.Fact, err = decodeFact[Metric](b)
	case "log":
		e.Fact, err = decodeFact[Log](b)
	case "retry":
		e.Fact, err = decodeFact[Retry](b)
	case "gate":
		e.Fact, err = decodeFact[Gate](b)
	case "step-end":
		e.Fact, err = decodeFact[StepEnd](b)
	case "error":
		e.Fact, err = decodeFact[Trouble](b)
	case "run":
		e.Fact, err = decodeFact[RunEnd](b)
	default:
		err = fmt.Errorf("unknown event %q", head.Event)
	}
	return err
}

func decodeFact[F Fact](b []byte) (Fact, error) {
	var f F
	err := json.Unmarshal(b, &f)
	return f, err
}
