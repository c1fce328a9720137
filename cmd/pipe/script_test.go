package main

import (
	"bytes"
	"errors"
	"flag"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/pipe-run/pipe/cmd/pipe/internal/cli"
)

var update = flag.Bool("update", false, "rewrite what the scripts expect")

// TestMain lets this program be pipe, so that scripts need no build: under the
// name pipe, under the name steady (whose output is the same every time), and
// as the child of either.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "exec-step" {
		pipe()
	}
	testscript.Main(m, map[string]func(){"pipe": pipe, "steady": steadyPipe})
}

func pipe() { os.Exit(cli.Main(os.Args[1:], os.Stdin, os.Stdout, os.Stderr)) }

// steadyPipe is pipe with all that changes from run to run replaced.
func steadyPipe() {
	var out, errs bytes.Buffer
	code := cli.Main(os.Args[1:], os.Stdin, &out, &errs)
	io.WriteString(os.Stdout, steady(out.String()))
	io.WriteString(os.Stderr, steady(errs.String()))
	os.Exit(code)
}

// changing is what differs between runs, and what stands for it.
var changing = []struct {
	is *regexp.Regexp
	to string
}{
	{regexp.MustCompile(`\b[0-9a-f]{64}\b`), "<sha256>"},
	{regexp.MustCompile(`\b[0-9a-z]{8}[0-9a-z]{4}\b( of|  <date>)`), "<run>$1"},
	{regexp.MustCompile(`("(?:id|run|made)": ?)"[0-9a-z]{12}"`), `$1"<run>"`},
	{regexp.MustCompile(`\b[0-9]{4}-[0-9]{2}-[0-9]{2}[ T][0-9:.]{8,}Z?`), "<date>"},
	{regexp.MustCompile(`("(?:seconds|cpuSeconds)": ?)[0-9.e-]+`), "${1}0"},
	{regexp.MustCompile(`("peakMemory": ?)[0-9]+`), "${1}0"},
	{regexp.MustCompile(`\b[0-9.]+(ms|µs|s)\b`), "<time>"},
	{regexp.MustCompile(`peak [0-9.]+ .?B`), "peak <size>"},
	{regexp.MustCompile(`127\.0\.0\.1:[0-9]+`), "<web>"},
	{regexp.MustCompile(`   +`), "  "},
}

func steady(s string) string {
	if work := os.Getenv("WORK"); work != "" {
		s = strings.ReplaceAll(s, work, "$WORK")
	}
	for range 2 { // a name is told by the date behind it
		for _, c := range changing {
			s = c.is.ReplaceAllString(s, c.to)
		}
	}
	return s
}

func TestScript(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:           filepath.Join("testdata", "script"),
		UpdateScripts: *update,
		Setup: func(env *testscript.Env) error {
			env.Setenv("PIPE_CACHE", filepath.Join(env.WorkDir, "cache"))
			env.Setenv("HOME", env.WorkDir)
			web := httptest.NewServer(http.FileServer(http.Dir(filepath.Join(env.WorkDir, "web"))))
			env.Defer(web.Close)
			env.Setenv("WEB", web.URL)
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"code": code, "flip": flip, "absent": absent, "keep": keep, "same": same,
		},
		RequireExplicitExec: true,
	})
}

// code runs a program and demands an exit code: code 2 pipe vet x.cue.
func code(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: code N program args…")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	err = ts.Exec(args[1], args[2:]...)
	got := 0
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		got = exit.ExitCode()
	} else if err != nil {
		ts.Fatalf("%v", err)
	}
	if got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
}

// flip changes a bit in the middle of every file below a folder.
func flip(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: flip folder")
	}
	n := 0
	ts.Check(filepath.WalkDir(ts.MkAbs(args[0]), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		if err != nil || len(b) == 0 {
			return err
		}
		n++
		b[len(b)/2] ^= 1
		return errors.Join(os.Chmod(path, 0o644), os.WriteFile(path, b, 0o644))
	}))
	if n == 0 {
		ts.Fatalf("no file below %s", args[0])
	}
}

// absent demands that no file below the folders holds a text.
func absent(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: absent text folder…")
	}
	n := 0
	for _, dir := range args[1:] {
		ts.Check(filepath.WalkDir(ts.MkAbs(dir), func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			n++
			b, err := os.ReadFile(path)
			if bytes.Contains(b, []byte(args[0])) {
				ts.Fatalf("%s holds %q", path, args[0])
			}
			return err
		}))
	}
	if n == 0 {
		ts.Fatalf("nothing was searched")
	}
}

// outputs are the digests in the summary of pipe run --json.
var outputs = regexp.MustCompile(`"outputs":\{[^}]*\}`)

// keep writes the outputs in the last line of stdout to a file, without keys
// and statuses.
func keep(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: keep file")
	}
	lines := strings.Split(strings.TrimSpace(ts.ReadFile("stdout")), "\n")
	digests := outputs.FindAllString(lines[len(lines)-1], -1)
	if len(digests) == 0 {
		ts.Fatalf("no outputs in %s", lines[len(lines)-1])
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(strings.Join(digests, "\n")), 0o666))
}

// same compares the outputs in the last line of stdout with a kept file.
func same(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 1 {
		ts.Fatalf("usage: same file")
	}
	want := ts.ReadFile(args[0])
	keep(ts, false, []string{"same.now"})
	if got := ts.ReadFile("same.now"); (got == want) == neg {
		ts.Fatalf("outputs now:\n%s\nkept:\n%s", got, want)
	}
}
