package compile

import (
	"context"
	"errors"
	"runtime/metrics"
	"time"
)

// ErrTooBig reports that an evaluation was ended by the watchdog.
var ErrTooBig = errors.New("the evaluation is too big")

const (
	maxTime = 10 * time.Second
	maxHeap = 1 << 30
)

// watch runs f until it ends, ctx is done, or it takes too long or too much
// memory.
func watch(ctx context.Context, opts Options, c *compiler, f func() error) error {
	if opts.MaxTime == 0 {
		opts.MaxTime = maxTime
	}
	if opts.MaxHeap == 0 {
		opts.MaxHeap = maxHeap
	}
	done := make(chan error, 1)
	go func() { done <- f() }()
	end := time.NewTimer(opts.MaxTime)
	defer end.Stop()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	before := heapInUse()
	for {
		select {
		case err := <-done:
			return err
		case <-ctx.Done():
			return ctx.Err()
		case <-end.C:
			return c.tooBig("takes longer than " + opts.MaxTime.String())
		case <-tick.C:
			if h := heapInUse(); h > before && h-before > opts.MaxHeap {
				return c.tooBig("needs too much memory")
			}
		}
	}
}

// heapInUse returns the bytes of live and not yet collected objects.
func heapInUse() uint64 {
	s := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	metrics.Read(s)
	return s[0].Value.Uint64()
}
