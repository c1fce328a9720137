package plan

import (
	"cmp"
	"errors"
	"maps"
	"slices"

	"github.com/pipe-run/pipe/pipeline"
)

// Vet says everything that the kinds find wrong with the parameters of a
// graph's steps, as pipeline.Problems.
func Vet(g *pipeline.Graph, kinds pipeline.Kinds) error {
	var all pipeline.Problems
	for _, n := range g.Nodes {
		kind := kinds[n.Kind]
		if kind.Vet == nil {
			continue
		}
		err := kind.Vet(n.Full, slices.Sorted(maps.Keys(n.Inputs)))
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
