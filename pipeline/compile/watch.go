package compile

import (
	"context"
	"errors"
	"fmt"
	"math"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"syscall"
	"time"

	"github.com/pipe-run/pipe/pipeline"
)

// ErrTooBig is behind the Problems of an evaluation that the watchdog ended.
// The evaluation goes on in the background, for CUE cannot be interrupted.
var ErrTooBig = errors.New("the evaluation is too big")

// tooBig carries both.
type tooBig struct{ pipeline.Problems }

func (tooBig) Is(err error) bool { return err == ErrTooBig }
func (e tooBig) Unwrap() error   { return e.Problems }

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
	go func() {
		defer func() {
			if r := recover(); r != nil {
				done <- fmt.Errorf("%s: evaluating the file failed inside of CUE: %v\n%s", c.source.name, r, debug.Stack())
			}
		}()
		done <- f()
	}()
	start, startCPU := time.Now(), cpuTime()
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
		case <-tick.C:
			// On a busy machine an innocent file may wait long for its turn.
			if time.Since(start) > opts.MaxTime && cpuTime()-startCPU > opts.MaxTime {
				return c.tooBig("takes longer than " + opts.MaxTime.String())
			}
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

// cpuTime returns the processor time that this process has used.
func cpuTime() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return math.MaxInt64
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// tooBig says that the evaluation was ended, and which step it was most
// likely busy with.
func (c *compiler) tooBig(why string) error {
	p := &pipeline.Problem{
		Pos: pipeline.Pos{File: c.source.name}, Message: "evaluating the file " + why,
		Hint: "look for comprehensions inside comprehensions, and for values that multiply one another",
	}
	if what, pos := biggest(c.src, c.source.name); what != "" {
		p.Pos = c.pos(pos)
		p.Message += "; most of it goes into " + what
	}
	return tooBig{pipeline.Problems{p}}
}

// heapBytes returns the bytes of objects that the last collection found alive, and
// of all objects that are not yet collected.
func heapBytes() (live, objects uint64) {
	s := []metrics.Sample{{Name: "/gc/heap/live:bytes"}, {Name: "/memory/classes/heap/objects:bytes"}}
	metrics.Read(s)
	return s[0].Value.Uint64(), s[1].Value.Uint64()
}
