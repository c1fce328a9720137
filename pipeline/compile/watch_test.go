package compile

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pipe-run/pipe/pipeline"
)

const timeBomb = `
import "list"

name: "bomb"
_n: list.Range(0, 300, 1)
steps: {
	calm: {kind: "fetch", source: file: path: "x"}
	wild: {kind: "exec", command: ["x", for a in _n for b in _n for c in _n {"\(a)\(b)\(c)"}], outputs: {}}
}
`

const heapBomb = `
name: "bomb"
_a: [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]
_b: [for x in _a for y in _a {x: x, y: y, z: "\(x) and \(y)"}]
_c: [for x in _b for y in _b {x: x, y: y}]
_d: [for x in _c for y in _c {x: x, y: y}]
steps: wild: {kind: "exec", command: ["x", "\(_d[7].x.x.x)"], outputs: {}}
`

// TestWatchdog runs bombs in child processes, since an evaluation cannot be
// stopped, and looks at what the watchdog says of them.
func TestWatchdog(t *testing.T) {
	if file := os.Getenv("COMPILE_BOMB"); file != "" {
		opts := Options{MaxTime: 300 * time.Millisecond}
		if os.Getenv("COMPILE_HEAP") != "" {
			opts = Options{MaxTime: time.Minute, MaxHeap: 8 << 20}
		}
		_, err := File(context.Background(), file, opts)
		var ps pipeline.Problems
		if !errors.Is(err, ErrTooBig) || !errors.As(err, &ps) {
			t.Fatalf("got %v", err)
		}
		os.Stdout.WriteString("SAID " + ps.Error() + "\n")
		os.Exit(2)
	}
	for _, c := range []struct{ name, src, heap, want string }{
		{"time", timeBomb, "", "p.cue:8:2: evaluating the file takes longer than 300ms; most of it goes into step wild"},
		{"heap", heapBomb, "1", "p.cue:7:8: evaluating the file needs too much memory; most of it goes into step wild"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			write(t, filepath.Join(dir, "p.cue"), c.src)
			exe, err := os.Executable()
			if err != nil {
				t.Fatal(err)
			}
			cmd := exec.Command(exe, "-test.run=^TestWatchdog$")
			cmd.Dir = dir
			cmd.Env = append(os.Environ(), "COMPILE_BOMB=p.cue", "COMPILE_HEAP="+c.heap)
			out, _ := cmd.CombinedOutput()
			_, said, _ := strings.Cut(string(out), "SAID ")
			if !strings.HasPrefix(said, c.want) {
				t.Errorf("said %s, want %s", out, c.want)
			}
		})
	}
}

// TestCancelled wants a cancelled compilation to return at once.
func TestCancelled(t *testing.T) {
	file := bigFile(t, 400)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := File(ctx, file, Options{}); err != nil && !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
}
