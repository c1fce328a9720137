package disk

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/pipe-run/pipe/pipeline"
	"github.com/pipe-run/pipe/pipeline/store/storetest"
)

// open opens the cache in dir, or a new one, and closes it after the test.
func open(t *testing.T, dir string) *Store {
	t.Helper()
	if dir == "" {
		dir = t.TempDir()
	}
	s, err := Open(dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func TestSuite(t *testing.T) {
	storetest.Run(t,
		func(t *testing.T) *Store { return open(t, "") },
		func(t *testing.T, s *Store, d pipeline.Digest) {
			if err := os.Remove(s.path("cas", d.String())); err != nil {
				t.Fatal(err)
			}
		})
}

// TestCreateTwice: of processes that find no cache at once, one may have made
// it and begun to use it before another looks again.
func TestCreateTwice(t *testing.T) {
	s := open(t, "")
	if _, err := s.Downloads(); err != nil {
		t.Fatal(err)
	}
	if err := s.create(); err != nil {
		t.Errorf("the second to make it: %v", err)
	}
}

// TestHoldWithoutLocks: the folder of locks may be deleted, and gc still
// leaves an open cache alone.
func TestHoldWithoutLocks(t *testing.T) {
	dir := t.TempDir()
	open(t, dir).Close()
	if err := os.RemoveAll(filepath.Join(dir, "locks")); err != nil {
		t.Fatal(err)
	}
	open(t, dir)
	if _, err := open(t, dir).GC(t.Context(), GCOptions{}); !errors.Is(err, ErrBusy) {
		t.Errorf("gc of a cache in use: %v", err)
	}
}
