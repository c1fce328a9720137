package main

import (
	"context"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// Sixteen processes that run the same pipeline at once compute each step once.
func TestSixteenAtOnce(t *testing.T) {
	dir, cache := cheapFolder(t), t.TempDir()
	want, _ := digests(t, dir, t.TempDir())
	var mu sync.Mutex
	ran := 0
	var all sync.WaitGroup
	for range 16 {
		all.Go(func() {
			got, end := digests(t, dir, cache)
			mu.Lock()
			defer mu.Unlock()
			ran += end.Ran
			if !reflect.DeepEqual(got, want) {
				t.Errorf("outputs %v, want %v", got, want)
			}
		})
	}
	all.Wait()
	if ran != 4 {
		t.Errorf("16 processes executed %d steps, want 4", ran)
	}
}

// A run killed at any moment, or whose child is, is followed by one that ends
// well with the right bytes.
func TestKilledAtRandom(t *testing.T) {
	dir := cheapFolder(t)
	start := time.Now()
	want, _ := digests(t, dir, t.TempDir())
	whole := time.Since(start)
	moments := 200
	if testing.Short() {
		moments = 20
	}
	random := rand.New(rand.NewPCG(1, 2))
	type moment struct {
		after  time.Duration
		child  bool
		verify bool // the cache too
	}
	todo := make(chan moment, moments)
	for i := range moments {
		todo <- moment{time.Duration(random.Int64N(int64(whole))), random.IntN(3) == 0, i%5 == 0}
	}
	close(todo)
	var workers sync.WaitGroup
	for range 4 {
		workers.Go(func() {
			for m := range todo {
				cache := t.TempDir()
				killed(t, dir, cache, m.after, m.child)
				if got, _ := digests(t, dir, cache); !reflect.DeepEqual(got, want) {
					t.Errorf("after a kill at %s: outputs %v, want %v", m.after, got, want)
				}
				if !m.verify {
					continue
				}
				code, stdout, stderr := output(t, dir, cache, "cache", "verify")
				if code != 0 {
					t.Errorf("after a kill at %s: cache verify says %s%s", m.after, stdout, stderr)
				}
				if _, end := digests(t, dir, cache); end.Ran != 0 {
					t.Errorf("after a kill at %s and a whole run %d steps still ran", m.after, end.Ran)
				}
			}
		})
	}
	workers.Wait()
}

// killed starts a run and kills it, or one of its children, after a while.
func killed(t *testing.T, dir, cache string, after time.Duration, child bool) {
	cmd := command(context.Background(), t, dir, cache, "run", "p.cue")
	if err := cmd.Start(); err != nil {
		t.Error(err)
		return
	}
	time.Sleep(after)
	if child {
		for _, pid := range children(cmd.Process.Pid) {
			syscall.Kill(pid, syscall.SIGKILL)
		}
	} else {
		cmd.Process.Kill()
	}
	cmd.Wait()
}

// stubborn is a step that an interrupt does not impress.
const stubborn = `
name: "stubborn"
steps: {
	first: {kind: "exec", in: {}, command: ["sh", "-c", "echo 1 >out/x/x"], outputs: x: "files"}
	slow: {
		kind: "exec"
		in: x: steps.first.out.x
		command: ["sh", "-c", "trap '' INT TERM; echo begun; sleep 61.0625 & wait; sleep 61.0625"]
		outputs: x: "files"
	}
}
`

// The first interrupt asks, the second kills; either way the exit code is 3,
// and no process stays behind.
func TestInterruptTwice(t *testing.T) {
	dir, cache := write(t, map[string]string{"p.cue": stubborn}), t.TempDir()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cmd := command(ctx, t, dir, cache, "run", "p.cue", "--json")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	waitFor(t, out, `"begun"`)
	for range 2 {
		time.Sleep(100 * time.Millisecond)
		cmd.Process.Signal(syscall.SIGINT)
	}
	start := time.Now()
	if code := exitCode(t, cmd.Wait()); code != 3 {
		t.Errorf("exit code %d, want 3", code)
	}
	if took := time.Since(start); took > 10*time.Second {
		t.Errorf("the second interrupt took %s", took)
	}
	gone(t, "61.0625")
	code, stdout, _ := output(t, dir, cache, "plan", "p.cue", "first", "--exit-code")
	if code != 0 {
		t.Errorf("what finished before the interrupt is not cached:\n%s", stdout)
	}
}

// Children of a killed parent are gone within a second.
func TestOrphansEnd(t *testing.T) {
	dir := write(t, map[string]string{"p.cue": strings.ReplaceAll(stubborn, "61.0625", "62.0625")})
	cmd := command(t.Context(), t, dir, t.TempDir(), "run", "p.cue", "--json")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	waitFor(t, out, `"begun"`)
	cmd.Process.Kill()
	cmd.Process.Wait()
	gone(t, "62.0625")
}

// gone demands that no process has an argument, a second from now at latest.
func gone(t *testing.T, arg string) {
	t.Helper()
	if _, err := os.Stat("/proc/self/cmdline"); err != nil {
		t.Log("no /proc: leftover processes are not looked for")
		return
	}
	for end := time.Now().Add(time.Second); ; time.Sleep(20 * time.Millisecond) {
		left := withArg(arg)
		if len(left) == 0 {
			return
		}
		if time.Now().After(end) {
			t.Errorf("processes are left: %s", strings.Join(left, "; "))
			return
		}
	}
}

func withArg(arg string) []string {
	var found []string
	files, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err == nil && strings.Contains(string(b), arg) {
			found = append(found, strings.ReplaceAll(string(b), "\x00", " "))
		}
	}
	return found
}

// fullDisk runs the pipeline with the cache on a disk of its own that is too
// small, and then again with that disk grown.
const fullDisk = `
mount -t tmpfs -o size=700k none "$PIPE_CACHE" || exit 77
"$PIPE" run p.cue --json >first.json 2>first.err; echo $? >first.code
mount -o remount,size=50m "$PIPE_CACHE" || exit 77
"$PIPE" cache verify >verify.out 2>&1; echo $? >verify.code
"$PIPE" run p.cue --json >second.json 2>second.err; echo $? >second.code
`

// A full disk fails the step and stores nothing half-done.
func TestFullDisk(t *testing.T) {
	dir := write(t, map[string]string{"p.cue": `
name: "big"
steps: {
	small: {kind: "exec", in: {}, command: ["sh", "-c", "echo 1 >out/x/x"], outputs: x: "files"}
	large: {kind: "exec", in: x: steps.small.out.x, command: ["sh", "-c", "head -c 2000000 /dev/zero >out/x/x"], outputs: x: "files"}
}
`})
	want, _ := digests(t, dir, t.TempDir())
	cache := t.TempDir()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(t.TempDir(), "pipe")
	if err := os.Symlink(self, link); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("unshare", "-rm", "sh", "-c", fullDisk)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "PIPE_CACHE="+cache, "PIPE="+link)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Skipf("SKIPPED: no file system of its own can be mounted here: %v %s", err, out)
	}
	read := func(name string) string {
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		return strings.TrimSpace(string(b))
	}
	if read("first.code") != "1" || !strings.Contains(read("first.json"), "space") {
		t.Errorf("on the full disk: exit code %s\n%s", read("first.code"), read("first.json"))
	}
	if end := summary(t, read("first.json")); end.Failed != 1 {
		t.Errorf("on the full disk: %+v", end)
	}
	if read("verify.code") != "0" {
		t.Errorf("afterwards cache verify says %s", read("verify.out"))
	}
	if read("second.code") != "0" {
		t.Fatalf("with room again: %s", read("second.err"))
	}
	for name, s := range summary(t, read("second.json")).Steps {
		if !reflect.DeepEqual(s.Outputs, want[name]) {
			t.Errorf("%s: outputs %v, want %v", name, s.Outputs, want[name])
		}
	}
}
