package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"github.com/pipe-run/pipe/pipeline"
	"github.com/pipe-run/pipe/pipeline/lock"
	"github.com/pipe-run/pipe/pipeline/store/disk"
)

// pins are what pipe.lock beside a pipeline file says, and what the cache
// remembers of folders that cannot be written to. It is safe for concurrent
// use.
type pins struct {
	app   *app
	path  string // of pipe.lock
	spare string // of the lock in the cache that stands in for it

	mu   sync.Mutex
	ids  map[string]string // Pin.From → ID
	said bool              // that pins are kept in the cache
}

// newPins returns the pins of the pipeline in file, an absolute path.
func newPins(a *app, store *disk.Store, file string) *pins {
	path := lock.Path(file)
	name := pipeline.SumBytes([]byte(path)).String()
	return &pins{app: a, path: path, spare: filepath.Join(store.Dir(), "pins", name, lock.Name)}
}

// load reads both files, as openPipeline does. What pipe.lock says counts.
func (p *pins) load() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ids = map[string]string{}
	for _, path := range []string{p.spare, p.path} {
		l, err := lock.Read(path)
		if err != nil {
			return err
		}
		for _, pin := range l.Pins() {
			p.ids[pin.From] = pin.ID
		}
	}
	return nil
}

// locked finds the pin of what was asked.
func (p *pins) locked(from string) (string, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	id, ok := p.ids[from]
	return id, ok
}

// add keeps a new pin.
func (p *pins) add(n *pipeline.Node, pin pipeline.Pin) error {
	source, err := sourceOf(n)
	if err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	entry := lock.Pin{Kind: n.Kind, Source: source, From: pin.From, ID: pin.ID}
	set := func(l *lock.Lock) error {
		for _, old := range l.Pins() { // the same source, put differently
			if old.Kind == entry.Kind && old.From == entry.From {
				l.Remove(old.Kind, old.Source)
			}
		}
		return l.Set(entry)
	}
	err = lock.Update(p.path, set)
	if errors.Is(err, lock.ErrReadOnly) && !p.pinned(pin.From) {
		if err = os.MkdirAll(filepath.Dir(p.spare), 0o777); err == nil {
			err = lock.Update(p.spare, set)
		}
		if err == nil && !p.said {
			p.said = true
			fmt.Fprintf(p.app.err, "pipe: note: %s cannot be written; its pins are kept in the cache\n", p.path)
		}
	}
	if err != nil {
		return fmt.Errorf("pinning the source of step %s: %w", n.Name, err)
	}
	p.ids[pin.From] = pin.ID
	return nil
}

// pinned reports whether pipe.lock, which counts more than the lock in the
// cache, pins what was asked.
func (p *pins) pinned(from string) bool {
	l, err := lock.Read(p.path)
	return err == nil && slices.ContainsFunc(l.Pins(), func(old lock.Pin) bool { return old.From == from })
}

// forget makes the sources of nodes be resolved anew. The files stay as they
// are until a new pin replaces the old one.
func (p *pins) forget() {
	p.mu.Lock()
	defer p.mu.Unlock()
	clear(p.ids)
}

// sourceOf is what a node's pin is found by in pipe.lock: its source as the
// user put it.
func sourceOf(n *pipeline.Node) (json.RawMessage, error) {
	var params struct {
		Source json.RawMessage `json:"source"`
	}
	if err := json.Unmarshal(n.Full, &params); err != nil {
		return nil, fmt.Errorf("reading the source of step %s: %w", n.Name, err)
	}
	if params.Source == nil {
		return n.Full, nil
	}
	return params.Source, nil
}
