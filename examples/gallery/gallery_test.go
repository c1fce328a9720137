// Package gallery_test runs the templates that pipe comes with, each in a tiny
// pipeline, through the built binary and without a registry.
package gallery_test

import (
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write what template show tells into testdata")

const module = "github.com/pipe-run/pipe/templates"

// build returns a function that runs pipe in a folder, with a cache of its own
// and no registry to ask, and returns all that it says.
func build(t *testing.T) func(dir string, args ...string) string {
	t.Helper()
	bin := filepath.Join(t.TempDir(), "pipe")
	if out, err := exec.Command("go", "build", "-o", bin, "../../cmd/pipe").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	env := append(os.Environ(), "PIPE_CACHE="+t.TempDir(), "CUE_CACHE_DIR="+t.TempDir(), "CUE_REGISTRY=none")
	return func(dir string, args ...string) string {
		t.Helper()
		cmd := exec.Command(bin, args...)
		cmd.Dir, cmd.Env = dir, env
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("pipe %s: %v\n%s", strings.Join(args, " "), err, out)
		}
		return string(out)
	}
}

// names are the packages of the module.
func names(t *testing.T) (all []string) {
	t.Helper()
	files, err := filepath.Glob("../templates/*/*.cue")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if name := filepath.Base(filepath.Dir(f)); name != "cue.mod" {
			all = append(all, name)
		}
	}
	if len(all) < 5 {
		t.Fatalf("the gallery has %q", all)
	}
	return all
}

// TestRun runs each template to its end, and again from the cache.
func TestRun(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: trains models")
	}
	pipe := build(t)
	for _, name := range names(t) {
		pipe(".", "run", name+".cue")
		if out := pipe(".", "run", name+".cue"); !strings.Contains(out, " cached") || strings.Contains(out, " ran") {
			t.Errorf("%s, again:\n%s", name, out)
		}
	}
}

// TestShow compares what is told of each template with testdata.
func TestShow(t *testing.T) {
	pipe := build(t)
	for _, name := range names(t) {
		got, golden := pipe(".", "template", "show", module+"/"+name), filepath.Join("testdata", name+".txt")
		if *update {
			if err := os.WriteFile(golden, []byte(got), 0o666); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(golden)
		if err != nil {
			t.Fatal(err)
		}
		if got != string(want) {
			t.Errorf("%s: template show says\n%s\nwanted (go test -update writes it)\n%s", name, got, want)
		}
		for line := range strings.Lines(got) {
			if fields := strings.Split(strings.TrimSpace(line), "  "); strings.HasPrefix(line, "  ") && len(fields) < 3 {
				t.Errorf("%s: without documentation: %s", name, line)
			}
		}
	}
}

// TestInit starts from an empty folder, with nothing but the binary.
func TestInit(t *testing.T) {
	pipe := build(t)
	for _, name := range names(t) {
		dir := t.TempDir()
		pipe(dir, "init", "--template", module+"/"+name)
		if out := pipe(dir, "vet", "finetune.cue"); !strings.Contains(out, "is valid") {
			t.Errorf("%s: %s", name, out)
		}
	}
}
