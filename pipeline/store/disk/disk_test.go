package disk

import (
	"os"
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
