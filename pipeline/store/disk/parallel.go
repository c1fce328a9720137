package disk

import (
	"context"
	"runtime"
	"sync"
	"sync/atomic"
)

// parallel calls f for 0 ≤ i < n on all cores and returns the error of the
// smallest i that failed, or that of ctx. After an error no more calls begin.
func parallel(ctx context.Context, n int, f func(i int) error) error {
	workers := min(runtime.GOMAXPROCS(0), n)
	if n < 4 {
		workers = 1
	}
	var (
		next   atomic.Int64
		mu     sync.Mutex // guards what follows
		failed = n
		first  error
		wg     sync.WaitGroup
	)
	work := func() {
		for {
			i := int(next.Add(1)) - 1
			if i >= n {
				return
			}
			err := error(nil)
			if ctx.Err() != nil {
				err = canceled(ctx)
			} else {
				err = f(i)
			}
			if err != nil {
				next.Store(int64(n))
				mu.Lock()
				if i < failed {
					failed, first = i, err
				}
				mu.Unlock()
				return
			}
		}
	}
	for range workers - 1 {
		wg.Go(work)
	}
	if workers > 0 {
		work()
	}
	wg.Wait()
	return first
}
