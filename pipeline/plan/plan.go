// Package plan foretells what a run would do, without doing it. A run makes
// the same decisions through the same Planner, one node at a time.
package plan

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/pipe-run/pipe/pipeline"
)

// State is what a run would do with a node.
type State string

const (
	Hit     State = "hit"     // its result is in the cache
	Miss    State = "miss"    // it would execute
	Unknown State = "unknown" // its key is not known before something else has run
)

// NotPinned is the Reason of a source that only the network could name.
const NotPinned = "not pinned"

// An Item is what is known of one node.
type Item struct {
	Node   *pipeline.Node
	State  State
	Reason string // empty for a hit
	Key    pipeline.Key
	Action *pipeline.Action // nil when State is Unknown
	Result *pipeline.Result // nil unless State is Hit
}

// A Planner decides. Its fields are set once and then only read; its methods
// are safe for concurrent use.
type Planner struct {
	Kinds pipeline.Kinds
	Cache pipeline.Cache

	// Open views the files of an artifact.
	Open func(root pipeline.Digest) (fs.FS, error)
	// Sum looks at a local file (see pipeline.PinRequest).
	Sum func(path string) (pipeline.FileSum, error)
	// Locked is what pipe.lock pins (see pipeline.PinRequest).
	Locked func(from string) (string, bool)
	// Secret reads a named secret of this run.
	Secret func(name string) (string, bool)
	// From says which second cache a hit was taken from, or would be; empty for
	// the cache itself. May be nil.
	From func(k pipeline.Key) string
	// Past finds earlier executions, to say why a node is a miss. May be nil.
	Past Past
	// Fresh names nodes that execute even when their result is cached.
	Fresh map[string]bool
	// Threads that a step would get, for estimates.
	Threads int
}

// Past knows what ran before.
type Past interface {
	// Last returns the key that a step of this pipeline had when it last had
	// a result.
	Last(ctx context.Context, step string) (pipeline.Key, bool)
	// Earlier returns keys under which a step has run, the latest first: of
	// this pipeline if there are any, else of steps of the same kind.
	Earlier(ctx context.Context, step, kind string) ([]pipeline.Key, error)
	// Preimage returns the canonical JSON of the action behind a key.
	Preimage(ctx context.Context, k pipeline.Key) ([]byte, error)
	// Evicted says when a result was deleted to make room.
	Evicted(k pipeline.Key) (time.Time, bool)
}

// Known are the artifacts that exist so far.
type Known map[pipeline.Ref]pipeline.Artifact

// Add enters what n left behind.
func (k Known) Add(n *pipeline.Node, r *pipeline.Result) {
	for out, art := range r.Outputs {
		k[pipeline.Ref{Step: n.Name, Output: out}] = art
	}
}

// Graph decides about every node of g, in order. Mistakes that only the
// outside world shows, such as an absent file, are pipeline.Problems, all of
// them at once.
func (p *Planner) Graph(ctx context.Context, g *pipeline.Graph) ([]*Item, error) {
	known := make(Known, len(g.Nodes))
	items := make([]*Item, 0, len(g.Nodes))
	pins := p.pins(ctx, g.Nodes)
	var problems pipeline.Problems
	for i, n := range g.Nodes {
		it, err := p.node(ctx, n, known, pins[i])
		if err == nil {
			err = p.check(it)
		}
		if problem := (*pipeline.Problem)(nil); errors.As(err, &problem) {
			problems = append(problems, problem)
			it = &Item{Node: n, State: Unknown, Reason: problem.Message}
		} else if err != nil {
			return nil, err
		}
		if it.State == Hit {
			known.Add(n, it.Result)
		}
		items = append(items, it)
	}
	if len(problems) > 0 {
		return items, problems
	}
	return items, nil
}

// check refuses a step that would execute and cannot on this machine.
func (p *Planner) check(it *Item) error {
	kind := p.Kinds[it.Node.Kind]
	if it.State == Hit || kind.Check == nil {
		return nil
	}
	if err := kind.Check(it.Node.Full); err != nil {
		return Blame(it.Node, err)
	}
	return nil
}

// Node decides about n given what is known so far, without using the network.
func (p *Planner) Node(ctx context.Context, n *pipeline.Node, known Known) (*Item, error) {
	return p.node(ctx, n, known, p.pin(ctx, n, nil))
}

// Resolve decides about n like Node, but may use the network to pin it:
// online carries what that needs. Pinned is called with every new pin.
func (p *Planner) Resolve(ctx context.Context, n *pipeline.Node, known Known, online *Online) (*Item, error) {
	return p.node(ctx, n, known, p.pin(ctx, n, online))
}

// Online is the leave to use the network for pinning.
type Online struct {
	Downloads string // see pipeline.PinRequest
	Emit      func(pipeline.Fact)
	Pinned    func(n *pipeline.Node, pin pipeline.Pin) error
}

// node decides about n, whose source is pinned. A source that is wrong is said
// before n's inputs exist.
func (p *Planner) node(ctx context.Context, n *pipeline.Node, known Known, pin pinned) (*Item, error) {
	kind, ok := p.Kinds[n.Kind]
	if !ok {
		return nil, fmt.Errorf("%s: step %s: no such kind: %s", n.Pos, n.Name, n.Kind)
	}
	it := &Item{Node: n, State: Unknown}
	if errors.Is(pin.err, pipeline.ErrNotPinned) {
		it.Reason = NotPinned
		return it, nil
	}
	if pin.err != nil {
		return nil, Blame(n, pin.err)
	}
	a := &pipeline.Action{
		Node: n, Kind: n.Kind, Version: kind.Version, Params: n.Params, Pin: pin.ID,
		Inputs: make(map[string]pipeline.Artifact, len(n.Inputs)), Outputs: n.Outputs,
	}
	for in, ref := range n.Inputs {
		art, ok := known[ref]
		if !ok {
			if it.Reason == "" || "waits for "+ref.Step < it.Reason {
				it.Reason = "waits for " + ref.Step
			}
			continue
		}
		a.Inputs[in] = art
	}
	if it.Reason != "" {
		return it, nil
	}
	it.Action, it.Key = a, a.Key()
	return it, p.lookup(ctx, it)
}

func (p *Planner) lookup(ctx context.Context, it *Item) error {
	if p.Fresh[it.Node.Name] {
		it.State, it.Reason = Miss, "asked to run afresh"
		return nil
	}
	r, err := p.Cache.Lookup(ctx, it.Key)
	switch {
	case err == nil:
		it.State, it.Result = Hit, r
	case errors.Is(err, pipeline.ErrNotFound):
		it.State, it.Reason = Miss, p.reason(ctx, it)
	default:
		return fmt.Errorf("looking up step %s: %w", it.Node.Name, err)
	}
	return nil
}

// secrets lets a step read only the secrets that it names.
func (p *Planner) secrets(n *pipeline.Node) func(string) (string, bool) {
	return func(name string) (string, bool) {
		for _, s := range n.Secrets {
			if s == name {
				return p.Secret(name)
			}
		}
		return "", false
	}
}

// Blame turns an error about a parameter into a problem at the user's line.
func Blame(n *pipeline.Node, err error) error {
	var field *pipeline.FieldError
	if errors.As(err, &field) {
		return &pipeline.Problem{
			Pos:     n.At(field.Field),
			Message: fmt.Sprintf("step %s: %s: %v", n.Name, field.Field, field.Err),
			Hint:    field.Hint,
		}
	}
	return &pipeline.StepError{Step: n.Name, Kind: n.Kind, Pos: n.Pos, Err: err}
}

// Estimate foretells the cost of executing it.Action, or nil when its kind
// cannot tell or its inputs are not known.
func (p *Planner) Estimate(ctx context.Context, it *Item) (*pipeline.Estimate, error) {
	kind := p.Kinds[it.Node.Kind]
	if kind.Estimate == nil || it.Action == nil {
		return nil, nil
	}
	q := &pipeline.EstimateRequest{
		Params: it.Node.Full, Inputs: map[string]fs.FS{}, Digests: map[string]pipeline.Digest{},
		Threads: p.Threads, Memory: it.Node.Limits.Memory,
	}
	for name, art := range it.Action.Inputs {
		files, err := p.Open(art.Root)
		if err != nil {
			return nil, fmt.Errorf("reading input %s of step %s: %w", name, it.Node.Name, err)
		}
		q.Inputs[name], q.Digests[name] = files, art.Root
	}
	e, err := kind.Estimate(ctx, q)
	if err != nil {
		return nil, Blame(it.Node, err)
	}
	return e, nil
}
