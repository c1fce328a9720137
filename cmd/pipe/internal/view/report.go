package view

import (
	"maps"
	"slices"
	"time"

	"github.com/pipe-run/pipe/pipeline"
)

// maxReportLog bounds the log of a step in a report, in bytes.
const maxReportLog = 64 << 10

// A Report gathers the events of a run for the files that show it as a whole.
type Report struct {
	// File is the pipeline, as the user named it.
	File string
	// Metrics reads what a step measured from its result.
	Metrics func(*pipeline.Result) (map[string]float64, error)

	id, name string
	start    time.Time
	end      *pipeline.RunEnd // nil until the run has ended
	problems []*pipeline.Problem
	order    []string
	steps    map[string]*stepReport
	logs     tails
}

// A stepReport is a step in a Report.
type stepReport struct {
	name     string
	node     *pipeline.Node // nil when the graph is not known
	end      pipeline.StepEnd
	why      string // it was no hit
	problems []*pipeline.Problem
	gates    []pipeline.Gate
	metrics  map[string]float64
	log      *logTail // of a step that failed
}

// NewReport returns the report of a run of file that starts at start.
func NewReport(file string, start time.Time) *Report {
	return &Report{File: file, name: file, start: start, steps: map[string]*stepReport{}, logs: tails{}}
}

// Graph says what the run is of: it gives the steps their order.
func (r *Report) Graph(g *pipeline.Graph) {
	r.name = g.Name
	for _, n := range g.Nodes {
		r.step(n.Name).node = n
	}
}

func (r *Report) step(name string) *stepReport {
	s := r.steps[name]
	if s == nil {
		s = &stepReport{name: name, metrics: map[string]float64{}}
		r.steps[name] = s
		r.order = append(r.order, name)
	}
	return s
}

func (r *Report) Close() {}

func (r *Report) Event(e pipeline.Event) {
	r.logs.event(e, maxReportLog)
	switch f := e.Fact.(type) {
	case pipeline.RunStart:
		r.id = f.ID
	case pipeline.StepStart:
		r.step(e.Step).why = f.Reason
	case pipeline.Metric:
		r.step(e.Step).metrics[f.Name] = f.Value
	case pipeline.Gate:
		s := r.step(e.Step)
		s.gates = append(s.gates, f)
	case pipeline.Trouble:
		if e.Step == "" {
			r.problems = append(r.problems, &f.Problem)
			return
		}
		s := r.step(e.Step)
		s.problems = append(s.problems, &f.Problem)
	case pipeline.StepEnd:
		r.stepEnd(r.step(e.Step), f)
	case pipeline.RunEnd:
		r.id, r.end = f.ID, &f
	}
}

func (r *Report) stepEnd(s *stepReport, f pipeline.StepEnd) {
	s.end = f
	if tail := r.logs.take(s.name); f.Status == pipeline.Failed || f.Status == pipeline.Interrupted {
		s.log = tail
	}
	if m := r.measured(s); m != nil {
		s.metrics = m
	}
}

// measured reads what is in the metrics artifacts of s, if it has any: that a
// hit knows as well.
func (r *Report) measured(s *stepReport) map[string]float64 {
	if s.node == nil || r.Metrics == nil {
		return nil
	}
	result := pipeline.Result{Outputs: map[string]pipeline.Artifact{}}
	for name, root := range s.end.Outputs {
		if s.node.Outputs[name] == pipeline.TypeMetrics {
			result.Outputs[name] = pipeline.Artifact{Type: pipeline.TypeMetrics, Root: root}
		}
	}
	if len(result.Outputs) == 0 {
		return nil
	}
	m, err := r.Metrics(&result)
	if err != nil {
		return nil // it is a report; the run goes by the gates
	}
	return m
}

// failed returns the conditions of the gate of s that do not hold.
func (s *stepReport) failed() []pipeline.Gate {
	return slices.DeleteFunc(slices.Clone(s.gates), func(g pipeline.Gate) bool { return g.Passed })
}

// numbers are the names of what s measured, in order.
func (s *stepReport) numbers() []string { return slices.Sorted(maps.Keys(s.metrics)) }
