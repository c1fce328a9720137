package run

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/pipe-run/pipe/pipeline"
	"github.com/pipe-run/pipe/pipeline/store/disk"
)

// Local executes actions on this machine, each in a child process of this
// program (`pipe exec-step`).
type Local struct {
	Kinds  pipeline.Kinds
	Store  *disk.Store
	Secret func(name string) (string, bool)
	// Logged is told where the log of each execution is kept, however it
	// ended; nil for nobody.
	Logged func(step string, log pipeline.Digest)
	// Lookup and Record find and keep pieces of steps, under the key of an
	// action that pipeline.PieceAction made; nil for no pieces.
	Lookup func(ctx context.Context, a *pipeline.Action) (*pipeline.Result, error)
	Record func(ctx context.Context, a *pipeline.Action, r *pipeline.Result) error
	// Downloads is where pinning leaves what it fetches.
	Downloads string
	// Program is the executable and its first arguments; the folder and the
	// descriptors are added. Empty means this executable, exec-step.
	Program []string
}

// The parts of the folder that a child works in.
const (
	specFile = "spec.json"
	logFile  = "log"
	inDir    = "in"
	outDir   = "out"
	tmpDir   = "tmp"
	stateDir = "state"

	piecesDir = "pieces"
)

// A spec is what a child is told; it holds no secret.
type spec struct {
	Step    string            `json:"step"`
	Kind    string            `json:"kind"`
	Version int               `json:"version"`
	Params  json.RawMessage   `json:"params"`
	Pin     string            `json:"pin,omitempty"`
	Inputs  map[string]string `json:"inputs"`  // name → artifact type
	Outputs map[string]string `json:"outputs"` // name → artifact type
	Secrets []string          `json:"secrets,omitempty"`
	Threads int               `json:"threads"`
	Memory  int64             `json:"memory,omitempty"` // bytes

	Downloads string `json:"downloads,omitempty"`

	Digests map[string]pipeline.Digest `json:"digests"` // of the inputs
	Pieces  bool                       `json:"pieces,omitempty"`
}

// Execute runs a in a child and stores what it leaves in out/. It must be
// called under the lock of a's key.
func (l *Local) Execute(ctx context.Context, a *pipeline.Action, threads int, emit func(pipeline.Event)) (*pipeline.Result, error) {
	kind, ok := l.Kinds[a.Kind]
	if !ok {
		return nil, fmt.Errorf("no such kind: %s", a.Kind)
	}
	dir, err := l.Store.Work(a.Key())
	if err != nil {
		return nil, err
	}
	if err := l.prepare(ctx, dir, kind, a, threads); err != nil {
		return nil, fmt.Errorf("preparing: %w", err)
	}
	usage, err := l.child(ctx, dir, kind, a, emit)
	if lost := l.release(dir); lost != nil {
		err = lost
	}
	done := context.WithoutCancel(ctx) // what is done is not thrown away
	log, logErr := l.keepLog(done, dir)
	if !log.IsZero() && l.Logged != nil {
		l.Logged(a.Node.Name, log)
	}
	var r *pipeline.Result
	if err == nil {
		err = logErr
	}
	if err == nil {
		r, err = l.commit(done, dir, a)
	}
	if err != nil {
		l.clear(dir, stateDir)
		return nil, err
	}
	r.Log, r.Usage = log, usage
	return r, nil
}

// Done forgets what Execute kept in case that its result is never recorded:
// the folder of a, with the state that a step saved. It is called under the
// lock of a's key, after recording.
func (l *Local) Done(a *pipeline.Action) error {
	dir, err := l.Store.Work(a.Key())
	if err != nil {
		return err
	}
	return l.remove(dir)
}

// prepare makes an empty folder for a, keeping what an earlier attempt saved
// in state/.
func (l *Local) prepare(ctx context.Context, dir string, kind pipeline.Kind, a *pipeline.Action, threads int) error {
	for _, sub := range []string{inDir, piecesDir} {
		if _, err := l.Store.Release(ctx, filepath.Join(dir, sub)); err != nil {
			return err
		}
	}
	l.clear(dir, stateDir)
	for _, sub := range []string{inDir, outDir, tmpDir, stateDir} {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o777); err != nil {
			return err
		}
	}
	s := spec{
		Step: a.Node.Name, Kind: a.Kind, Version: a.Version, Params: a.Node.Full, Pin: a.Pin,
		Inputs: map[string]string{}, Outputs: a.Outputs, Secrets: a.Node.Secrets, Threads: threads, Memory: a.Node.Limits.Memory,
		Digests: map[string]pipeline.Digest{}, Pieces: l.keeps(),
	}
	if kind.Network {
		s.Downloads = l.Downloads
	}
	// A program that nothing confines must not reach the store through a link.
	var how disk.CheckoutOptions
	if kind.HostTools && !confined() {
		how.Mode = disk.Clone
	}
	for name, art := range a.Inputs {
		s.Inputs[name], s.Digests[name] = art.Type, art.Root
		if err := l.Store.Checkout(ctx, art.Root, filepath.Join(dir, inDir, name), how); err != nil {
			return fmt.Errorf("input %s: %w", name, err)
		}
	}
	for name := range a.Outputs {
		if err := os.Mkdir(filepath.Join(dir, outDir, name), 0o777); err != nil {
			return err
		}
	}
	b, err := json.Marshal(s)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, specFile), b, 0o666)
}

// release takes the inputs and pieces away and looks for what the child changed in them.
// That is no longer in the store, so that nobody computes with it.
func (l *Local) release(dir string) error {
	var lost error
	for _, sub := range []string{inDir, piecesDir} {
		changed, err := l.Store.Release(context.Background(), filepath.Join(dir, sub)) // even after an interrupt
		if err != nil {
			return fmt.Errorf("checking the inputs afterwards: %w", err)
		}
		if len(changed) > 0 && lost == nil {
			lost = fmt.Errorf("it wrote into its input %s: that was dropped from the cache, and the next run makes it again", changed[0])
		}
	}
	return lost
}

func (l *Local) commit(ctx context.Context, dir string, a *pipeline.Action) (*pipeline.Result, error) {
	r := &pipeline.Result{Outputs: map[string]pipeline.Artifact{}}
	for _, name := range slices.Sorted(maps.Keys(a.Outputs)) {
		typ, out := a.Outputs[name], filepath.Join(dir, outDir, name)
		if empty(out) { // asked first: Commit moves the files away
			return nil, fmt.Errorf("it left nothing in its output %s (out/%s)", name, name)
		}
		root, size, err := l.Store.Commit(ctx, out, disk.CommitOptions{Executable: typ == pipeline.TypeFiles})
		if err != nil {
			return nil, fmt.Errorf("storing output %s: %w", name, err)
		}
		r.Outputs[name] = pipeline.Artifact{Type: typ, Root: root, Size: size}
	}
	return r, nil
}

// keepLog stores the child's log and returns its digest, zero when it is empty.
func (l *Local) keepLog(ctx context.Context, dir string) (d pipeline.Digest, err error) {
	f, err := os.Open(filepath.Join(dir, logFile))
	if err != nil {
		return d, err
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || info.Size() == 0 {
		return d, err
	}
	d, _, err = l.Store.Put(ctx, f)
	return d, err
}

func empty(dir string) bool {
	entries, err := os.ReadDir(dir)
	return err == nil && len(entries) == 0
}

// remove deletes dir. A step may have made directories that cannot be emptied,
// as the module cache of Go is: Release opens them first.
func (l *Local) remove(dir string) error {
	if os.RemoveAll(dir) == nil {
		return nil
	}
	_, err := l.Store.Release(context.Background(), dir)
	return err
}

// clear deletes what is in dir but the entries named by keep.
func (l *Local) clear(dir string, keep ...string) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return
	}
next:
	for _, e := range entries {
		for _, k := range keep {
			if e.Name() == k {
				continue next
			}
		}
		l.remove(filepath.Join(dir, e.Name()))
	}
}
