package run

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"
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

// maxMetrics bounds the size of a metrics file.
const maxMetrics = 16 << 20

// gate checks n's bounds on the metrics in r, says how each turned out, and
// returns all that fail.
func (s *scheduler) gate(n *pipeline.Node, r *pipeline.Result) error {
	if len(n.Gate) == 0 {
		return nil
	}
	metrics, err := readMetrics(s.Planner.Open, r)
	if err != nil {
		return &pipeline.Problem{Pos: n.At("gate"), Message: fmt.Sprintf("step %s: gate: %v", n.Name, err)}
	}
	var problems pipeline.Problems
	for _, b := range n.Gate {
		g := pipeline.Gate{Metric: b.Metric, Op: b.Op, Bound: b.Value, Pos: b.Pos}
		v, ok := metrics[b.Metric]
		if ok {
			g.Value, g.Passed = &v, b.Holds(v)
		}
		s.say(n.Name, g)
		if p := gateProblem(n, g, metrics); p != nil {
			problems = append(problems, p)
		}
	}
	if len(problems) > 0 {
		return problems
	}
	return nil
}

// gateProblem says what is wrong with a condition that does not hold.
func gateProblem(n *pipeline.Node, g pipeline.Gate, metrics map[string]float64) *pipeline.Problem {
	switch {
	case g.Passed:
		return nil
	case g.Value == nil:
		return &pipeline.Problem{
			Pos:     g.Pos,
			Message: fmt.Sprintf("step %s: gate: it has no metric %q", n.Name, g.Metric),
			Hint:    "its metrics are " + names(metrics),
		}
	}
	return &pipeline.Problem{
		Pos:     g.Pos,
		Message: fmt.Sprintf("step %s: gate: %s is %.6g, wanted %s %g", n.Name, g.Metric, *g.Value, g.Op, g.Bound),
	}
}

// readMetrics reads the numbers of the metrics artifacts in r. Of one name in
// two of them, that of the last output counts.
func readMetrics(open func(pipeline.Digest) (fs.FS, error), r *pipeline.Result) (map[string]float64, error) {
	var all map[string]float64
	for _, name := range slices.Sorted(maps.Keys(r.Outputs)) {
		if r.Outputs[name].Type != pipeline.TypeMetrics {
			continue
		}
		some, err := readArtifactMetrics(open, r.Outputs[name].Root)
		if err != nil {
			return nil, err
		}
		if all == nil {
			all = some
		}
		maps.Copy(all, some)
	}
	if all == nil {
		return nil, errors.New("the step has no metrics")
	}
	return all, nil
}

func readArtifactMetrics(open func(pipeline.Digest) (fs.FS, error), root pipeline.Digest) (map[string]float64, error) {
	files, err := open(root)
	if err != nil {
		return nil, err
	}
	f, err := files.Open(pipeline.MetricsFile)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return decodeMetrics(f)
}

func decodeMetrics(f fs.File) (map[string]float64, error) {
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if info.Size() > maxMetrics {
		return nil, fmt.Errorf("%s has %d bytes; at most %d are read", pipeline.MetricsFile, info.Size(), maxMetrics)
	}
	var all map[string]any
	if err := json.NewDecoder(f).Decode(&all); err != nil {
		return nil, fmt.Errorf("reading %s: %w", pipeline.MetricsFile, err)
	}
	metrics := make(map[string]float64, len(all))
	for name, v := range all {
		if x, ok := v.(float64); ok {
			metrics[name] = x
		}
	}
	return metrics, nil
}

func names(metrics map[string]float64) string {
	return strings.Join(slices.Sorted(maps.Keys(metrics)), ", ")
}
