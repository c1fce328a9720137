package run_test

import (
	"context"
	"errors"
	"io/fs"
	"testing"
	"testing/fstest"
	"time"

	"github.com/pipe-run/pipe/pipeline"
	"github.com/pipe-run/pipe/pipeline/run"
)

// TestInterruptAfterTheLast: a run of which all is done when the interrupt
// comes is done.
func TestInterruptAfterTheLast(t *testing.T) {
	b := newBench()
	o := b.options(1, false)
	ctx, cancel := context.WithCancel(t.Context())
	record := o.Record
	o.Record = func(ctx context.Context, a *pipeline.Action, r *pipeline.Result) error {
		defer cancel()
		return record(ctx, a, r)
	}
	g := &pipeline.Graph{Nodes: []*pipeline.Node{node("a", `{}`)}}
	if end, err := run.Graph(ctx, g, o); err != nil || end.Ran != 1 || end.Interrupted != 0 {
		t.Errorf("%+v, %v", end, err)
	}
}

// TestInterruptAfterFailure: what a failure kept from starting is skipped, and
// what the interrupt did is interrupted.
func TestInterruptAfterFailure(t *testing.T) {
	b := newBench()
	b.fail["a"] = true
	o := b.options(1, true)
	ctx, cancel := context.WithCancel(t.Context())
	o.Emit = func(e pipeline.Event) {
		if end, ok := e.Fact.(pipeline.StepEnd); ok && end.Status == pipeline.Failed {
			cancel()
		}
	}
	g := &pipeline.Graph{Nodes: []*pipeline.Node{node("a", `{"n":1}`), node("b", `{"n":2}`, "a"), node("c", `{"n":3}`)}}
	end, err := run.Graph(ctx, g, o)
	if !errors.Is(err, run.ErrInterrupted) || end.Steps["b"].Status != pipeline.Skipped || end.Steps["c"].Status != pipeline.Interrupted {
		t.Errorf("%+v, %v", end, err)
	}
}

// TestGateUsage: a step that ran and missed its gate has cost what it cost,
// and bounds may stand on the metrics of several outputs.
func TestGateUsage(t *testing.T) {
	b := newBench()
	o := b.options(1, false)
	execute := o.Execute
	o.Execute = func(ctx context.Context, a *pipeline.Action, threads int, emit func(pipeline.Event)) (*pipeline.Result, error) {
		r, err := execute(ctx, a, threads, emit)
		r.Usage.Seconds = 7
		return r, err
	}
	o.Planner.Open = func(pipeline.Digest) (fs.FS, error) {
		return fstest.MapFS{pipeline.MetricsFile: {Data: []byte(`{"loss": 2}`)}}, nil
	}
	var seconds float64
	o.Emit = func(e pipeline.Event) {
		if end, ok := e.Fact.(pipeline.StepEnd); ok {
			seconds = end.Seconds
		}
	}
	n := node("a", `{}`)
	n.Outputs = map[string]string{"x": pipeline.TypeMetrics, "y": pipeline.TypeMetrics}
	n.Gate = []pipeline.Bound{{Metric: "loss", Op: "<", Value: 1}}
	g := &pipeline.Graph{Nodes: []*pipeline.Node{n}}
	if _, err := run.Graph(t.Context(), g, o); !errors.Is(err, run.ErrFailed) || seconds != 7 {
		t.Errorf("ran: %v, %g seconds", err, seconds)
	}
	if _, err := run.Graph(t.Context(), g, o); !errors.Is(err, run.ErrFailed) || seconds != 0 {
		t.Errorf("hit: %v, %g seconds", err, seconds)
	}
}

// TestWaitsAloud: whoever waits for another process that computes the same
// key says so.
func TestWaitsAloud(t *testing.T) {
	b := newBench()
	o := b.options(1, false)
	said := make(chan string, 1)
	o.Emit = func(e pipeline.Event) {
		if f, ok := e.Fact.(pipeline.Log); ok {
			said <- e.Step + ": " + f.Message
		}
	}
	o.Lock = func(ctx context.Context, k pipeline.Key) (func(), error) {
		select {
		case text := <-said:
			if text != "a: waiting: another step or process is computing the same" {
				t.Errorf("it says %q", text)
			}
			return func() {}, nil
		case <-time.After(time.Minute):
			return nil, errors.New("nothing was said")
		}
	}
	if _, err := run.Graph(t.Context(), &pipeline.Graph{Nodes: []*pipeline.Node{node("a", `{}`)}}, o); err != nil {
		t.Error(err)
	}
}
