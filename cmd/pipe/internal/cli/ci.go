package cli

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/pipe-run/pipe/cmd/pipe/internal/view"
	"github.com/pipe-run/pipe/pipeline"
	"github.com/pipe-run/pipe/pipeline/plan"
)

// ciVariable says what pipe adds to its output for a CI system: "github",
// "off", or, empty, what the environment asks for.
const ciVariable = "PIPE_CI"

// meetCI finds out whether GitHub Actions listens, and what it is told. What
// it would take for commands is shielded even when it is told nothing.
func (a *app) meetCI(args []string, out io.Writer) error {
	inside := os.Getenv("GITHUB_ACTIONS") == "true"
	mode := os.Getenv(ciVariable)
	if !slices.Contains([]string{"", "off", "github"}, mode) {
		return usagef("%s is %q: it may be \"github\" or \"off\", or unset to go by GITHUB_ACTIONS", ciVariable, mode)
	}
	if !inside && mode != "github" {
		return nil
	}
	errs := view.NewShield(a.err, false)
	a.err = errs
	if !isData(args, out) {
		a.out = view.NewShield(a.out, asksJSON(args))
	}
	if mode != "off" {
		a.github = view.NewGitHub(errs, placeBelow(os.Getenv("GITHUB_WORKSPACE")))
		a.jobSummary = os.Getenv("GITHUB_STEP_SUMMARY")
	}
	return nil
}

// isData reports whether what is printed is not for a log: it goes to a file,
// or is an archive.
func isData(args []string, out io.Writer) bool {
	if len(args) > 0 && args[0] == "cache" {
		return true
	}
	f, ok := out.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode().IsRegular()
}

// placeBelow returns a function that names places as CI systems do: from the
// root of the checked-out repository, by default the working directory. It
// reports false for other places.
func placeBelow(root string) func(pipeline.Pos) (pipeline.Pos, bool) {
	if root == "" {
		root = "."
	}
	return func(p pipeline.Pos) (pipeline.Pos, bool) {
		if info, err := os.Stat(p.File); p.File == "" || err != nil || !info.Mode().IsRegular() {
			return p, false
		}
		for _, real := range []func(string) (string, error){filepath.Abs, realPath} {
			dir, errDir := real(root)
			file, errFile := real(p.File)
			if errors.Join(errDir, errFile) != nil {
				continue
			}
			if rel, err := filepath.Rel(dir, file); err == nil && filepath.IsLocal(rel) {
				p.File = filepath.ToSlash(rel)
				return p, true
			}
		}
		return p, false
	}
}

func realPath(path string) (string, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	return filepath.EvalSymlinks(path)
}

// A watch is all that looks at a run.
type watch struct {
	app    *app
	screen view.View    // what is printed
	report *view.Report // nil when no file is made of the run
	junit  string       // the file to write, or empty
}

// watchRun begins to look at a run. The JUnit file is there from the beginning:
// it says that the run was killed, until it ends otherwise.
func (a *app) watchRun(f runFlags, start time.Time) (*watch, error) {
	w := &watch{app: a, screen: a.view(f.asJSON), junit: f.junit}
	if f.junitGiven && (f.junit == "" || f.junit == "-") {
		return w, usagef("--junit wants the name of a file")
	}
	if f.junit != "" || a.jobSummary != "" {
		w.report = view.NewReport(f.file, start)
	}
	if f.junit != "" {
		if err := w.writeJUnit(); err != nil {
			return w, usageError{err}
		}
	}
	return w, nil
}

// graph tells those who look at a run what it is of.
func (w *watch) graph(s *session) {
	if w.app.github != nil {
		w.app.github.Graph(s.graph)
	}
	if w.report != nil {
		w.report.Metrics = func(r *pipeline.Result) (map[string]float64, error) { return plan.Metrics(s.store.FS, r) }
		w.report.Graph(s.graph)
	}
}

func (w *watch) event(e pipeline.Event) {
	w.screen.Event(e)
	if w.report != nil {
		w.report.Event(e)
	}
}

// end writes the files of a run. The error is that of the JUnit file; without
// a summary of the job a run is as good.
func (w *watch) end(end pipeline.RunEnd, runErr error) error {
	if w.report == nil {
		return nil
	}
	now := time.Now()
	for _, p := range problemsToShow(runErr) {
		w.report.Event(pipeline.Event{Time: now, Fact: pipeline.Trouble{Problem: *p}})
	}
	w.report.Event(pipeline.Event{Time: now, Fact: end})
	if w.app.jobSummary != "" {
		if err := appendSummary(w.app.jobSummary, w.report); err != nil {
			fmt.Fprintln(w.app.err, "pipe: note: the summary of this job lacks this run:", err)
		}
	}
	if w.junit == "" {
		return nil
	}
	return w.writeJUnit()
}

func (w *watch) writeJUnit() error {
	err := writeReport(w.junit, w.report.JUnit())
	if err != nil {
		return fmt.Errorf("writing --junit %s: %w", w.junit, err)
	}
	return nil
}

// writeReport replaces a file as a whole, and makes its folder.
func writeReport(path string, b []byte) error {
	if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() {
		if info.IsDir() {
			return errors.New("it is a folder")
		}
		return os.WriteFile(path, b, 0o666) // a device or pipe is not replaced
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
		return err
	}
	return atomically(path, func(w io.Writer) error {
		_, err := w.Write(b)
		return err
	})
}

// maxSummary is what GitHub shows of the summary of one step of a job, in bytes.
const maxSummary = 1 << 20

// appendSummary adds the report to a file, all of it or nothing.
func appendSummary(path string, r *view.Report) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o666)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if _, err := f.Write(r.Markdown(int(maxSummary - min(info.Size(), maxSummary)))); err != nil {
		if info.Mode().IsRegular() {
			err = errors.Join(err, f.Truncate(info.Size()))
		}
		return err
	}
	return f.Close()
}
