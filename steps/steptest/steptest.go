// Package steptest checks what every step must hold. A step's test is one
// call to Run for each set of parameters worth checking.
package steptest

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/pipe-run/pipe/pipeline"
)

// A Case is one way to run a step.
type Case struct {
	Kind    pipeline.Kind
	Params  string            // JSON, as the compiler would fill it in
	In      map[string]string // input name → directory with an artifact
	Out     []string          // names of the outputs
	Pin     string
	Prepare func(*pipeline.Task) // changes the task, for what the others do not say
}

// Run checks that the step gives the same bytes with one thread and with
// three, from other folders, with another HOME and in another zone of time;
// that it leaves its inputs alone and writes nothing beside its outputs; and
// that it stops when it is told to.
func Run(t *testing.T, c Case) {
	t.Helper()
	t.Run("Deterministic", func(t *testing.T) { deterministic(t, c) })
	t.Run("Cancelled", func(t *testing.T) { cancelled(t, c) })
}

func deterministic(t *testing.T, c Case) {
	before := map[string]map[string]pipeline.Digest{}
	for name, dir := range c.In {
		before[name] = Files(t, dir)
	}
	first := Do(t, c, 1)
	t.Setenv("HOME", t.TempDir())
	t.Setenv("TMPDIR", t.TempDir())
	t.Setenv("TZ", "Pacific/Chatham")
	t.Setenv("LANG", "tr_TR.UTF-8")
	t.Chdir(t.TempDir())
	second := Do(t, c, 3)
	for _, out := range c.Out {
		a, b := Files(t, first.Out[out]), Files(t, second.Out[out])
		if len(a) == 0 {
			t.Errorf("output %s is empty", out)
		}
		for _, name := range slices.Sorted(maps.Keys(a)) {
			if a[name] != b[name] {
				t.Errorf("output %s: %s differs between two runs", out, name)
			}
		}
		for name := range b {
			if _, ok := a[name]; !ok {
				t.Errorf("output %s: %s was made only in the second run", out, name)
			}
		}
	}
	for name, dir := range c.In {
		if !maps.Equal(before[name], Files(t, dir)) {
			t.Errorf("input %s was changed", name)
		}
	}
	if left, err := os.ReadDir("."); err != nil || len(left) > 0 {
		t.Errorf("the working directory was written to: %v %v", left, err)
	}
}

// Do runs the step of c in a new folder and fails the test if it fails.
func Do(t *testing.T, c Case, threads int) *pipeline.Task {
	t.Helper()
	task, err := Try(t.Context(), t, c, threads)
	if err != nil {
		t.Fatal(err)
	}
	return task
}

// Try runs the step of c in a new folder.
func Try(ctx context.Context, t *testing.T, c Case, threads int) (*pipeline.Task, error) {
	t.Helper()
	step, err := c.Kind.New(json.RawMessage(c.Params))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	task := &pipeline.Task{
		In: c.In, Out: map[string]string{}, Pin: c.Pin, Threads: threads,
		Tmp: filepath.Join(dir, "tmp"), State: filepath.Join(dir, "state"),
		Secret: func(string) (string, bool) { return "", false },
		Log:    slog.New(slog.NewTextHandler(io.Discard, nil)),
		Emit:   func(pipeline.Fact) {},
	}
	for _, d := range []string{task.Tmp, task.State} {
		mkdir(t, d)
	}
	for _, out := range c.Out {
		task.Out[out] = filepath.Join(dir, "out", out)
		mkdir(t, task.Out[out])
	}
	if c.Prepare != nil {
		c.Prepare(task)
	}
	return task, step.Run(ctx, task)
}

// stopWithin is how soon a step must return that was cancelled before it began.
const stopWithin = 5 * time.Second

func cancelled(t *testing.T, c Case) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	start := time.Now()
	_, err := Try(ctx, t, c, 2)
	if took := time.Since(start); took > stopWithin {
		t.Errorf("a step that was cancelled took %v to return", took)
	}
	if err != nil && !errors.Is(err, context.Canceled) {
		t.Errorf("a step that was cancelled returned %v; want one that is context.Canceled, or none if it was done", err)
	}
}

// Files returns the digest of every file below dir, by its name with slashes.
func Files(t *testing.T, dir string) map[string]pipeline.Digest {
	t.Helper()
	files := map[string]pipeline.Digest{}
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		defer f.Close()
		rel, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		files[filepath.ToSlash(rel)], _, err = pipeline.Sum(f)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func mkdir(t *testing.T, dir string) {
	t.Helper()
	if err := os.MkdirAll(dir, 0o777); err != nil {
		t.Fatal(err)
	}
}
