package clean

import (
	"context"
	"sync"
)

// Ordered calls work on what next returns, on several threads at once, and emit
// on the results in order, one after the other. It ends when next says that there
// is no more, with the first error of next or emit, or with that of ctx. At most
// four items per thread are between next and emit.
func Ordered[In, Out any](ctx context.Context, threads int, next func() (in In, ok bool, err error), work func(In) Out, emit func(Out) error) error {
	type job struct {
		in   In
		done chan Out
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	jobs := make(chan job)
	queue := make(chan chan Out, 3*threads)
	var wait sync.WaitGroup
	wait.Go(func() {
		defer close(jobs)
		defer close(queue)
		for ctx.Err() == nil {
			in, ok, err := next()
			if err != nil {
				cancel(err)
				return
			}
			if !ok {
				return
			}
			j := job{in: in, done: make(chan Out, 1)}
			for _, send := range []func() bool{
				func() bool { return put(ctx, queue, j.done) },
				func() bool { return put(ctx, jobs, j) },
			} {
				if !send() {
					return
				}
			}
		}
	})
	for range threads {
		wait.Go(func() {
			for j := range jobs {
				j.done <- work(j.in)
			}
		})
	}
	for done := range queue {
		select {
		case out := <-done:
			if err := emit(out); err != nil {
				cancel(err)
			}
		case <-ctx.Done():
		}
		if ctx.Err() != nil {
			break
		}
	}
	cause := context.Cause(ctx)
	cancel(nil)
	wait.Wait()
	return cause
}

func put[T any](ctx context.Context, to chan<- T, v T) bool {
	select {
	case to <- v:
		return true
	case <-ctx.Done():
		return false
	}
}
