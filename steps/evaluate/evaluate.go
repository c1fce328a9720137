// Package evaluate implements the evaluate step: loss, perplexity, bits per
// byte and exact match of a model, with an adapter or without, on records.
package evaluate

import (
	"context"
	"encoding/json"
	"slices"

	"github.com/pipe-run/pipe/pipeline"
	"github.com/pipe-run/pipe/steps/internal/answer"
	"github.com/pipe-run/pipe/steps/internal/chat"
	"github.com/pipe-run/pipe/steps/internal/decoder"
	"github.com/pipe-run/pipe/steps/internal/kin"
	"github.com/pipe-run/pipe/steps/internal/metric"
)

// Kind is the evaluate step.
var Kind = kind()

func kind() pipeline.Kind {
	k := pipeline.Define("evaluate", 3, run)
	k.Estimate, k.Garbage = estimate, decoder.Garbage
	k.Vet, k.Shapes = vet, shapes
	return k
}

// vet refuses a template that is no Jinja.
func vet(raw json.RawMessage, _ []string) error {
	p, err := pipeline.DecodeParams[Params](raw)
	if err != nil {
		return err
	}
	if err := chat.CheckDate(p.Date); err != nil {
		return &pipeline.FieldError{Field: "date", Err: err}
	}
	if p.Template == nil {
		return nil
	}
	if err := chat.Spec(*p.Template).Check(); err != nil {
		return &pipeline.FieldError{Field: "template.jinja", Err: err}
	}
	return nil
}

// Params mirrors schemas/evaluate.cue.
type Params struct {
	Template     *answer.Template `json:"template"`
	Date         string           `json:"date"` // "" is none, or the recorded one
	Metrics      []string         `json:"metrics"`
	MaxNewTokens int              `json:"maxNewTokens"`
	MaxLength    int              `json:"maxLength"`
	OverLength   string           `json:"overLength"`
	Limit        int              `json:"limit"`
}

func run(ctx context.Context, p Params, t *pipeline.Task) error {
	if err := kin.Run(t); err != nil {
		return err
	}
	m, err := answer.Open(t.In["model"], t.In["adapter"], t.Threads)
	if err != nil {
		return err
	}
	m.Date = p.Date
	e := evaluation{p: p, t: t, m: m}
	if err := e.read(ctx); err != nil {
		return err
	}
	names := e.metrics()
	if slices.ContainsFunc(names, func(n string) bool { return n != metric.ExactMatch }) {
		if err := e.score(ctx); err != nil {
			return err
		}
	}
	if slices.Contains(names, metric.ExactMatch) {
		if err := e.ask(ctx); err != nil {
			return err
		}
	}
	return e.write(names)
}

// metrics returns what to compute.
func (e *evaluation) metrics() []string {
	if e.p.Metrics != nil {
		return e.p.Metrics
	}
	names := metric.Names()
	if !asks(e.shape) {
		names = slices.DeleteFunc(names, func(n string) bool { return n == metric.ExactMatch })
	}
	return names
}

// write stores the metrics and tells the run of them.
func (e *evaluation) write(names []string) error {
	rows := make([]metric.Row, len(e.rows))
	for i, r := range e.rows {
		rows[i] = r.Row
	}
	sums, err := metric.Summary(names, rows)
	if err != nil {
		return err
	}
	if e.dropped > 0 {
		sums["dropped"] = float64(e.dropped)
	}
	for _, name := range names {
		e.t.Emit(pipeline.Metric{Name: name, Value: sums[name]})
	}
	return metric.Write(e.t.Out["metrics"], sums, rows)
}
