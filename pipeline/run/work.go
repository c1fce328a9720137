package run

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/pipe-run/pipe/pipeline"
	"github.com/pipe-run/pipe/pipeline/plan"
)

// work decides about one node whose inputs exist, and executes it unless it
// is a hit. It runs in a goroutine of its own.
func (s *scheduler) work(ctx context.Context, it *plan.Item, known plan.Known, threads int) outcome {
	n := it.Node
	emit := func(e pipeline.Event) { e.Step = n.Name; s.Emit(e) }
	it, err := s.resolve(ctx, n, known)
	if err != nil {
		return outcome{item: &plan.Item{Node: n}, err: err}
	}
	if it.State == plan.Hit {
		return outcome{item: it, result: it.Result, cached: true}
	}
	unlock, err := s.lock(ctx, it)
	if err != nil {
		return outcome{item: it, err: err}
	}
	defer unlock()
	if !s.Planner.Fresh[n.Name] { // another process may have computed it meanwhile
		r, err := s.Planner.Cache.Lookup(ctx, it.Key)
		if err == nil {
			return outcome{item: it, result: r, cached: true}
		}
		if !errors.Is(err, pipeline.ErrNotFound) {
			return outcome{item: it, err: err}
		}
	}
	s.say(n.Name, pipeline.StepStart{Kind: n.Kind, Key: it.Key, Reason: it.Reason})
	r, err := s.execute(ctx, it, threads, emit)
	return outcome{item: it, result: r, err: err}
}

// lockPatience is how long a step waits for its key in silence.
const lockPatience = time.Second

// lock takes the lock of a key, and says so when that takes long.
func (s *scheduler) lock(ctx context.Context, it *plan.Item) (unlock func(), err error) {
	locked := make(chan struct{})
	var watch sync.WaitGroup
	watch.Go(func() {
		select {
		case <-locked:
		case <-time.After(lockPatience):
			s.say(it.Node.Name, pipeline.Log{Level: "warn", Message: "waiting: another step or process is computing the same"})
		}
	})
	unlock, err = s.Lock(ctx, it.Key)
	close(locked)
	watch.Wait()
	return unlock, err
}

func (s *scheduler) execute(ctx context.Context, it *plan.Item, threads int, emit func(pipeline.Event)) (*pipeline.Result, error) {
	n := it.Node
	sub := ctx
	if n.Limits.Timeout > 0 {
		var cancel context.CancelFunc
		sub, cancel = context.WithTimeout(ctx, n.Limits.Timeout)
		defer cancel()
	}
	r, err := s.Execute(sub, it.Action, threads, emit)
	if err != nil {
		if ctx.Err() == nil && sub.Err() != nil {
			return nil, &pipeline.Problem{
				Pos:     n.At("timeout"),
				Message: fmt.Sprintf("step %s: timed out after %s", n.Name, n.Limits.Timeout),
			}
		}
		return nil, plan.Blame(n, err)
	}
	if err := s.Record(context.WithoutCancel(ctx), it.Action, r); err != nil {
		return nil, fmt.Errorf("recording the result: %w", err)
	}
	if s.Done != nil {
		if err := s.Done(it.Action); err != nil {
			s.say(n.Name, pipeline.Log{Level: "warn", Message: "its work folder is left behind: " + err.Error()})
		}
	}
	return r, nil
}

// resolve decides about n, over the network if that is allowed.
func (s *scheduler) resolve(ctx context.Context, n *pipeline.Node, known plan.Known) (*plan.Item, error) {
	if s.Online == nil {
		it, err := s.Planner.Node(ctx, n, known)
		if err == nil && it.State == plan.Unknown {
			err = fmt.Errorf("%s", it.Reason)
		}
		return it, err
	}
	online := *s.Online
	online.Emit = func(f pipeline.Fact) { s.say(n.Name, f) }
	it, err := s.Planner.Resolve(ctx, n, known, &online)
	if err == nil && it.State == plan.Unknown {
		err = fmt.Errorf("%s", it.Reason)
	}
	return it, err
}

// gate checks n's bounds on the metrics in r, says how each turned out, and
// returns all that fail.
func (s *scheduler) gate(n *pipeline.Node, r *pipeline.Result) error {
	gates, err := s.Planner.Gate(n, r)
	for _, g := range gates {
		s.say(n.Name, g)
	}
	return err
}
