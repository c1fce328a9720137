package run_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/pipe-run/pipe/pipeline"
	"github.com/pipe-run/pipe/pipeline/plan"
	"github.com/pipe-run/pipe/pipeline/run"
	"github.com/pipe-run/pipe/pipeline/store/mem"
)

// A bench is everything a scheduler needs, with an executor that computes
// nothing: its outputs are named by the step's parameters.
type bench struct {
	store *mem.Store
	mu    sync.Mutex
	ran   []string
	fail  map[string]bool
	delay time.Duration
}

func newBench() *bench { return &bench{store: mem.New(), fail: map[string]bool{}} }

func (b *bench) execute(ctx context.Context, a *pipeline.Action, threads int, emit func(pipeline.Event)) (*pipeline.Result, error) {
	b.mu.Lock()
	b.ran = append(b.ran, a.Node.Name)
	b.mu.Unlock()
	if b.delay > 0 {
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(b.delay):
		}
	}
	if b.fail[a.Node.Name] {
		return nil, errors.New("boom")
	}
	r := &pipeline.Result{Outputs: map[string]pipeline.Artifact{}}
	for out, typ := range a.Outputs {
		d, err := putTree(ctx, b.store, map[string]any{"by": a.Node.Name, "out": out, "params": a.Params})
		if err != nil {
			return nil, err
		}
		r.Outputs[out] = pipeline.Artifact{Type: typ, Root: d}
	}
	return r, nil
}

func (b *bench) options(jobs int, keepGoing bool) run.Options {
	return run.Options{
		ID: "test",
		Planner: &plan.Planner{
			Kinds: pipeline.NewKinds(pipeline.Kind{Name: "fake", Version: 1}), Cache: b.store,
			Open:   func(pipeline.Digest) (fs.FS, error) { return fstest.MapFS{}, nil },
			Locked: func(string) (string, bool) { return "", false },
		},
		Execute: b.execute,
		Lock:    func(context.Context, pipeline.Key) (func(), error) { return func() {}, nil },
		Record: func(ctx context.Context, a *pipeline.Action, r *pipeline.Result) error {
			return b.store.Record(ctx, a.Key(), r)
		},
		Jobs: jobs, KeepGoing: keepGoing,
		Emit: func(pipeline.Event) {},
	}
}

func node(name string, params string, up ...string) *pipeline.Node {
	n := &pipeline.Node{
		Name: name, Kind: "fake", Params: json.RawMessage(params), Full: json.RawMessage(params),
		Inputs: map[string]pipeline.Ref{}, Outputs: map[string]string{"out": "files"},
	}
	for _, u := range up {
		n.Inputs["from-"+u] = pipeline.Ref{Step: u, Output: "out"}
	}
	return n
}

// randomGraph returns a graph in which each node depends on some earlier ones,
// now and then only through needs.
func randomGraph(rng *rand.Rand) *pipeline.Graph {
	g := &pipeline.Graph{Name: "random"}
	for i := range 1 + rng.IntN(20) {
		n := node(fmt.Sprintf("n%02d", i), fmt.Sprintf(`{"i":%d}`, i))
		for j := range i {
			switch rng.IntN(8) {
			case 0:
				n.Inputs[fmt.Sprint("in", j)] = pipeline.Ref{Step: fmt.Sprintf("n%02d", j), Output: "out"}
			case 1:
				n.Needs = append(n.Needs, fmt.Sprintf("n%02d", j))
			}
		}
		g.Nodes = append(g.Nodes, n)
	}
	return g
}

// TestRandomGraphs checks, on random graphs with random failures, that every
// node executes once and after its upstream, that with --keep-going exactly
// the descendants of failures are skipped, and that a second run executes
// only what failed and what follows.
func TestRandomGraphs(t *testing.T) {
	for seed := range uint64(200) {
		rng := rand.New(rand.NewPCG(seed, 0))
		g, b := randomGraph(rng), newBench()
		dead := map[string]bool{}
		want := map[string]pipeline.Status{}
		for _, n := range g.Nodes {
			b.fail[n.Name] = rng.IntN(6) == 0
			want[n.Name] = pipeline.Ran
			for _, up := range n.Upstream() {
				if dead[up] {
					dead[n.Name], want[n.Name] = true, pipeline.Skipped
				}
			}
			if !dead[n.Name] && b.fail[n.Name] {
				dead[n.Name], want[n.Name] = true, pipeline.Failed
			}
		}
		jobs := 1 + rng.IntN(8)
		end, err := run.Graph(t.Context(), g, b.options(jobs, true))
		if (len(dead) > 0) != errors.Is(err, run.ErrFailed) {
			t.Fatalf("seed %d: error %v with %d dead nodes", seed, err, len(dead))
		}
		checkOrder(t, g, b.ran)
		for name, status := range want {
			if got := end.Steps[name].Status; got != status {
				t.Errorf("seed %d: %s is %s, want %s", seed, name, got, status)
			}
		}
		if end.Ran+end.Failed+end.Skipped != len(g.Nodes) {
			t.Errorf("seed %d: the counts of %+v do not add up to %d", seed, end, len(g.Nodes))
		}

		b.fail, b.ran = map[string]bool{}, nil
		end, err = run.Graph(t.Context(), g, b.options(jobs, false))
		if err != nil || end.Ran != len(dead) || end.Cached != len(g.Nodes)-len(dead) {
			t.Errorf("seed %d: second run: %v, ran %d and cached %d of %d with %d dead", seed, err, end.Ran, end.Cached, len(g.Nodes), len(dead))
		}
	}
}

func checkOrder(t *testing.T, g *pipeline.Graph, ran []string) {
	t.Helper()
	for i, name := range ran {
		if slices.Contains(ran[i+1:], name) {
			t.Errorf("%s ran twice", name)
		}
		for _, up := range g.Node(name).Upstream() {
			if !slices.Contains(ran[:i], up) {
				t.Errorf("%s ran before %s", name, up)
			}
		}
	}
}

// TestPlanAgrees checks on random graphs, with part of the results cached and
// some parameters changed, that the plan calls a hit exactly what the run
// takes from the cache, and never a hit what it executes.
func TestPlanAgrees(t *testing.T) {
	for seed := range uint64(200) {
		rng := rand.New(rand.NewPCG(seed, 1))
		g, b := randomGraph(rng), newBench()
		if _, err := run.Graph(t.Context(), g, b.options(2, false)); err != nil {
			t.Fatal(err)
		}
		for _, n := range g.Nodes {
			if rng.IntN(5) == 0 {
				n.Params = json.RawMessage(`{"changed":true,"of":"` + n.Name + `"}`)
			}
		}
		o := b.options(3, false)
		items, err := o.Planner.Graph(t.Context(), g)
		if err != nil {
			t.Fatal(err)
		}
		end, err := run.Graph(t.Context(), g, o)
		if err != nil {
			t.Fatal(err)
		}
		for _, it := range items {
			status := end.Steps[it.Node.Name].Status
			switch it.State {
			case plan.Hit:
				if status != pipeline.Cached || end.Steps[it.Node.Name].Key != it.Key.String() {
					t.Errorf("seed %d: %s was planned as a hit and %s", seed, it.Node.Name, status)
				}
			case plan.Miss:
				if status != pipeline.Ran {
					t.Errorf("seed %d: %s was planned as a miss and %s", seed, it.Node.Name, status)
				}
			}
		}
	}
}

// TestFailFast checks that nothing starts after a failure without
// --keep-going.
func TestFailFast(t *testing.T) {
	b := newBench()
	b.fail["a"] = true
	g := &pipeline.Graph{Nodes: []*pipeline.Node{node("a", `{"n":1}`), node("b", `{"n":2}`)}}
	end, err := run.Graph(t.Context(), g, b.options(1, false))
	if !errors.Is(err, run.ErrFailed) || end.Failed != 1 || end.Skipped != 1 || !slices.Equal(b.ran, []string{"a"}) {
		t.Errorf("ran %v, %+v, %v", b.ran, end, err)
	}
}

// TestInterrupt checks that a run ends soon after its context, with what ran
// called interrupted.
func TestInterrupt(t *testing.T) {
	b := newBench()
	b.delay = time.Minute
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	g := &pipeline.Graph{Nodes: []*pipeline.Node{node("a", `{}`), node("b", `{}`, "a")}}
	end, err := run.Graph(ctx, g, b.options(2, false))
	if !errors.Is(err, run.ErrInterrupted) || end.Interrupted != 2 {
		t.Errorf("%+v, %v", end, err)
	}
}

// TestEarlyCutoff checks that a rerun which reproduces its bytes stops the
// wave, and that going back to earlier parameters runs nothing.
func TestEarlyCutoff(t *testing.T) {
	b := newBench()
	first := node("strip", `{"comment":1}`)
	g := &pipeline.Graph{Nodes: []*pipeline.Node{first, node("heavy", `{}`, "strip")}}
	o := b.options(1, false)
	same, err := putTree(t.Context(), b.store, "the same bytes")
	if err != nil {
		t.Fatal(err)
	}
	inner := o.Execute
	o.Execute = func(ctx context.Context, a *pipeline.Action, threads int, emit func(pipeline.Event)) (*pipeline.Result, error) {
		if a.Node.Name != "strip" {
			return inner(ctx, a, threads, emit)
		}
		b.ran = append(b.ran, "strip")
		return &pipeline.Result{Outputs: map[string]pipeline.Artifact{"out": {Type: "files", Root: same}}}, nil
	}
	for _, c := range []struct {
		params string
		want   []string
	}{
		{`{"comment":1}`, []string{"strip", "heavy"}},
		{`{"comment":2}`, []string{"strip"}}, // early cutoff
		{`{"comment":1}`, nil},               // restore on revert
	} {
		b.ran, first.Params = nil, json.RawMessage(c.params)
		if _, err := run.Graph(t.Context(), g, o); err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(b.ran, c.want) {
			t.Errorf("with %s ran %v, want %v", c.params, b.ran, c.want)
		}
	}
}
