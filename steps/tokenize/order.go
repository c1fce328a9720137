package tokenize

import (
	"context"
	"iter"
	"sync"
)

// inOrder does work for every job, several at a time, and hands what came of it
// to take in the order of the jobs. Jobs are made in a goroutine of their own; at
// most ahead+2 of them are between being made and being taken. The first error,
// in the order of the jobs, ends it.
func inOrder[J, R any](ctx context.Context, ahead int, jobs iter.Seq2[J, error], work func(context.Context, J) (R, error), take func(R) error) error {
	type answer struct {
		value R
		err   error
	}
	var running sync.WaitGroup
	defer running.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	queue := make(chan chan answer, ahead)
	running.Go(func() {
		defer close(queue)
		for job, err := range jobs {
			a := make(chan answer, 1)
			select {
			case queue <- a:
			case <-ctx.Done():
				return
			}
			if err != nil {
				a <- answer{err: err}
				return
			}
			running.Go(func() {
				value, err := work(ctx, job)
				a <- answer{value, err}
			})
		}
	})
	for a := range queue {
		got := <-a
		if got.err != nil {
			return got.err
		}
		if err := take(got.value); err != nil {
			return err
		}
	}
	return ctx.Err()
}
