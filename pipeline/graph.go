package pipeline

import (
	"encoding/json"
	"fmt"
	"time"
)

// A Graph is a compiled pipeline. Nodes stand in topological order, ties
// broken by name.
type Graph struct {
	Name  string
	File  string // the pipeline file, as the user named it
	Nodes []*Node
}

// Node returns the node called name, or nil.
func (g *Graph) Node(name string) *Node {
	for _, n := range g.Nodes {
		if n.Name == name {
			return n
		}
	}
	return nil
}

// A Node is one step of a graph.
type Node struct {
	Name string
	Kind string

	// Params is the canonical JSON of the parameters that enter the key.
	Params json.RawMessage
	// Full is the canonical JSON of all parameters, those marked @nokey() in
	// the schema included (paths made absolute). It is what the step reads.
	Full json.RawMessage

	Inputs  map[string]Ref    // input name → the output that feeds it
	Outputs map[string]string // output name → artifact type
	Needs   []string          // steps that must succeed first, without wires
	Gate    []Bound           // checked on the metrics of this step
	Secrets []string          // names of environment variables the step may read

	Limits Limits

	Pos    Pos            // of the step in the user's file
	Fields map[string]Pos // of each parameter the user wrote, by dotted path
}

// Upstream returns the names of the steps n waits for, wires first, without
// repeats, in a fixed order.
func (n *Node) Upstream() []string {
	seen := map[string]bool{}
	var names []string
	add := func(name string) {
		if !seen[name] {
			seen[name] = true
			names = append(names, name)
		}
	}
	for _, in := range sortedKeys(n.Inputs) {
		add(n.Inputs[in].Step)
	}
	for _, name := range n.Needs {
		add(name)
	}
	return names
}

// At returns where the user wrote the parameter at path, or the nearest
// enclosing one, or the step itself.
func (n *Node) At(path string) Pos {
	for {
		if p, ok := n.Fields[path]; ok {
			return p
		}
		i := len(path) - 1
		for i >= 0 && path[i] != '.' {
			i--
		}
		if i < 0 {
			return n.Pos
		}
		path = path[:i]
	}
}

// Limits bound one step. They never enter a key.
type Limits struct {
	Timeout time.Duration // 0: none
	Retries int           // of network failures, for kinds that use the network
	Memory  int64         // bytes the scheduler reserves; 0: unknown
}

// A Ref names one output of one step.
type Ref struct {
	Step   string
	Output string
}

func (r Ref) String() string { return r.Step + "." + r.Output }

// A Bound is one condition of a gate: metric op value.
type Bound struct {
	Metric string
	Op     string // one of < <= > >= == !=
	Value  float64
	Pos    Pos
}

// Holds reports whether v satisfies b. Nothing is satisfied by NaN.
func (b Bound) Holds(v float64) bool {
	switch b.Op {
	case "<":
		return v < b.Value
	case "<=":
		return v <= b.Value
	case ">":
		return v > b.Value
	case ">=":
		return v >= b.Value
	case "==":
		return v == b.Value
	case "!=":
		return v == v && v != b.Value
	}
	panic("pipeline: unknown gate operator " + b.Op)
}

// A Pos is a place in a source file; Line and Col count from 1. The zero Pos
// is nowhere.
type Pos struct {
	File string `json:"file,omitempty"`
	Line int    `json:"line,omitempty"`
	Col  int    `json:"col,omitempty"`

	// Template is the place inside a template that the user's line uses, such as
	// "example.com/chat@v0.2.0:lora.cue:12:3"; empty elsewhere.
	Template string `json:"template,omitempty"`
}

// IsValid reports whether p names a place.
func (p Pos) IsValid() bool { return p.File != "" && p.Line > 0 }

func (p Pos) String() string {
	switch {
	case p.IsValid() && p.Template != "":
		return fmt.Sprintf("%s:%d:%d: in %s", p.File, p.Line, p.Col, p.Template)
	case p.IsValid():
		return fmt.Sprintf("%s:%d:%d", p.File, p.Line, p.Col)
	case p.File != "":
		return p.File
	}
	return "-"
}
