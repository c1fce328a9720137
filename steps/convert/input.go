package convert

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"

	"github.com/pipe-run/pipe/pipeline"
	"github.com/pipe-run/pipe/steps/internal/dataset"
)

// maxBad is how many bad rows are named.
const maxBad = 20

// progressEvery is how many rows pass between progress events.
const progressEvery = 10_000

// input reads rows and shapes them, counting what cannot be.
type input struct {
	p    Params
	plan *plan
	emit func(pipeline.Fact)
	log  *slog.Logger

	threads int
	tmp     string

	read    int64
	skipped int64
	bad     []*dataset.RowError // the first of the skipped ones
	left    []left              // by reason, in order of appearance
	held    bool                // a bad row's value: one is enough to tell what it looks like
}

// left counts rows that are well and left out for one reason.
type left struct {
	first *dataset.RowError
	rows  int64
}

// errEnough ends the reading without an error.
var errEnough = errors.New("enough records")

// each calls use with every record in order, run by run, until it returns an
// error; use returns how many records of the run it looked at.
// Bad rows are skipped, or, with onError "fail", reported together.
func (in *input) each(ctx context.Context, use func(dataset.Run) (int, error)) error {
	for _, file := range in.plan.files {
		err := in.file(ctx, file, use)
		if errors.Is(err, errEnough) {
			break
		}
		if err != nil {
			return err
		}
	}
	return in.failure()
}

func (in *input) file(ctx context.Context, file source, use func(dataset.Run) (int, error)) error {
	rows, err := file.entry.Open(in.p.reading(file, in.plan.shaper.Columns(), in.threads, in.tmp))
	if err != nil {
		return in.stop(err)
	}
	defer rows.Close()
	if text, ok := rows.(interface{ Encoding() string }); ok && text.Encoding() != "utf-8" && in.p.Encoding == "" {
		in.log.Info(file.entry.Name + " is read as " + text.Encoding())
	}
	runs := in.plan.shaper.Runs(rows, file.entry.Name)
	for {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		run, err := runs.Next()
		if err == io.EOF {
			return nil
		}
		n := 1
		if err == nil {
			n, err = use(run)
		} else {
			err = in.reject(err)
		}
		in.count(int64(n))
		if err != nil {
			return err
		}
	}
}

// count adds rows to those that were read.
func (in *input) count(n int64) {
	before := in.read
	in.read += n
	for at := before - before%progressEvery + progressEvery; at <= in.read; at += progressEvery {
		in.emit(pipeline.Progress{Done: at, Unit: "rows"})
	}
}

// reject notes a bad row. It returns an error when reading must not go on.
func (in *input) reject(err error) error {
	var bad *dataset.RowError
	if !errors.As(err, &bad) || bad.Final {
		return in.stop(err)
	}
	if bad.Left {
		in.leave(bad)
		return nil
	}
	in.skipped++
	if in.held {
		bad.Value = nil
	}
	in.held = in.held || bad.Value != nil
	if len(in.bad) < maxBad {
		in.bad = append(in.bad, bad)
	}
	if in.p.OnError == "fail" && len(in.bad) == maxBad {
		return in.failure()
	}
	return nil
}

// leave counts a row that is left out.
func (in *input) leave(row *dataset.RowError) {
	for i := range in.left {
		if in.left[i].first.What == row.What {
			in.left[i].rows++
			return
		}
	}
	row.Value = nil
	in.left = append(in.left, left{row, 1})
}

// leftOut is the number of rows that were left out.
func (in *input) leftOut() (n int64) {
	for _, l := range in.left {
		n += l.rows
	}
	return n
}

// nearest says what the first bad row looks like instead, "" when nothing is
// known.
func (in *input) nearest() string {
	for _, bad := range in.bad {
		if bad.Value == nil {
			continue
		}
		if near := dataset.Nearest(*bad.Value, in.plan.layout); near != "" {
			return fmt.Sprintf("%s: record %d: %s", bad.File, bad.Record, near)
		}
	}
	return ""
}

// stop is the error for a file that cannot be read further, after the bad rows
// before it. No onError passes over it.
func (in *input) stop(err error) error {
	if failure := in.failure(); failure != nil {
		return fmt.Errorf("%w\n%w", failure, err)
	}
	return err
}

// failure is the error that names the bad rows, when they are one.
func (in *input) failure() error {
	if in.p.OnError != "fail" || len(in.bad) == 0 {
		return nil
	}
	var b strings.Builder
	switch {
	case len(in.bad) == maxBad:
		fmt.Fprintf(&b, "the first %d bad rows (onError: \"skip\" leaves them out):", maxBad)
	case len(in.bad) == 1:
		b.WriteString("a bad row (onError: \"skip\" leaves it out):")
	default:
		fmt.Fprintf(&b, "%d bad rows (onError: \"skip\" leaves them out):", len(in.bad))
	}
	for _, bad := range in.bad {
		b.WriteString("\n" + bad.Error())
	}
	if near := in.nearest(); near != "" {
		b.WriteString("\n" + near)
	}
	return errors.New(b.String())
}
