package disk

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/pipe-run/pipe/pipeline"
)

// state lists every file below dir with all that tells of a change.
func state(t *testing.T, dir string) map[string]stat {
	t.Helper()
	all := map[string]stat{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			all[path], err = lstat(path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// openSource opens path as a source of a new store.
func openSource(t *testing.T, path string, warned *[]string) (*Store, *Source) {
	t.Helper()
	s := open(t, t.TempDir())
	t.Cleanup(func() { s.Close() })
	src, err := s.OpenSource(t.Context(), path, func(m string) { *warned = append(*warned, m) })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { src.Close() })
	return s, src
}

// TestPull takes every result out of a directory and out of an archive, and
// changes nothing there.
func TestPull(t *testing.T) {
	dir := t.TempDir()
	other := open(t, dir)
	all := fillTrees(t, other, 8)
	packed := export(t, other, ExportOptions{Keys: keysOf(all)})
	other.Close()
	file := filepath.Join(t.TempDir(), "archive")
	if err := os.WriteFile(file, packed, 0o444); err != nil {
		t.Fatal(err)
	}
	before := state(t, dir)
	for _, path := range []string{dir, file} {
		var warned []string
		s, src := openSource(t, path, &warned)
		for k, want := range all {
			got, err := src.Lookup(t.Context(), k)
			if err != nil || !reflect.DeepEqual(got, want) {
				t.Fatalf("Lookup in %s: %v, %v, want %v", path, got, err, want)
			}
			tree, err := src.FS(want.Outputs["out"].Root)
			if err != nil {
				t.Fatal(err)
			}
			if err := fs.WalkDir(tree, ".", func(name string, d fs.DirEntry, err error) error {
				if err == nil && !d.IsDir() {
					_, err = fs.ReadFile(tree, name)
				}
				return err
			}); err != nil {
				t.Fatal(err)
			}
		}
		if keys, err := s.Keys(t.Context()); err != nil || len(keys) != 0 {
			t.Fatalf("Lookup left %d results, %v", len(keys), err)
		}
		for k, want := range all {
			if got, err := s.Pull(t.Context(), src, k); err != nil || !reflect.DeepEqual(got, want) {
				t.Fatalf("Pull from %s: %v, %v, want %v", path, got, err, want)
			}
			if _, err := s.check(k.Preimage()); err != nil {
				t.Errorf("what the key was made from was not taken: %v", err)
			}
		}
		if _, err := s.Pull(t.Context(), src, pipeline.Key{1}); !errors.Is(err, pipeline.ErrNotFound) {
			t.Errorf("Pull of an absent result: %v", err)
		}
		if len(warned) > 0 {
			t.Errorf("warned: %q", warned)
		}
	}
	if !reflect.DeepEqual(state(t, dir), before) {
		t.Error("the source was changed")
	}
}

// TestPullDamaged changes each blob of a source in turn: results that need it
// are misses, said once, and nothing of them is kept as a result.
func TestPullDamaged(t *testing.T) {
	dir := t.TempDir()
	other := open(t, dir)
	all := fillTrees(t, other, 1)
	other.Close()
	k := sortedKeys(all)[0]
	blobs, err := filepath.Glob(filepath.Join(dir, "cas", "*", "*"))
	if err != nil || len(blobs) < 3 {
		t.Fatal(blobs, err)
	}
	damage := map[string]func(path string, b []byte) error{
		"flipped": func(path string, b []byte) error {
			b = bytes.Clone(b)
			b[len(b)/2] ^= 1
			return os.WriteFile(path, b, 0o444)
		},
		"short":  func(path string, b []byte) error { return os.WriteFile(path, b[:len(b)-1], 0o444) },
		"absent": func(string, []byte) error { return nil },
		"linked": func(path string, _ []byte) error { return os.Symlink("/dev/zero", path) },
		"folder": func(path string, _ []byte) error { return os.Mkdir(path, 0o777) },
	}
	for _, path := range blobs {
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if len(b) == 0 || filepath.Base(path) == k.Preimage().String() {
			continue // every result can do without the latter
		}
		for name, change := range damage {
			if err := errors.Join(os.Remove(path), change(path, b)); err != nil {
				t.Fatal(err)
			}
			var warned []string
			s, src := openSource(t, dir, &warned)
			for range 2 {
				if _, err := s.Pull(t.Context(), src, k); !errors.Is(err, pipeline.ErrNotFound) {
					t.Fatalf("%s: Pull: %v", name, err)
				}
			}
			if len(warned) != 1 || !strings.Contains(warned[0], filepath.Base(path)) {
				t.Errorf("%s: warned %q, want one warning of %s", name, warned, filepath.Base(path))
			}
			if keys, err := s.Keys(t.Context()); err != nil || len(keys) != 0 {
				t.Errorf("%s: %d results, %v", name, len(keys), err)
			}
			if err := errors.Join(os.RemoveAll(path), os.WriteFile(path, b, 0o444)); err != nil {
				t.Fatal(err)
			}
		}
	}
}
