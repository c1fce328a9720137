package tokenize

import (
	"errors"
	"fmt"
	"math/bits"
	"strings"

	"github.com/pipe-run/pipe/pipeline"
	"github.com/pipe-run/pipe/steps/internal/dataset"
)

// maxBad is how many unfit records an error names.
const maxBad = 20

// counts is what the step says about its rows.
type counts struct {
	records    int64
	tokens     int64
	supervised int64
	long       int64 // longer than allowed
	empty      int64 // nothing supervised was left after truncation
	longest    int
	lengths    [32]int64 // lengths[i]: records of more than 2^(i−1), at most 2^i tokens
}

func (c *counts) length(n int) {
	c.longest = max(c.longest, n)
	c.lengths[min(bits.Len(uint(max(n-1, 0))), len(c.lengths)-1)]++
}

// histogram says how many records have how many tokens.
func (c *counts) histogram() string {
	var parts []string
	for i, n := range c.lengths {
		if n > 0 {
			parts = append(parts, fmt.Sprintf("%d of at most %d", n, 1<<i))
		}
	}
	return strings.Join(parts, ", ")
}

// reject notes a record that cannot be trained on.
func (e *encoder) reject(at dataset.Origin, err error) {
	e.count.records++
	if len(e.bad) <= maxBad {
		e.bad = append(e.bad, fmt.Errorf("%s, record %d: %w", at.File, at.Record, err))
	}
}

// report logs the counts, and fails for what the user has to decide.
func (e *encoder) report() error {
	c := &e.count
	if len(e.bad) > maxBad {
		e.bad = append(e.bad[:maxBad], errors.New("and more"))
	}
	if len(e.bad) > 0 {
		return fmt.Errorf("records that cannot be trained on:\n%w", errors.Join(e.bad...))
	}
	if c.records == 0 {
		return errors.New("there are no records")
	}
	e.task.Log.Info("tokenized", "records", c.records, "rows", e.out.Rows(), "tokens", c.tokens,
		"supervised", c.supervised, "longest", c.longest, "lengths", c.histogram())
	if c.long > 0 {
		if err := e.overLength(); err != nil {
			return err
		}
	}
	if c.tokens == 0 {
		return &pipeline.FieldError{Field: "maxLength", Err: fmt.Errorf("no record is left: all are longer than %d tokens", e.limit)}
	}
	for name, v := range map[string]float64{
		"tokenize/rows": float64(e.out.Rows()), "tokenize/tokens": float64(c.tokens),
		"tokenize/supervised": float64(c.supervised) / float64(c.tokens),
	} {
		e.task.Emit(pipeline.Metric{Name: name, Value: v})
	}
	return nil
}

func (e *encoder) overLength() error {
	c := &e.count
	bound := fmt.Sprintf("maxLength %d", e.MaxLength)
	if e.limit < e.MaxLength {
		bound = fmt.Sprintf("the %d positions of the model", e.limit)
	}
	switch e.OverLength {
	case "drop":
		e.task.Log.Warn("dropped records that are too long", "records", c.long, "bound", bound)
	case "truncate":
		e.task.Log.Warn("cut records that are too long; they end without a stop token", "records", c.long, "bound", bound, "nothingLeft", c.empty)
	default:
		return &pipeline.FieldError{
			Field: "maxLength",
			Err: fmt.Errorf("%d of %d records are longer than %s; the longest has %d tokens (records by length: %s)",
				c.long, c.records, bound, c.longest, c.histogram()),
			Hint: `raise maxLength, or say overLength: "drop" or "truncate"`,
		}
	}
	return nil
}
