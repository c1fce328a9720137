package evaluate

import (
	"context"
	"fmt"
	"io"
	"sync"
	"sync/atomic"

	"github.com/pipe-run/pipe/pipeline"
	"github.com/pipe-run/pipe/steps/internal/answer"
	"github.com/pipe-run/pipe/steps/internal/chat"
	"github.com/pipe-run/pipe/steps/internal/dataset"
	"github.com/pipe-run/pipe/steps/internal/decoder"
	"github.com/pipe-run/pipe/steps/internal/metric"
	"github.com/pipe-run/pipe/steps/internal/tensor"
)

// batchTokens is about how many tokens are scored at once. Records score the
// same bits alone and together.
const batchTokens = 1024

// row is one record to measure.
type row struct {
	metric.Row
	record chat.Record
	ids    []int32
	labels []int64
}

// evaluation carries one run of the step.
type evaluation struct {
	p        Params
	t        *pipeline.Task
	m        *answer.Model
	template *chat.Template
	shape    dataset.Shape
	rows     []row
	dropped  int
}

// read reads and tokenizes the records.
func (e *evaluation) read(ctx context.Context) error {
	r, err := dataset.OpenRecords(e.t.In["records"])
	if err != nil {
		return err
	}
	defer r.Close()
	e.shape = r.Shape()
	if err := e.p.fits(e.shape); err != nil {
		return err
	}
	if e.template, err = e.m.Template(e.p.Template, string(e.shape)); err != nil {
		return &pipeline.FieldError{Field: "template", Err: err}
	}
	if e.p.Date != "" && !e.template.AsksDate() {
		return answer.NotAsked()
	}
	if e.p.MaxLength > e.m.MaxPositions {
		return &pipeline.FieldError{Field: "maxLength", Err: fmt.Errorf("%d tokens are more than the model's %d positions", e.p.MaxLength, e.m.MaxPositions)}
	}
	if e.p.MaxLength == 0 {
		e.p.MaxLength = e.m.MaxPositions
	}
	for n := 0; e.p.Limit == 0 || n < e.p.Limit; n++ {
		record, err := r.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
		if err := e.add(ctx, record); err != nil {
			return fmt.Errorf("%s, record %d: %w", record.Origin.File, record.Origin.Record, err)
		}
	}
	if len(e.rows) == 0 {
		return fmt.Errorf("no record to evaluate (%d dropped for their length)", e.dropped)
	}
	return nil
}

// add tokenizes one record and applies the length limit.
func (e *evaluation) add(ctx context.Context, record dataset.Record) error {
	c := answer.Record(record)
	enc, err := e.template.Encode(ctx, c)
	if err != nil {
		return err
	}
	r := row{record: c, ids: enc.IDs, labels: enc.Labels}
	r.File, r.Record = record.Origin.File, record.Origin.Record
	r.Bytes = supervisedBytes(c)
	if len(r.ids) > e.p.MaxLength {
		switch e.p.OverLength {
		case "drop":
			e.dropped++
			return nil
		case "truncate":
			r.ids, r.labels = r.ids[:e.p.MaxLength], r.labels[:e.p.MaxLength]
			r.Bytes = int64(len(e.m.Tokenizer.Decode(supervised(r.ids, r.labels), true)))
		default:
			return fmt.Errorf("it has %d tokens, more than maxLength %d (overLength: \"drop\" or \"truncate\" allow it)", len(r.ids), e.p.MaxLength)
		}
	}
	r.Tokens = int64(len(supervised(r.ids, r.labels)))
	e.rows = append(e.rows, r)
	return nil
}

// supervisedBytes is the size of the text that a model would write itself.
func supervisedBytes(r chat.Record) int64 {
	n := len(r.Text) + len(r.Completion)
	for _, s := range r.Segments {
		if s.Train {
			n += len(s.Text)
		}
	}
	for _, m := range r.Messages {
		if m.Role == "assistant" && (m.Weight == nil || *m.Weight != 0) {
			n += len(m.Content)
		}
	}
	return int64(n)
}

// supervised returns the ids that are predicted.
func supervised(ids []int32, labels []int64) []int32 {
	var list []int32
	for i := 1; i < len(ids); i++ {
		if labels[i] != decoder.Ignore {
			list = append(list, ids[i])
		}
	}
	return list
}

// score computes the likelihood of every row.
func (e *evaluation) score(ctx context.Context) error {
	sc := e.m.NewScorer(e.t.Threads)
	for lo := 0; lo < len(e.rows); {
		hi, tokens := lo, 0
		for hi < len(e.rows) && (hi == lo || tokens+len(e.rows[hi].ids) <= batchTokens) {
			tokens += len(e.rows[hi].ids)
			hi++
		}
		if err := e.scoreBatch(ctx, sc, e.rows[lo:hi]); err != nil {
			return err
		}
		lo = hi
		e.t.Emit(pipeline.Progress{Done: int64(lo), Total: int64(len(e.rows)), Unit: "rows"})
	}
	return nil
}

// scoreBatch scores rows packed one after another.
func (e *evaluation) scoreBatch(ctx context.Context, sc *decoder.Scorer, rows []row) error {
	var ids, positions []int32
	var labels []int64
	for _, r := range rows {
		for i := range r.ids {
			positions = append(positions, int32(i))
		}
		ids, labels = append(ids, r.ids...), append(labels, r.labels...)
	}
	b, err := decoder.NewBatch(e.m.Config, ids, positions, labels)
	if err != nil {
		return err
	}
	nll, err := sc.NLL(ctx, b)
	if err != nil {
		return err
	}
	for i := range rows {
		for range rows[i].Tokens {
			rows[i].NLL += nll[0]
			nll = nll[1:]
		}
	}
	return nil
}

// ask generates an answer to every row, several rows at a time.
func (e *evaluation) ask(ctx context.Context) error {
	limits := decoder.Limits{MaxNewTokens: e.p.MaxNewTokens, Stop: e.m.Stops(e.template)}
	sessions := sync.Pool{New: func() any { return e.m.NewSession(1) }}
	errs := make([]error, len(e.rows))
	var done atomic.Int64
	var failed atomic.Bool
	tensor.Parallel(e.t.Threads, len(e.rows), func(i int) {
		if failed.Load() {
			return
		}
		s := sessions.Get().(*decoder.Session)
		defer sessions.Put(s)
		if errs[i] = e.askRow(ctx, s, &e.rows[i], limits); errs[i] != nil {
			failed.Store(true)
			return
		}
		e.t.Emit(pipeline.Progress{Done: done.Add(1), Total: int64(len(e.rows)), Unit: "answers"})
	})
	for i, err := range errs {
		if err != nil {
			return fmt.Errorf("answering %s, record %d: %w", e.rows[i].File, e.rows[i].Record, err)
		}
	}
	return nil
}

func (e *evaluation) askRow(ctx context.Context, s *decoder.Session, r *row, limits decoder.Limits) error {
	prompt, want, err := e.template.Question(ctx, r.record)
	if err != nil {
		return err
	}
	r.Asked, r.Want = true, want
	r.Got, err = e.m.Answer(ctx, s, prompt, limits)
	return err
}
