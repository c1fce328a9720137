package modules

import (
	"context"
	"sync"

	"github.com/rogpeppe/go-internal/lockedfile"
)

// await runs f and returns what it does, or the error of ctx as soon as that
// is done: f may wait for a lock of the cache that another process holds.
func await[T any](ctx context.Context, f func() (T, error)) (T, error) {
	type result struct {
		v   T
		err error
	}
	done := make(chan result, 1)
	go func() {
		v, err := f()
		done <- result{v, err}
	}()
	select {
	case r := <-done:
		return r.v, r.err
	case <-ctx.Done():
		var zero T
		return zero, ctx.Err()
	}
}

// lock takes the lock file of a module in the cache, as CUE does.
func lock(path string) (unlock func(), err error) {
	return lockedfile.MutexAt(path).Lock()
}

// par runs a function once for each key.
type par[K comparable] struct{ m sync.Map }

func (p *par[K]) do(k K, f func() error) error {
	once, _ := p.m.LoadOrStore(k, sync.OnceValue(f))
	return once.(func() error)()
}
