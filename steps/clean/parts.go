package clean

import (
	"errors"
	"fmt"

	"github.com/pipe-run/pipe/pipeline"
	"github.com/pipe-run/pipe/steps/internal/dataset"
)

// parts are the outputs that hold records, the training records last.
type parts struct {
	names   []string
	shares  []float64
	writers []*dataset.RecordWriter
}

func newParts(s *SplitParams, out map[string]string, r *dataset.RecordReader) (*parts, error) {
	ps := &parts{names: partNames(s), shares: []float64{1}}
	if s != nil {
		ps.shares = []float64{s.Test}
		if s.Validation > 0 {
			ps.shares = append(ps.shares, s.Validation)
		}
		ps.shares = append(ps.shares, 1-s.Test-s.Validation)
	}
	for _, name := range ps.names {
		w, err := dataset.CreateRecordsAs(out[name], r.Shape(), r.Layout())
		if err != nil {
			return nil, errors.Join(err, ps.close())
		}
		ps.writers = append(ps.writers, w)
	}
	return ps, nil
}

// partNames are the outputs that hold records.
func partNames(s *SplitParams) []string {
	switch {
	case s == nil:
		return []string{"records"}
	case s.Validation > 0:
		return []string{"test", "validation", "train"}
	}
	return []string{"test", "train"}
}

// train is the part that is trained on.
func (ps *parts) train() int { return len(ps.names) - 1 }

func (ps *parts) write(part int, r dataset.Record) error {
	return ps.writers[part].Write(r)
}

func (ps *parts) close() error {
	var errs []error
	for _, w := range ps.writers {
		errs = append(errs, w.Close())
	}
	ps.writers = nil
	return errors.Join(errs...)
}

// check refuses outputs without a record: nothing could be done with them.
func (c *cleaner) check() error {
	if n := c.report.removed[contamination]; n > 0 && c.p.Contamination.Action == "fail" {
		return &pipeline.FieldError{
			Field: "contamination", Err: fmt.Errorf("%d of %d records share text with a test:\n%s", n, c.report.read, c.report.lines(contamination)),
		}
	}
	if c.report.kept == 0 {
		if c.report.read == 0 {
			return &pipeline.FieldError{Field: "in.records", Err: errors.New("there are no records")}
		}
		return &pipeline.FieldError{
			Field: c.report.field(), Err: fmt.Errorf("of %d records none is left: %s, such as\n%s", c.report.read, c.report.reasons(), c.report.lines("")),
		}
	}
	for i, name := range c.parts.names {
		if c.report.parts[i] == 0 {
			return &pipeline.FieldError{
				Field: "split", Err: fmt.Errorf("of %d records, none falls into %s, whose share is %.3g", c.report.kept, name, c.parts.shares[i]),
				Hint: "the split follows the records' content; raise the share or add records",
			}
		}
	}
	return nil
}
