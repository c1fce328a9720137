package convert

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/pipe-run/pipe/pipeline"
	"github.com/pipe-run/pipe/steps/internal/dataset"
)

// parts are the outputs of the step, and the way records go to them.
type parts struct {
	list  []*part
	limit int64 // records in all; 0 is none
	total int64
}

// part is one output. Records whose draw is below under, and not below that of
// the part before, go to it.
type part struct {
	name   string
	share  float64
	under  float64 // of 2^64
	writer *dataset.RecordWriter
}

// newParts creates the outputs: records, or test, validation (if asked) and
// train. The note goes into each.
func newParts(p Params, out map[string]string, shape dataset.Shape, note string) (*parts, error) {
	ps := &parts{limit: p.Limit}
	if p.Split == nil {
		ps.list = []*part{{name: "records", share: 1}}
	} else {
		test, validation := p.Split.Test, p.Split.Validation
		if err := p.Split.check(); err != nil {
			return nil, err
		}
		if test > 0 {
			ps.list = append(ps.list, &part{name: "test", share: test})
		}
		if validation > 0 {
			ps.list = append(ps.list, &part{name: "validation", share: validation})
		}
		ps.list = append(ps.list, &part{name: "train", share: 1 - test - validation})
	}
	sum := 0.0
	for _, part := range ps.list {
		sum += part.share
		part.under = sum * (1 << 63) * 2
		writer, err := dataset.CreateRecordsAs(out[part.name], shape, note)
		if err != nil {
			return nil, errors.Join(err, ps.close())
		}
		part.writer = writer
	}
	return ps, nil
}

// write puts records where their content draws them; errEnough after the last
// that the limit allows, which whoever sees one more finds out. It returns how
// many records it looked at.
func (ps *parts) write(run dataset.Run) (int, error) {
	n := run.Len()
	taken := n
	if ps.limit > 0 {
		taken = int(min(int64(n), ps.limit-ps.total))
	}
	ps.total += int64(taken)
	if err := ps.writeAll(run.Part(0, taken)); err != nil {
		return n, err
	}
	if taken < n {
		return taken + 1, errEnough
	}
	return n, nil
}

func (ps *parts) writeAll(run dataset.Run) error {
	if len(ps.list) == 1 {
		return ps.list[0].writer.WriteRun(run)
	}
	start, to := 0, (*part)(nil)
	for i := range run.Len() {
		next := ps.of(run.Record(i))
		if to != nil && next != to {
			if err := to.writer.WriteRun(run.Part(start, i)); err != nil {
				return err
			}
			start = i
		}
		to = next
	}
	if to == nil {
		return nil
	}
	return to.writer.WriteRun(run.Part(start, run.Len()))
}

// of draws a part by the record's content alone. The last part takes what
// rounding leaves over.
func (ps *parts) of(r dataset.Record) *part {
	if len(ps.list) == 1 {
		return ps.list[0]
	}
	content := r.Hash()
	draw := sha256.Sum256(append([]byte("pipe split\x00"), content[:]...))
	at := float64(binary.BigEndian.Uint64(draw[:8]) >> 11 << 11) // exact in a double
	for _, part := range ps.list {
		if at < part.under {
			return part
		}
	}
	return ps.list[len(ps.list)-1]
}

// check refuses outputs without a record: nothing could be done with them.
func (ps *parts) check(in *input) error {
	if ps.total == 0 {
		err := fmt.Errorf("no records: %d rows were read and %d skipped", in.read, in.skipped)
		if n := in.leftOut(); n > 0 {
			err = fmt.Errorf("%w, %d left out since %s", err, n, in.left[0].first.What)
		}
		if len(in.bad) > 0 {
			err = fmt.Errorf("%w, the first because of\n%w", err, in.bad[0])
		}
		if near := in.nearest(); near != "" {
			err = fmt.Errorf("%w\n%s", err, near)
		}
		return err
	}
	for _, part := range ps.list {
		if part.writer.Rows() == 0 {
			return &pipeline.FieldError{
				Field: "split",
				Err:   fmt.Errorf("of %d records, none falls into %s, whose share is %.3g", ps.total, part.name, part.share),
				Hint:  "the split follows the records' content; raise the share or add records",
			}
		}
	}
	return nil
}

func (ps *parts) close() error {
	var errs []error
	for _, part := range ps.list {
		if part.writer != nil {
			errs = append(errs, part.writer.Close())
		}
	}
	return errors.Join(errs...)
}
