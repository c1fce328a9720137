// Package convert implements the convert step: files of rows become records of
// one shape, shuffled, limited and split as asked.
//
// A record's side of the split depends on its content alone, so that rows added
// later move none, and equal rows land on one side.
package convert

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"

	"github.com/pipe-run/pipe/pipeline"
	"github.com/pipe-run/pipe/steps/internal/dataset"
)

// Kind is the convert step.
var Kind = kind()

func kind() pipeline.Kind {
	k := pipeline.Define("convert", 2, run)
	k.Vet, k.Shapes = vet, shapes
	return k
}

// shapes tells the shape of the records of a format that decides it.
func shapes(raw json.RawMessage, _ map[string]string) (string, error) {
	p, err := pipeline.DecodeParams[Params](raw)
	if err != nil {
		return "", err
	}
	l := dataset.Layout{Format: dataset.Format(p.Format), Undesirable: p.KTO != nil && p.KTO.Keep == "all"}
	return string(l.Told()), nil
}

// Params mirrors schemas/convert.cue.
type Params struct {
	Format  string            `json:"format"`
	Columns map[string]string `json:"columns"`
	Dataset string            `json:"dataset"` // of the format llama-factory

	Template  *dataset.TemplateSpec `json:"template"` // of the format template
	Labels    dataset.Labels        `json:"labels"`
	KTO       *KTOParams            `json:"kto"`
	SQuAD     *SQuADParams          `json:"squad"`
	Reasoning string                `json:"reasoning"` // "" is "keep"

	Files     []string       `json:"files"` // nil is all
	Container string         `json:"container"`
	Encoding  string         `json:"encoding"`  // "" tells it
	Delimiter string         `json:"delimiter"` // "" tells it
	Header    *bool          `json:"header"`    // nil is true
	Fields    []string       `json:"fields"`
	Skip      int            `json:"skip"`
	Sheet     string         `json:"sheet"`
	Rows      string         `json:"rows"`
	Text      *TextParams    `json:"text"`
	Shuffle   *ShuffleParams `json:"shuffle"`
	Limit     int64          `json:"limit"` // 0 is none
	Split     *SplitParams   `json:"split"`
	OnError   string         `json:"onError"` // "fail" or "skip"
}

// KTOParams say which answers are kept: "desirable" or "all".
type KTOParams struct {
	Keep string `json:"keep"`
}

// SQuADParams hold the answer to questions that have none.
type SQuADParams struct {
	Unanswerable string `json:"unanswerable"`
}

// TextParams say what becomes one record of plain text.
type TextParams struct {
	Split string `json:"split"` // "file", "paragraph" or "line"
}

// ShuffleParams ask for another order.
type ShuffleParams struct {
	Seed int64 `json:"seed"`
}

// SplitParams are the shares of records held out, 0 to 1; 0 is none.
type SplitParams struct {
	Test       float64 `json:"test"`
	Validation float64 `json:"validation"`
}

func run(ctx context.Context, p Params, t *pipeline.Task) error {
	plan, err := planned(p, t)
	if err != nil {
		return err
	}
	parts, err := newParts(p, t.Out, plan.shaper.Shape(), plan.note)
	if err != nil {
		return err
	}
	in := &input{p: p, plan: plan, emit: t.Emit, log: t.Log, threads: t.Threads, tmp: t.Tmp}
	if p.Shuffle == nil {
		err = in.each(ctx, parts.write)
	} else {
		err = shuffled(ctx, in, parts, t.Tmp)
	}
	if closed := parts.close(); err == nil {
		err = closed
	}
	if err != nil {
		return err
	}
	report(t, in, parts)
	return parts.check(in)
}

// report says how many rows came in and what became of them.
func report(t *pipeline.Task, in *input, parts *parts) {
	t.Emit(pipeline.Metric{Name: "rows/read", Value: float64(in.read)})
	t.Emit(pipeline.Metric{Name: "rows/skipped", Value: float64(in.skipped)})
	attrs := []any{slog.Int64("read", in.read), slog.Int64("skipped", in.skipped)}
	for _, part := range parts.list {
		t.Emit(pipeline.Metric{Name: "records/" + part.name, Value: float64(part.writer.Rows())})
		attrs = append(attrs, slog.Int64(part.name, part.writer.Rows()))
	}
	if n := in.leftOut(); n > 0 {
		t.Emit(pipeline.Metric{Name: "rows/left out", Value: float64(n)})
		attrs = append(attrs, slog.Int64("left out", n))
	}
	t.Log.Info("rows converted", attrs...)
	for _, left := range in.left {
		t.Log.Warn(fmt.Sprintf("left out: %s, since %s; the first is record %d of %s", rowCount(left.rows), left.first.What, left.first.Record, left.first.File))
	}
	for _, bad := range in.bad {
		t.Log.Warn("skipped: " + bad.Error())
	}
	if more := in.skipped - int64(len(in.bad)); more > 0 {
		t.Log.Warn(fmt.Sprintf("skipped: %d more", more))
	}
}

func rowCount(n int64) string {
	if n == 1 {
		return "1 row"
	}
	return fmt.Sprintf("%d rows", n)
}
