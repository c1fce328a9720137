package clean

import (
	"context"
	"io"

	"github.com/pipe-run/pipe/steps/internal/clean"
	"github.com/pipe-run/pipe/steps/internal/dataset"
)

// A batch of records ends at so many, or at so many bytes of text.
const (
	batchRecords = 64
	batchBytes   = 1 << 20
)

// eachRecord calls work on the records of an artifact, on several threads, and
// emit on the results in order, with the records' numbers from 0.
func eachRecord[Out any](ctx context.Context, dir string, threads int, work func(dataset.Record) Out, emit func(int64, Out) error) error {
	r, err := dataset.OpenRecords(dir)
	if err != nil {
		return err
	}
	defer r.Close()
	ended := false
	next := func() (batch []dataset.Record, ok bool, err error) {
		for bytes := 0; !ended && len(batch) < batchRecords && bytes < batchBytes; {
			record, err := r.Next()
			if err == io.EOF {
				ended = true
				break
			}
			if err != nil {
				return nil, false, err
			}
			batch = append(batch, record)
			bytes += len(record.Text) + len(record.Prompt) + len(record.Completion)
			for _, m := range record.Messages {
				bytes += len(m.Content)
			}
		}
		return batch, len(batch) > 0, nil
	}
	var at int64
	return clean.Ordered(ctx, max(1, threads), next, func(batch []dataset.Record) []Out {
		outs := make([]Out, len(batch))
		for i, record := range batch {
			outs[i] = work(record)
		}
		return outs
	}, func(outs []Out) error {
		for _, out := range outs {
			if err := emit(at, out); err != nil {
				return err
			}
			at++
		}
		return nil
	})
}
