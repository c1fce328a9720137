package pipeline

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"reflect"
)

// A Step turns input artifacts into output artifacts.
//
// Run must be a function of its parameters, the content of its inputs and its
// pin alone: no clock, no host, no path, no unseeded randomness reaches Out,
// and the number of threads does not change a bit. It writes only below Out,
// Tmp and State, and stops promptly when ctx is done, after saving to State
// what it wants to find again.
type Step interface {
	Run(ctx context.Context, t *Task) error
}

// A Task is everything a running step may touch. Directories exist already;
// those of In are read only.
type Task struct {
	In    map[string]string // input name → directory
	Out   map[string]string // output name → empty directory to fill
	Tmp   string            // gone after the run
	State string            // survives a kill, for the same key only; gone on success

	Digests map[string]Digest // of the inputs, by name; empty in a task made by hand
	Pieces  Pieces            // parts of steps; nil where nothing remembers them

	Pin       string // the ID that Kind.Pin returned, for kinds that have one
	Downloads string // what pinning left behind (see PinRequest); read only
	Threads   int    // how many may compute at once; at least 1
	Memory    int64  // bytes that the user expects it to need at most (Limits.Memory); 0: unknown

	// Secret returns the value of a named secret of this step.
	Secret func(name string) (string, bool)

	Log  *slog.Logger
	Emit func(Fact) // Progress, Metric, Log and Retry; safe for concurrent use
}

// A Kind is one kind of step, as named by the field "kind" in CUE. The
// functions that are nil are abilities that the kind lacks.
type Kind struct {
	Name    string
	Version int // raised when equal inputs would give different output bytes

	// Params is the struct that parameters are decoded into: it mirrors the
	// kind's schema, which a test holds both to.
	Params reflect.Type

	// New decodes the full parameters (Node.Full).
	New func(params json.RawMessage) (Step, error)

	// Pin names the outside bytes that the step would bring in. It becomes
	// part of the key.
	Pin func(ctx context.Context, q *PinRequest) (Pin, error)

	// Vet says what is wrong with parameters, given the inputs that are wired,
	// that the schema cannot say. It looks at nothing else.
	Vet func(params json.RawMessage, inputs []string) error

	// Shapes follows the shape of records through a graph: given what is known of
	// the shapes at the inputs, by their names, it refuses those that the step
	// cannot use and returns that of what the step makes, "" where it cannot be
	// told. It looks at nothing else.
	Shapes func(params json.RawMessage, inputs map[string]string) (string, error)

	// Metrics names what an execution with these parameters measures, where
	// they alone decide that; a gate on anything else is a mistake. Nil says
	// that the parameters are wrong, which Vet tells.
	Metrics func(params json.RawMessage) []string

	// Check refuses a step that this machine cannot execute, such as one whose
	// program is absent. It is asked only about steps that are no hit.
	Check func(params json.RawMessage) error

	// Estimate foretells what an execution would cost.
	Estimate func(ctx context.Context, q *EstimateRequest) (*Estimate, error)

	// Garbage is how much garbage, in percent of what is live, a process of the
	// kind may gather before it collects; 0 is Go's usual 100. Kinds with few
	// buffers that are large and live long keep their peak low with less, and an
	// Estimate of memory counts on what its kind says here.
	Garbage int

	Network   bool // the child may use the network: proxies and certificates are passed on
	HostTools bool // the child may run programs of this machine as the user configured them
	LocalOnly bool // never sent to another machine
}

// A PinRequest asks a kind to name its outside bytes.
type PinRequest struct {
	Params json.RawMessage // Node.Full

	// Locked returns the ID that pipe.lock or an earlier run pinned for what
	// was asked, which is named as in Pin.From.
	Locked func(from string) (id string, ok bool)

	// Network says whether the network may be used. Without it, what cannot
	// be named from Locked, the parameters or local files is ErrNotPinned.
	Network bool

	// Downloads is a directory in the cache that survives: what is fetched
	// to be named is left there under a name made from its URL, so that the
	// step need not fetch it again. Empty when Network is false.
	Downloads string

	// Sum looks at a local file, which symbolic links may lead to. It
	// remembers digests while the stat data of files stay the same. What is
	// no regular file is an error.
	Sum func(path string) (FileSum, error)

	Secret func(name string) (string, bool)
	Emit   func(Fact) // Progress and Retry
}

// A FileSum is what matters about a file of this machine.
type FileSum struct {
	Digest     Digest
	Size       int64
	Executable bool // by anyone
}

// A Pin is the identity of outside bytes.
type Pin struct {
	ID   string // equal IDs mean equal bytes
	Lock bool   // belongs in pipe.lock: the source may change without the user's doing
	From string // what was asked: the name in pipe.lock; no secrets
}

// ErrNotPinned reports that outside bytes cannot be named without the network.
var ErrNotPinned = errors.New("not pinned")

// An EstimateRequest asks a kind what an execution would cost.
type EstimateRequest struct {
	Params  json.RawMessage   // Node.Full
	Inputs  map[string]fs.FS  // the inputs' files
	Digests map[string]Digest // of the inputs, by name; empty in a request made by hand
	Threads int
	Memory  int64 // see Task.Memory
}

// An Estimate is a forecast; zero fields are unknown.
type Estimate struct {
	Parameters int64   `json:"parameters,omitempty"`
	Trainable  int64   `json:"trainable,omitempty"`
	Updates    int64   `json:"updates,omitempty"`
	Tokens     int64   `json:"tokens,omitempty"`
	FLOPs      float64 `json:"flops,omitempty"`
	Memory     int64   `json:"memory,omitempty"` // peak bytes resident
	Seconds    float64 `json:"seconds,omitempty"`
}

// Define makes a Kind from a typed run function. P mirrors the schema of the
// kind: a parameter it does not know is an error.
func Define[P any](name string, version int, run func(context.Context, P, *Task) error) Kind {
	return Kind{Name: name, Version: version, Params: reflect.TypeFor[P](), New: func(raw json.RawMessage) (Step, error) {
		p, err := DecodeParams[P](raw)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		return stepFunc(func(ctx context.Context, t *Task) error { return run(ctx, p, t) }), nil
	}}
}

// DecodeParams reads parameters into a P, refusing those it does not know.
func DecodeParams[P any](raw json.RawMessage) (p P, err error) {
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&p); err != nil {
		return p, fmt.Errorf("decoding parameters: %w", err)
	}
	return p, nil
}

type stepFunc func(context.Context, *Task) error

func (f stepFunc) Run(ctx context.Context, t *Task) error { return f(ctx, t) }

// Kinds is a set of kinds by name.
type Kinds map[string]Kind

// NewKinds panics on a duplicate name: that is a mistake in the program.
func NewKinds(kinds ...Kind) Kinds {
	m := make(Kinds, len(kinds))
	for _, k := range kinds {
		if _, dup := m[k.Name]; dup {
			panic("pipeline: duplicate step kind " + k.Name)
		}
		m[k.Name] = k
	}
	return m
}
