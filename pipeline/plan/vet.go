package plan

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/pipe-run/pipe/pipeline"
)

// vetGate refuses a gate on what the step's parameter metrics leaves out, or
// on what a step of its kind does not measure.
func vetGate(n *pipeline.Node, kind pipeline.Kind) *pipeline.Problem {
	if kind.Metrics != nil && len(n.Gate) > 0 {
		return vetMeasured(n, kind.Metrics(n.Full))
	}
	var p struct {
		Metrics []string `json:"metrics"`
	}
	if len(n.Gate) == 0 || json.Unmarshal(n.Full, &p) != nil || p.Metrics == nil {
		return nil // it measures all there is
	}
	for _, b := range n.Gate {
		if !slices.Contains(p.Metrics, b.Metric) {
			return &pipeline.Problem{
				Pos:     b.Pos,
				Message: fmt.Sprintf("step %s: gate: %s is not among its metrics, which are %s", n.Name, b.Metric, strings.Join(p.Metrics, ", ")),
				Hint:    fmt.Sprintf("add %q to metrics, or leave metrics out to measure all", b.Metric),
			}
		}
	}
	return nil
}

func vetMeasured(n *pipeline.Node, metrics []string) *pipeline.Problem {
	for _, b := range n.Gate {
		if metrics != nil && !slices.Contains(metrics, b.Metric) {
			return &pipeline.Problem{
				Pos:     b.Pos,
				Message: fmt.Sprintf("step %s: gate: it does not measure %q", n.Name, b.Metric),
				Hint:    "as it is set up, its metrics are " + strings.Join(metrics, ", "),
			}
		}
	}
	return nil
}

// vetNode asks the kind of a step about its parameters and about the shapes of
// records that reach it; shapes holds those that the steps before it make, by the
// steps' names.
func vetNode(n *pipeline.Node, kind pipeline.Kind, shapes map[string]string) error {
	if kind.Vet != nil {
		if err := kind.Vet(n.Full, slices.Sorted(maps.Keys(n.Inputs))); err != nil {
			return err
		}
	}
	if kind.Shapes == nil {
		return nil
	}
	inputs := map[string]string{}
	for name, ref := range n.Inputs {
		if shape := shapes[ref.Step]; shape != "" {
			inputs[name] = shape
		}
	}
	shape, err := kind.Shapes(n.Full, inputs)
	shapes[n.Name] = shape
	return err
}

// Vet says everything that the kinds find wrong with the parameters of a
// graph's steps, and with the shapes of records that reach them, as pipeline.Problems.
func Vet(g *pipeline.Graph, kinds pipeline.Kinds) error {
	var all pipeline.Problems
	shapes := map[string]string{}
	for _, n := range g.Nodes {
		kind := kinds[n.Kind]
		if p := vetGate(n, kind); p != nil {
			all = append(all, p)
		}
		err := vetNode(n, kind, shapes)
		if err == nil {
			continue
		}
		var problem *pipeline.Problem
		if blamed := Blame(n, err); errors.As(blamed, &problem) {
			all = append(all, problem)
		} else {
			return blamed
		}
	}
	slices.SortStableFunc(all, func(a, b *pipeline.Problem) int {
		return cmp.Or(cmp.Compare(a.Pos.File, b.Pos.File), cmp.Compare(a.Pos.Line, b.Pos.Line), cmp.Compare(a.Pos.Col, b.Pos.Col))
	})
	if len(all) > 0 {
		return all
	}
	return nil
}
