package tokenizer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"

	"golang.org/x/sync/errgroup"

	"github.com/pipe-run/pipe/pipeline"
	"github.com/pipe-run/pipe/steps/internal/dataset"
	"github.com/pipe-run/pipe/steps/internal/token"
	"github.com/pipe-run/pipe/steps/internal/token/train"
)

// batchBytes is how much text a goroutine takes at a time.
const batchBytes = 1 << 18

// count returns the pretokens of all texts, sorted, and how often they occur.
// Every thread counts for itself; sums do not depend on who counted what.
func count(ctx context.Context, p Params, t *pipeline.Task) ([]string, []int64, error) {
	tok, err := p.blank().Tokenizer()
	if err != nil {
		return nil, nil, err
	}
	group, ctx := errgroup.WithContext(ctx)
	batches := make(chan []string)
	group.Go(func() error {
		defer close(batches)
		for _, name := range slices.Sorted(maps.Keys(t.In)) {
			if err := read(ctx, t.In[name], batches); err != nil {
				return fmt.Errorf("input %s: %w", name, err)
			}
		}
		return nil
	})
	counters := make([]*train.Counter, max(1, t.Threads))
	for i := range counters {
		c := train.NewCounter()
		counters[i] = c
		group.Go(func() error { return work(tok, c, batches) })
	}
	if err := group.Wait(); err != nil {
		return nil, nil, err
	}
	all := counters[0]
	for _, c := range counters[1:] {
		all.Merge(c)
	}
	if n := all.Long(); n > 0 {
		t.Log.Warn(fmt.Sprintf("%d stretches of text without a place to split, longer than %d bytes, were left out", n, train.MaxWord))
	}
	words, counts := all.Words()
	if len(words) == 0 {
		return nil, nil, errors.New("the records hold no text to learn from")
	}
	return words, counts, all.Check()
}

func work(tok *token.Tokenizer, c *train.Counter, batches <-chan []string) error {
	for batch := range batches {
		for _, s := range batch {
			tok.Pretokens(s, func(w string) { c.Add(w, 1) })
		}
		if err := c.Check(); err != nil {
			return err
		}
	}
	return nil
}

// read sends the texts of an artifact, some at a time.
func read(ctx context.Context, dir string, batches chan<- []string) error {
	r, err := dataset.OpenRecords(dir)
	if err != nil {
		return err
	}
	defer r.Close()
	var batch []string
	size := 0
	send := func() error {
		select {
		case batches <- batch:
		case <-ctx.Done():
			return ctx.Err()
		}
		batch, size = nil, 0
		return nil
	}
	for {
		record, err := r.Next()
		if err == io.EOF {
			return send()
		}
		if err != nil {
			return err
		}
		texts(record, func(s string) {
			if s != "" {
				batch = append(batch, s)
				size += len(s)
			}
		})
		if size >= batchBytes {
			if err := send(); err != nil {
				return err
			}
		}
	}
}

// texts calls f with every text of a record.
func texts(r dataset.Record, f func(string)) {
	for _, messages := range [][]dataset.Message{r.Messages, r.Chosen, r.Rejected} {
		for _, m := range messages {
			f(m.Content)
			f(m.Reasoning)
			f(m.ToolCalls)
		}
	}
	for _, s := range r.Segments {
		f(s.Text)
	}
	for _, s := range []string{r.Tools, r.Prompt, r.Completion, r.Text} {
		f(s)
	}
}
