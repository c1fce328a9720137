// Package run executes graphs: the scheduler decides with the planner, an
// executor computes, and everything that happens is an event.
package run

import (
	"context"
	"errors"
	"fmt"
	"math"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/pipe-run/pipe/pipeline"
	"github.com/pipe-run/pipe/pipeline/plan"
)

// Options say how to run.
type Options struct {
	ID      string
	Planner *plan.Planner

	// Execute computes one action that is no hit, with so many threads.
	Execute func(ctx context.Context, a *pipeline.Action, threads int, emit func(pipeline.Event)) (*pipeline.Result, error)
	// Lock keeps other processes from computing the same key meanwhile.
	Lock func(ctx context.Context, k pipeline.Key) (unlock func(), err error)
	// Record keeps a result.
	Record func(ctx context.Context, a *pipeline.Action, r *pipeline.Result) error

	// Done is told that a result is recorded; nil for none.
	Done func(a *pipeline.Action) error

	// Online is the leave to pin over the network; nil refuses (--locked).
	Online *plan.Online

	Jobs      int   // steps at once; 0 means one a core
	Threads   int   // to share among them; 0 means the cores
	Memory    int64 // bytes that steps may reserve together; 0 means no bound
	KeepGoing bool  // start what does not depend on a failure

	Emit func(pipeline.Event) // called by one goroutine at a time
}

// ErrFailed reports that a step or a gate failed; the events say which.
var ErrFailed = errors.New("a step failed")

// ErrInterrupted reports that the context ended before the graph did.
var ErrInterrupted = errors.New("interrupted")

// Graph runs every node of g that is not a hit, as soon as its inputs exist,
// and returns a summary of all of them. The error is nil, ErrFailed,
// ErrInterrupted, or pipeline.Problems found before anything ran.
func Graph(ctx context.Context, g *pipeline.Graph, o Options) (pipeline.RunEnd, error) {
	s := newScheduler(g, o)
	start := time.Now()
	s.say("", pipeline.RunStart{ID: o.ID, Name: g.Name, File: g.File, Steps: len(g.Nodes)})
	items, err := o.Planner.Graph(ctx, g)
	if err == nil && o.Online == nil {
		err = unpinned(items)
	}
	if err == nil {
		err = s.run(ctx, items)
	}
	end := s.end
	end.Seconds = math.Round(time.Since(start).Seconds()*1e6) / 1e6
	return end, err
}

// unpinned makes a problem of every source that only the network could name.
func unpinned(items []*plan.Item) error {
	var problems pipeline.Problems
	for _, it := range items {
		if it.State == plan.Unknown && it.Reason == plan.NotPinned {
			problems = append(problems, &pipeline.Problem{
				Pos:     it.Node.At("source"),
				Message: fmt.Sprintf("step %s: its source is not in pipe.lock, and --locked adds nothing", it.Node.Name),
				Hint:    "run pipe lock once, and keep pipe.lock with the pipeline",
			})
		}
	}
	if len(problems) > 0 {
		return problems
	}
	return nil
}

// A scheduler is one run. Its fields belong to the goroutine of run; workers
// speak to it through done.
type scheduler struct {
	Options
	graph   *pipeline.Graph
	known   plan.Known
	waiting map[string]int      // node → upstream nodes that have not succeeded
	next    map[string][]string // node → nodes that wait for it
	ready   []*plan.Item
	running int
	memory  int64
	failed  bool
	done    chan outcome
	end     pipeline.RunEnd
}

// An outcome is how a node's worker ended.
type outcome struct {
	item   *plan.Item
	result *pipeline.Result
	cached bool
	err    error
	memory int64
}

func newScheduler(g *pipeline.Graph, o Options) *scheduler {
	cores := runtime.GOMAXPROCS(0)
	if o.Jobs <= 0 {
		o.Jobs = cores
	}
	if o.Threads <= 0 {
		o.Threads = cores
	}
	var mu sync.Mutex
	emit := o.Emit
	o.Emit = func(e pipeline.Event) {
		mu.Lock()
		defer mu.Unlock()
		emit(e)
	}
	s := &scheduler{
		Options: o, graph: g, known: make(plan.Known, len(g.Nodes)),
		waiting: make(map[string]int, len(g.Nodes)), next: make(map[string][]string, len(g.Nodes)),
		done: make(chan outcome),
		end:  pipeline.RunEnd{ID: o.ID, Steps: make(map[string]pipeline.StepSummary, len(g.Nodes))},
	}
	for _, n := range g.Nodes {
		up := n.Upstream()
		s.waiting[n.Name] = len(up)
		for _, name := range up {
			s.next[name] = append(s.next[name], n.Name)
		}
	}
	return s
}

func (s *scheduler) say(step string, f pipeline.Fact) {
	s.Emit(pipeline.Event{Time: time.Now(), Step: step, Fact: f})
}

// run settles every item: first what the plan already knows, in order, then
// what becomes ready.
func (s *scheduler) run(ctx context.Context, items []*plan.Item) error {
	byName := make(map[string]*plan.Item, len(items))
	for _, it := range items {
		byName[it.Node.Name] = it
	}
	var roots []*plan.Item
	for _, it := range items {
		if s.waiting[it.Node.Name] == 0 {
			roots = append(roots, it)
		}
	}
	for _, it := range roots {
		s.enter(it, byName)
	}
	for {
		s.start(ctx)
		if s.running == 0 {
			break
		}
		out := <-s.done
		s.running--
		s.memory -= out.memory
		s.finish(ctx, out, byName)
	}
	return s.close(ctx, items)
}

func (s *scheduler) settled(it *plan.Item) bool {
	_, ok := s.end.Steps[it.Node.Name]
	return ok
}

// enter takes an item whose upstream has succeeded: a hit is settled at once,
// which may let others in; the rest queues.
func (s *scheduler) enter(it *plan.Item, byName map[string]*plan.Item) {
	queue := []*plan.Item{it}
	for len(queue) > 0 {
		it, queue = queue[0], queue[1:]
		if it.State != plan.Hit {
			s.ready = append(s.ready, it)
			continue
		}
		if !s.succeed(it, it.Result, true) {
			continue
		}
		for _, name := range s.next[it.Node.Name] {
			if s.waiting[name]--; s.waiting[name] == 0 {
				queue = append(queue, byName[name])
			}
		}
	}
}

// succeed settles an item that has a result. It reports false when its gate
// fails.
func (s *scheduler) succeed(it *plan.Item, r *pipeline.Result, cached bool) bool {
	if err := s.gate(it.Node, r); err != nil {
		s.fail(it, r, cached, err)
		return false
	}
	s.known.Add(it.Node, r)
	status := pipeline.Ran
	if cached {
		status = pipeline.Cached
		s.end.Cached++
	} else {
		s.end.Ran++
	}
	s.settle(it, status, "", r, cached)
	return true
}

// fail settles an item that failed, or whose result r misses its gate.
func (s *scheduler) fail(it *plan.Item, r *pipeline.Result, cached bool, err error) {
	s.failed = true
	s.end.Failed++
	s.trouble(it.Node, err)
	s.settle(it, pipeline.Failed, err.Error(), r, cached)
}

// trouble says an error at the user's line, or each of several.
func (s *scheduler) trouble(n *pipeline.Node, err error) {
	var all pipeline.Problems
	var one *pipeline.Problem
	var step *pipeline.StepError
	switch {
	case errors.As(err, &all):
	case errors.As(err, &one):
		all = pipeline.Problems{one}
	default:
		if errors.As(err, &step) {
			err = step.Err
		}
		all = pipeline.Problems{{Pos: n.Pos, Message: fmt.Sprintf("step %s: %v", n.Name, err)}}
	}
	for _, p := range all {
		s.say(n.Name, pipeline.Trouble{Problem: *p})
	}
}

func (s *scheduler) settle(it *plan.Item, status pipeline.Status, reason string, r *pipeline.Result, cached bool) {
	end := pipeline.StepEnd{Status: status, Outputs: map[string]pipeline.Digest{}, Reason: reason}
	if !it.Key.IsZero() {
		end.Key = it.Key.String()
	}
	if r != nil {
		for name, art := range r.Outputs {
			end.Outputs[name] = art.Root
		}
		if !cached {
			end.Usage = r.Usage
		} else if s.Planner.From != nil {
			end.From = s.Planner.From(it.Key)
		}
	}
	s.end.Steps[it.Node.Name] = pipeline.StepSummary{Status: status, Key: end.Key, Outputs: end.Outputs}
	s.say(it.Node.Name, end)
}

// start launches what is ready as far as jobs, threads and memory allow.
func (s *scheduler) start(ctx context.Context) {
	for len(s.ready) > 0 && s.running < s.Jobs && ctx.Err() == nil && (!s.failed || s.KeepGoing) {
		it := s.ready[0]
		need := it.Node.Limits.Memory
		if s.Memory > 0 && s.running > 0 && s.memory+need > s.Memory {
			return
		}
		s.ready = s.ready[1:]
		share := s.share()
		s.running++
		s.memory += need
		known := s.inputs(it.Node)
		go func() {
			out := s.work(ctx, it, known, share)
			out.memory = need
			s.done <- out
		}()
	}
}

// share is how many threads the next step gets. It keeps them for as long as it
// runs, while others come and go; so up to twice as many as there are cores
// are given out, lest cores idle when the others end.
func (s *scheduler) share() int {
	return max(1, min(s.Threads, 2*s.Threads/(s.running+1)))
}

// inputs copies what the worker of n may read of known.
func (s *scheduler) inputs(n *pipeline.Node) plan.Known {
	known := make(plan.Known, len(n.Inputs))
	for _, ref := range n.Inputs {
		if art, ok := s.known[ref]; ok {
			known[ref] = art
		}
	}
	return known
}

// finish takes in what a worker left.
func (s *scheduler) finish(ctx context.Context, out outcome, byName map[string]*plan.Item) {
	it := out.item
	switch {
	case out.err != nil && ctx.Err() != nil:
		s.end.Interrupted++
		s.settle(it, pipeline.Interrupted, "interrupted", nil, false)
	case out.err != nil:
		s.fail(it, nil, false, out.err)
	default:
		if !s.succeed(it, out.result, out.cached) {
			return
		}
		for _, name := range s.next[it.Node.Name] {
			if s.waiting[name]--; s.waiting[name] == 0 {
				s.enter(byName[name], byName)
			}
		}
	}
}

// close settles what never started and says how the run ended.
func (s *scheduler) close(ctx context.Context, items []*plan.Item) error {
	for _, it := range items {
		if s.settled(it) {
			continue
		}
		if ctx.Err() != nil && !s.afterFailure(it.Node) {
			s.end.Interrupted++
			s.settle(it, pipeline.Interrupted, "not started", nil, false)
			continue
		}
		s.end.Skipped++
		s.settle(it, pipeline.Skipped, s.skipReason(it.Node), nil, false)
	}
	switch {
	case s.end.Interrupted > 0:
		return ErrInterrupted
	case s.failed:
		return ErrFailed
	}
	return nil
}

// afterFailure reports whether n would not have started, interrupt or not.
func (s *scheduler) afterFailure(n *pipeline.Node) bool {
	return slices.ContainsFunc(n.Upstream(), func(name string) bool {
		st := s.end.Steps[name].Status
		return st == pipeline.Failed || st == pipeline.Skipped
	})
}

func (s *scheduler) skipReason(n *pipeline.Node) string {
	for _, name := range n.Upstream() {
		if st := s.end.Steps[name].Status; st == pipeline.Failed || st == pipeline.Skipped {
			return fmt.Sprintf("%s %s", name, st)
		}
	}
	return "another step failed (--keep-going starts it all the same)"
}
