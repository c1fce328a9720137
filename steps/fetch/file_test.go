package fetch

import (
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestFileLinks: links to files and to the folder itself are followed; one to
// nothing or to another folder is named.
func TestFileLinks(t *testing.T) {
	dir := t.TempDir()
	link := func(to, name string) {
		t.Helper()
		if err := os.Symlink(to, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	get := func(name string) (map[string]string, error) {
		return newMachine(t).fetch(`{"source":{"file":{"path":"` + filepath.Join(dir, name) + `"}}}`)
	}
	writeTestFile(t, filepath.Join(dir, "blobs", "x"), "one")
	writeTestFile(t, filepath.Join(dir, "data", "deep", "b"), "two")
	link("../blobs/x", "data/a")
	link("data", "link")
	want, err := get("data")
	if err != nil || len(want) != 2 || want["a"] != "one" {
		t.Fatal(want, err)
	}
	if got, err := get("link"); err != nil || !maps.Equal(got, want) {
		t.Errorf("a link to a folder: %v, %v; want %v", got, err, want)
	}

	for name, says := range map[string]string{"nowhere": "link to nothing", "../blobs": "link to another folder"} {
		link(name, "data/odd")
		if _, err := get("link"); err == nil || !strings.Contains(err.Error(), filepath.Join("data", "odd")) || !strings.Contains(err.Error(), says) {
			t.Errorf("a link to %s: %v, want %q", name, err, says)
		}
		if err := os.Remove(filepath.Join(dir, "data/odd")); err != nil {
			t.Fatal(err)
		}
	}
}
