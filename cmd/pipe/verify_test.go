package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// looking is a step whose result tells what it found in its state folder.
const looking = `
name: "looking"
steps: {
	a: {kind: "exec", in: {}, command: ["sh", "-c", "ls state >out/x/n"], outputs: x: "files"}
	b: {kind: "exec", in: {}, command: ["sh", "-c", "echo b >out/x/n"], outputs: x: "files"}
}
`

// TestVerifyStartsAfresh: verify computes without what an earlier attempt left,
// and leaves nothing itself.
func TestVerifyStartsAfresh(t *testing.T) {
	dir, cache := write(t, map[string]string{"p.cue": looking}), t.TempDir()
	_, end := digests(t, dir, cache)
	work := filepath.Join(cache, "work", end.Steps["a"].Key)
	if err := os.MkdirAll(filepath.Join(work, "state"), 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(work, "state", "checkpoint"), nil, 0o666); err != nil {
		t.Fatal(err)
	}
	if code, stdout, stderr := output(t, dir, cache, "verify", "p.cue"); code != 0 || !strings.Contains(stdout, "a: same") {
		t.Errorf("exit code %d\n%s%s", code, stdout, stderr)
	}
	if _, err := os.Stat(work); err == nil {
		t.Error("verify left a folder of work")
	}
}

// TestFreshOutsideTargets: the message about a step that exists does not say
// that it does not.
func TestFreshOutsideTargets(t *testing.T) {
	dir := write(t, map[string]string{"p.cue": looking})
	code, _, stderr := output(t, dir, t.TempDir(), "run", "p.cue", "b", "--fresh", "a")
	if code != 2 || !strings.Contains(stderr, "--fresh a: none of the named steps needs it") {
		t.Errorf("exit code %d: %s", code, stderr)
	}
}
