package plan

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"

	"github.com/pipe-run/pipe/pipeline"
)

// maxMetrics bounds the size of a metrics file.
const maxMetrics = 16 << 20

// Gate checks the bounds of n on the metrics in r, a result of it. It returns how
// each turned out, and all that fail as pipeline.Problems.
func (p *Planner) Gate(n *pipeline.Node, r *pipeline.Result) ([]pipeline.Gate, error) {
	if len(n.Gate) == 0 {
		return nil, nil
	}
	metrics, err := Metrics(p.Open, r)
	if err != nil {
		return nil, &pipeline.Problem{Pos: n.At("gate"), Message: fmt.Sprintf("step %s: gate: %v", n.Name, err)}
	}
	var gates []pipeline.Gate
	var problems pipeline.Problems
	for _, b := range n.Gate {
		g := pipeline.Gate{Metric: b.Metric, Op: b.Op, Bound: b.Value, Pos: b.Pos}
		v, ok := metrics[b.Metric]
		if ok {
			g.Value, g.Passed = &v, b.Holds(v)
		}
		gates = append(gates, g)
		if p := gateProblem(n, g, metrics); p != nil {
			problems = append(problems, p)
		}
	}
	if len(problems) > 0 {
		return gates, problems
	}
	return gates, nil
}

// gateProblem says what is wrong with a condition that does not hold.
func gateProblem(n *pipeline.Node, g pipeline.Gate, metrics map[string]float64) *pipeline.Problem {
	if g.Passed {
		return nil
	}
	p := &pipeline.Problem{Pos: g.Pos, Message: fmt.Sprintf("step %s: gate: %s", n.Name, g)}
	if g.Value == nil {
		p.Hint = "its metrics are " + names(metrics)
	}
	return p
}

// Metrics reads the numbers of the metrics artifacts in r. Of one name in
// two of them, that of the last output counts.
func Metrics(open func(pipeline.Digest) (fs.FS, error), r *pipeline.Result) (map[string]float64, error) {
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
