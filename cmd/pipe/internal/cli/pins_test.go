package cli

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/pipe-run/pipe/pipeline"
	"github.com/pipe-run/pipe/pipeline/lock"
	"github.com/pipe-run/pipe/pipeline/store/disk"
)

// openPins returns the pins of a pipeline in dir, and how to add one.
func openPins(t *testing.T, dir string) (p *pins, add func(source, id string) error) {
	t.Helper()
	store, err := disk.Open(filepath.Join(t.TempDir(), "cache"), disk.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	p = newPins(&app{err: io.Discard}, store, filepath.Join(dir, "p.cue"))
	if err := p.load(); err != nil {
		t.Fatal(err)
	}
	return p, func(source, id string) error {
		n := &pipeline.Node{Name: "raw", Kind: "fetch", Full: []byte(`{"source":` + source + `}`)}
		return p.add(n, pipeline.Pin{ID: id, Lock: true, From: "example.org/rows"})
	}
}

// TestPinsReplace: one source that two pipelines put differently has one pin,
// the newer one.
func TestPinsReplace(t *testing.T) {
	dir := t.TempDir()
	p, add := openPins(t, dir)
	for source, id := range map[string]string{`{"z":1}`: "old", `{"a":1,"z":1}`: "old"} {
		if err := lock.Update(p.path, func(l *lock.Lock) error {
			return l.Set(lock.Pin{Kind: "fetch", Source: []byte(source), From: "example.org/rows", ID: id})
		}); err != nil {
			t.Fatal(err)
		}
	}
	if err := add(`{"a":1,"z":1}`, "new"); err != nil {
		t.Fatal(err)
	}
	if err := p.load(); err != nil {
		t.Fatal(err)
	}
	if id, _ := p.locked("example.org/rows"); id != "new" {
		t.Errorf("after an update the pin is %q", id)
	}
}

// TestPinsReadOnly: the cache stands in for a pipe.lock that cannot be
// written, but does not pretend to change what stands in it.
func TestPinsReadOnly(t *testing.T) {
	if os.Getuid() == 0 {
		t.Skip("no folder is read-only to root")
	}
	for _, pinned := range []bool{false, true} {
		dir := t.TempDir()
		p, add := openPins(t, dir)
		if pinned {
			if err := add(`{"z":1}`, "old"); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.Chmod(dir, 0o555); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { os.Chmod(dir, 0o777) })
		err := add(`{"z":1}`, "new")
		if errors.Is(err, lock.ErrReadOnly) != pinned {
			t.Errorf("pinned before: %v; error %v", pinned, err)
		}
		if err := p.load(); err != nil {
			t.Fatal(err)
		}
		if id, _ := p.locked("example.org/rows"); (id == "new") == pinned {
			t.Errorf("pinned before: %v; now %q", pinned, id)
		}
	}
}
