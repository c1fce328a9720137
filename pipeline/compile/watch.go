package compile

import (
	"context"
	"errors"
	"runtime"
	"runtime/debug"
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
// memory. Garbage is collected less often meanwhile: most of what CUE makes
// lives as long as the evaluation.
func watch(ctx context.Context, opts Options, c *compiler, f func() error) error {
	if opts.MaxTime == 0 {
		opts.MaxTime = maxTime
	}
	if opts.MaxHeap == 0 {
		opts.MaxHeap = maxHeap
	}
	defer debug.SetGCPercent(debug.SetGCPercent(400))
	done := make(chan error, 1)
	go func() { done <- f() }()
	end := time.NewTimer(opts.MaxTime)
	defer end.Stop()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	before, _ := heapBytes()
	limit := opts.MaxHeap
	for {
		select {
		case err := <-done:
			return err
		case <-ctx.Done():
			return ctx.Err()
		case <-end.C:
			return c.tooBig("takes longer than " + opts.MaxTime.String())
		case <-tick.C:
			if _, objects := heapBytes(); objects < before || objects-before < limit {
				continue
			}
			runtime.GC()
			live, _ := heapBytes()
			if live > before && live-before > opts.MaxHeap {
				return c.tooBig("needs too much memory")
			}
			limit = live - min(live, before) + opts.MaxHeap
		}
	}
}

// heapBytes returns the bytes of objects that the last collection found alive, and
// of all objects that are not yet collected.
func heapBytes() (live, objects uint64) {
	s := []metrics.Sample{{Name: "/gc/heap/live:bytes"}, {Name: "/memory/classes/heap/objects:bytes"}}
	metrics.Read(s)
	return s[0].Value.Uint64(), s[1].Value.Uint64()
}
