package clean

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"github.com/pipe-run/pipe/pipeline"
	"github.com/pipe-run/pipe/steps/internal/clean"
	"github.com/pipe-run/pipe/steps/internal/dataset"
)

// cleaner is one execution. The records are read once, and once more for each of
// two things that depend on all of them: the cuts between the parts of classes,
// and what the held-out records hold.
type cleaner struct {
	p      Params
	t      *pipeline.Task
	judge  *judge
	parts  *parts
	report *report

	seen    map[[16]byte]int64 // content → the first record with it; nil unless asked for
	near    *clean.Near
	origins []dataset.Origin // by record, for naming what a duplicate is one of; nil unless asked for
	classes *clean.Classes
	held    *clean.Tests // the grams of held-out records; nil unless asked for
	waiting []bool       // by record: those that are decided by the next pass
}

func newCleaner(p Params, t *pipeline.Task) (*cleaner, error) {
	inputs := slices.Sorted(maps.Keys(t.In))
	if err := p.check(inputs); err != nil {
		return nil, err
	}
	r, err := dataset.OpenRecords(t.In["records"])
	if err != nil {
		return nil, err
	}
	defer r.Close()
	if p.Split != nil && p.Split.By != "" {
		if err := classable(p.Split.By, r.Shape()); err != nil {
			return nil, err
		}
	}
	c := &cleaner{p: p, t: t, judge: newJudge(p, testNames(inputs))}
	if c.parts, err = newParts(p.Split, t.Out, r); err != nil {
		return nil, err
	}
	c.report = newReport(p, c.parts.names)
	if d := p.Duplicates; d != nil {
		if d.Exact {
			c.seen = map[[16]byte]int64{}
		}
		if d.Near != nil {
			if c.near, err = clean.NewNear(t.Tmp, d.Near.Similarity); err != nil {
				return nil, err
			}
		}
	}
	if p.Split != nil && p.Split.By != "" {
		c.classes = clean.NewClasses()
	}
	if p.Split != nil && p.Contamination != nil {
		c.held = clean.NewTests(p.Contamination.NGram)
	}
	return c, nil
}

// classable refuses classes that records of a shape have not.
func classable(by string, shape dataset.Shape) error {
	if by == "desirable" && shape != dataset.Judged || by == "answer" && shape == dataset.Text {
		return &pipeline.FieldError{Field: "split.by", Err: fmt.Errorf("records of shape %s have no %s", shape, by)}
	}
	return nil
}

func (c *cleaner) class(r dataset.Record) string {
	switch c.p.Split.By {
	case "desirable":
		return strconv.FormatBool(r.Desirable)
	case "file":
		return r.Origin.File
	}
	return clean.Answer(r)
}

func (c *cleaner) close() {
	c.parts.close()
	if c.near != nil {
		c.near.Close()
	}
}

// clean reads the records as often as it must.
func (c *cleaner) clean(ctx context.Context) error {
	if err := c.pass(ctx, nil, c.judge.judge, c.first); err != nil {
		return err
	}
	if c.near != nil {
		c.report.capped = c.near.Capped()
	}
	if c.classes != nil {
		c.classes.Cut(c.parts.shares)
		if err := c.again(ctx, c.judge.mend, func(i int64, v *verdict) error {
			return c.place(i, v, c.classes.Side(c.class(v.record), clean.Draw(v.content)))
		}); err != nil {
			return err
		}
	}
	if c.held == nil {
		return nil
	}
	return c.again(ctx, func(r dataset.Record) *verdict {
		v := c.judge.mend(r)
		c.judge.compare(v, c.held, c.parts.names)
		return v
	}, func(i int64, v *verdict) error {
		c.report.overlap(c.judge, v)
		if v.reason != "" {
			c.report.remove(c.judge, v, nil)
			return nil
		}
		return c.write(v, c.parts.train())
	})
}

// again reads the waiting records, which may have to wait again.
func (c *cleaner) again(ctx context.Context, work func(dataset.Record) *verdict, emit func(int64, *verdict) error) error {
	waiting := c.waiting
	c.waiting = make([]bool, len(waiting))
	return c.pass(ctx, waiting, work, emit)
}

// first decides about a record for which only the ones before it matter.
func (c *cleaner) first(i int64, v *verdict) error {
	c.waiting = append(c.waiting, false)
	if c.p.Duplicates != nil {
		c.origins = append(c.origins, v.record.Origin)
	}
	c.report.look(c.judge, v)
	twin, err := c.twin(i, v)
	if err != nil {
		return err
	}
	if v.reason != "" {
		c.report.remove(c.judge, v, twin)
		return nil
	}
	if c.classes != nil {
		c.classes.Add(c.class(v.record), clean.Draw(v.content))
		c.waiting[i] = true
		return nil
	}
	return c.place(i, v, clean.Side(clean.Draw(v.content), c.parts.shares))
}

// twin finds the record that v is a duplicate of, if that is asked for.
func (c *cleaner) twin(i int64, v *verdict) (*twin, error) {
	if v.reason != "" {
		return nil, nil
	}
	if c.seen != nil {
		key := [16]byte(v.content[:16])
		if first, ok := c.seen[key]; ok {
			v.reason = exact
			return &twin{of: c.origins[first], similarity: 1}, nil
		}
		c.seen[key] = i
	}
	if c.near == nil {
		return nil, nil
	}
	other, found, err := c.near.Add(i, v.sketch)
	if err != nil || !found {
		return nil, err
	}
	v.reason = near
	return &twin{of: c.origins[other.ID], similarity: other.Similarity}, nil
}

// twin is what a duplicate is one of.
type twin struct {
	of         dataset.Origin
	similarity float64
}

// place writes a record to a part. Where held-out records matter, they are
// remembered and those to train on wait.
func (c *cleaner) place(i int64, v *verdict, part int) error {
	if c.held != nil {
		if part == c.parts.train() {
			c.waiting[i] = true
			return nil
		}
		c.held.Add(uint16(part), v.text)
	}
	return c.write(v, part)
}

func (c *cleaner) write(v *verdict, part int) error {
	c.report.keep(part)
	return c.parts.write(part, v.record)
}

// readTests fills in what must not be trained on.
func (c *cleaner) readTests(ctx context.Context) error {
	for i, name := range c.judge.testNames {
		err := eachRecord(ctx, c.t.In[name], c.t.Threads, func(r dataset.Record) string { return clean.Text(c.judge.normalize(r)) },
			func(_ int64, text string) error { c.judge.tests.Add(uint16(i), text); return nil })
		if err != nil {
			return fmt.Errorf("input %s: %w", name, err)
		}
	}
	return nil
}

// pass reads the records, or those of them that are marked.
func (c *cleaner) pass(ctx context.Context, marked []bool, work func(dataset.Record) *verdict, emit func(int64, *verdict) error) error {
	at := int64(-1)
	return eachRecord(ctx, c.t.In["records"], c.t.Threads, work, func(i int64, v *verdict) error {
		if at = i; at%1000 == 0 {
			c.t.Emit(pipeline.Progress{Done: at, Unit: "records"})
		}
		if marked != nil && !marked[i] {
			return nil
		}
		return emit(i, v)
	})
}
