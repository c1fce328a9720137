package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pipe-run/pipe/pipeline"
)

// cheap is a pipeline of four steps that cost next to nothing.
const cheap = `
name: "cheap"
steps: {
	raw: {kind: "fetch", source: file: path: "rows.jsonl"}
	chat: {kind: "convert", in: files: steps.raw.out.files, format: "alpaca", split: test: 0.5}
	one: {kind: "exec", in: r: steps.chat.out.train, command: ["sh", "-c", "cat in/r/* | wc -c >out/x/n; mkdir out/x/d; cp in/r/* out/x/d/"], outputs: x: "files"}
	two: {kind: "exec", in: r: steps.one.out.x, command: ["sh", "-c", "cat in/r/n >out/x/n"], outputs: x: "files"}
}
`

const cheapRows = `{"instruction":"one","output":"1"}
{"instruction":"two","output":"2"}
{"instruction":"three","output":"3"}
{"instruction":"four","output":"4"}
`

// write makes a folder of files that everybody may read.
func write(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// cheapFolder holds the cheap pipeline.
func cheapFolder(t *testing.T) string {
	return write(t, map[string]string{"p.cue": cheap, "rows.jsonl": cheapRows})
}

// command is pipe in a folder with a cache, as a process of its own.
func command(ctx context.Context, t *testing.T, dir, cache string, args ...string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(ctx, self, args...)
	cmd.Args[0] = "pipe" // see TestMain
	cmd.Dir = dir
	cmd.Env = append(slices.DeleteFunc(os.Environ(), func(kv string) bool { return strings.HasPrefix(kv, "PIPE_CACHE=") }), "PIPE_CACHE="+cache)
	return cmd
}

// patience is how long any one process of these tests may take.
const patience = 2 * time.Minute

// output runs pipe and returns its exit code and what it printed.
func output(t *testing.T, dir, cache string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cmd := command(ctx, t, dir, cache, args...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	return exitCode(t, cmd.Run()), out.String(), errs.String()
}

// exitCode is that of a process which was not killed; −1 for one that was.
func exitCode(t *testing.T, err error) int {
	t.Helper()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	if err == nil {
		return 0
	}
	return exit.ExitCode()
}

// summary is the last line of pipe run --json.
func summary(t *testing.T, stdout string) pipeline.RunEnd {
	t.Helper()
	lines := strings.Split(strings.TrimSpace(stdout), "\n")
	var e pipeline.Event
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &e); err != nil {
		t.Fatalf("last line %q: %v", lines[len(lines)-1], err)
	}
	end, ok := e.Fact.(pipeline.RunEnd)
	if !ok {
		t.Fatalf("the last line is a %s", e.Fact.EventName())
	}
	return end
}

// digests are the outputs of a run that went well.
func digests(t *testing.T, dir, cache string, args ...string) (map[string]map[string]pipeline.Digest, pipeline.RunEnd) {
	t.Helper()
	code, stdout, stderr := output(t, dir, cache, append([]string{"run", "p.cue", "--json"}, args...)...)
	if code != 0 {
		t.Fatalf("exit code %d\n%s%s", code, stdout, stderr)
	}
	end := summary(t, stdout)
	all := map[string]map[string]pipeline.Digest{}
	for name, s := range end.Steps {
		all[name] = s.Outputs
	}
	return all, end
}

// waitFor waits until a text stands in what r brings, and then goes on
// reading.
func waitFor(t *testing.T, r io.Reader, text string) {
	t.Helper()
	var all []byte
	b := make([]byte, 4096)
	for !bytes.Contains(all, []byte(text)) {
		n, err := r.Read(b)
		all = append(all, b[:n]...)
		if err != nil {
			t.Fatalf("waiting for %q: %v in\n%s", text, err, all)
		}
	}
	go io.Copy(io.Discard, r)
}
