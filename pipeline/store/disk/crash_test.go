package disk

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/pipe-run/pipe/pipeline"
)

// crashCode is the exit code of a process that ended itself in the hook.
const crashCode = 42

func TestMain(m *testing.M) {
	if dir := os.Getenv("PIPE_TEST_CRASH_DIR"); dir != "" {
		n, err := strconv.Atoi(os.Getenv("PIPE_TEST_CRASH_AT"))
		if err == nil {
			err = crashAt(dir, n)
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// crashAt does the workload in dir and ends the process before its nth change
// of the file system.
func crashAt(dir string, n int) error {
	s, err := Open(dir, Options{})
	if err != nil {
		return err
	}
	left := atomic.Int64{} // imports keep blobs on several threads
	left.Store(int64(n))
	s.hook = func(op string) {
		if left.Add(-1) == 0 {
			fmt.Println(op)
			os.Exit(crashCode)
		}
	}
	if os.Getenv("PIPE_TEST_CRASH_FILE") != "" {
		return importWork(s)
	}
	return crashWork(s)
}

// crashWork is the work: two steps, the second of which reads the first's
// output and passes a file on.
func crashWork(s *Store) error {
	ctx := context.Background()
	n := s.Snapshot("g")
	k1, k2 := crashKey(1), crashKey(2)
	r1, err := crashStep(ctx, s, k1, func(dir string) error {
		return errors.Join(
			os.WriteFile(filepath.Join(dir, "a"), []byte("alpha"), 0o644),
			os.WriteFile(filepath.Join(dir, "b"), bytes.Repeat([]byte("b"), 100_000), 0o644))
	})
	if err != nil {
		return err
	}
	_, err = crashStep(ctx, s, k2, func(dir string) error {
		in := filepath.Join(filepath.Dir(dir), "in")
		if err := s.Checkout(ctx, r1.Outputs["out"].Root, in, CheckoutOptions{}); err != nil {
			return err
		}
		return errors.Join(
			os.Link(filepath.Join(in, "b"), filepath.Join(dir, "b")),
			os.WriteFile(filepath.Join(dir, "c"), []byte("gamma"), 0o644))
	})
	if err != nil {
		return err
	}
	if err := n.Save(); err != nil {
		return err
	}
	// Make room for all but the last result.
	before, err := s.GC(ctx, GCOptions{Budget: 1 << 40, DryRun: true})
	if err != nil {
		return err
	}
	_, err = s.GC(ctx, GCOptions{Budget: before.After - 1, Keys: []pipeline.Key{k2}})
	return err
}

func crashKey(n int) pipeline.Key {
	return pipeline.Key(pipeline.SumBytes(fmt.Appendf(nil, `{"n":%d}`, n)))
}

func crashStep(ctx context.Context, s *Store, k pipeline.Key, run func(dir string) error) (*pipeline.Result, error) {
	unlock, err := s.Lock(ctx, k)
	if err != nil {
		return nil, err
	}
	defer unlock()
	if r, err := s.Lookup(ctx, k); err == nil {
		return r, nil
	}
	work, err := s.Work(k)
	if err != nil {
		return nil, err
	}
	if _, err := s.Release(ctx, work); err != nil { // what a killed process left
		return nil, err
	}
	dir := filepath.Join(work, "out")
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return nil, err
	}
	if err := run(dir); err != nil {
		return nil, err
	}
	root, size, err := s.Commit(ctx, dir, CommitOptions{})
	if err != nil {
		return nil, err
	}
	r := &pipeline.Result{Outputs: map[string]pipeline.Artifact{"out": {Type: "files", Root: root, Size: size}}}
	if err := s.Record(ctx, k, r); err != nil {
		return nil, err
	}
	_, err = s.Release(ctx, work)
	return r, err
}

// A process may die between any two changes of the file system: afterwards
// every hit is right, nothing is damaged, and the work can be done.
func TestCrash(t *testing.T) {
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	stride := 1
	if testing.Short() {
		stride = 11
	}
	ops := 0
	for n := 1; ; n += stride {
		dir := t.TempDir()
		cmd := exec.Command(exe)
		cmd.Env = append(os.Environ(), "PIPE_TEST_CRASH_DIR="+dir, "PIPE_TEST_CRASH_AT="+strconv.Itoa(n))
		out, err := cmd.CombinedOutput()
		if err == nil {
			break
		}
		if cmd.ProcessState.ExitCode() != crashCode {
			t.Fatalf("the process was to end before change %d: %v\n%s", n, err, out)
		}
		ops++
		afterCrash(t, dir, fmt.Sprintf("before change %d, %s", n, strings.TrimSpace(string(out))))
	}
	if ops < 60/stride {
		t.Errorf("only %d changes of the file system", ops)
	}
}

func afterCrash(t *testing.T, dir, when string) {
	t.Helper()
	s := open(t, dir)
	defer s.Close()
	s.Snapshot("g")
	wrongHits(t, s, when)
	v, err := s.VerifyAll(t.Context(), nil)
	if err != nil {
		t.Fatalf("%s: %v", when, err)
	}
	for _, r := range v.Damaged {
		// A result may outlive blobs only in gc, which deletes results first.
		t.Errorf("%s: %v", when, r)
	}
	if err := crashWork(s); err != nil {
		t.Errorf("%s: doing the work again: %v", when, err)
	}
	wrongHits(t, s, when+", after doing the work again")
	if _, err := s.Lookup(t.Context(), crashKey(2)); err != nil {
		t.Errorf("%s: %v", when, err)
	}
}

// wrongHits looks up what crashWork records and compares hits with the truth.
func wrongHits(t *testing.T, s *Store, when string) {
	t.Helper()
	b := strings.Repeat("b", 100_000)
	for n, want := range []map[string]string{1: {"a": "alpha", "b": b}, 2: {"b": b, "c": "gamma"}} {
		r, err := s.Lookup(t.Context(), crashKey(n))
		if errors.Is(err, pipeline.ErrNotFound) {
			continue
		}
		if err != nil {
			t.Fatalf("%s: %v", when, err)
		}
		fsys, err := s.FS(r.Outputs["out"].Root)
		if err != nil {
			t.Fatalf("%s: %v", when, err)
		}
		for name, text := range want {
			f, err := fsys.Open(name)
			if err != nil {
				t.Fatalf("%s: %v", when, err)
			}
			got, err := io.ReadAll(f)
			f.Close()
			if err != nil || string(got) != text {
				t.Errorf("%s: result %d: %s holds %.20q, %v", when, n, name, got, err)
			}
		}
	}
}
