package compile

import (
	"container/heap"
	"errors"
	"slices"
	"strings"

	"github.com/dominikbraun/graph"
)

// order sorts the nodes so that each stands after those it waits for, ties
// broken by name. A cycle is a problem.
func (c *compiler) order() {
	g := graph.New(graph.StringHash, graph.Directed())
	for _, name := range c.names {
		_ = g.AddVertex(name)
	}
	for _, name := range c.names {
		for _, up := range c.nodes[name].Upstream() {
			if err := g.AddEdge(up, name); err != nil && !errors.Is(err, graph.ErrEdgeAlreadyExists) {
				c.add(c.stepPos(name, c.steps[name]), "", "step %q waits for %q, which is no step", name, up)
				return
			}
		}
	}
	down, err := g.AdjacencyMap()
	if err != nil {
		c.add(c.stepPos(c.names[0], c.steps[c.names[0]]), "", "ordering the steps: %v", err)
		return
	}
	waits := make(map[string]int, len(down))
	for _, edges := range down {
		for to := range edges {
			waits[to]++
		}
	}
	ready := &names{}
	for name := range down {
		if waits[name] == 0 {
			*ready = append(*ready, name)
		}
	}
	heap.Init(ready)
	for ready.Len() > 0 {
		name := heap.Pop(ready).(string)
		c.graph.Nodes = append(c.graph.Nodes, c.nodes[name])
		for to := range down[name] {
			if waits[to]--; waits[to] == 0 {
				heap.Push(ready, to)
			}
		}
	}
	if len(c.graph.Nodes) < len(c.names) {
		c.cycles(g)
	}
}

// cycles names one shortest cycle of every group of steps that wait for one
// another, at the wire of the step that comes first in the file.
func (c *compiler) cycles(g graph.Graph[string, string]) {
	groups, err := graph.StronglyConnectedComponents(g)
	if err != nil {
		return
	}
	for _, group := range groups {
		in := map[string]bool{}
		for _, name := range group {
			in[name] = true
		}
		first := slices.IndexFunc(c.names, func(n string) bool { return in[n] })
		start := c.names[first]
		c.use = c.useOf(start)
		cycle := c.cycle(start, in)
		if cycle == nil {
			continue // a step alone
		}
		if len(cycle) == 2 {
			c.add(c.wirePos(start, start), "", "step %s waits for itself", start)
			continue
		}
		c.add(c.wirePos(start, cycle[1]), "", "these steps wait for one another: %s", strings.Join(cycle, " → "))
	}
}

// cycle returns a shortest way from start over steps that it waits for back
// to itself, or nil.
func (c *compiler) cycle(start string, in map[string]bool) []string {
	from := map[string]string{}
	queue := []string{start}
	for len(queue) > 0 {
		name := queue[0]
		queue = queue[1:]
		for _, up := range c.nodes[name].Upstream() {
			if up == start {
				way := []string{start}
				for at := name; at != start; at = from[at] {
					way = append(way, at)
				}
				way = append(way, start)
				slices.Reverse(way)
				return way
			}
			if _, seen := from[up]; !seen && in[up] {
				from[up] = name
				queue = append(queue, up)
			}
		}
	}
	return nil
}

// names is a heap of step names.
type names []string

func (h names) Len() int           { return len(h) }
func (h names) Less(i, j int) bool { return h[i] < h[j] }
func (h names) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *names) Push(x any)        { *h = append(*h, x.(string)) }
func (h *names) Pop() any {
	old := *h
	x := old[len(old)-1]
	*h = old[:len(old)-1]
	return x
}
