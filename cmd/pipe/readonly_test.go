package main

import (
	"bytes"
	"context"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// asNobody runs pipe without the rights of root.
func asNobody(t *testing.T, dir, cache string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cmd := command(ctx, t, dir, cache, args...)
	if os.Geteuid() == 0 {
		cmd.Path = reachable(t, cmd.Path)
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	}
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	return exitCode(t, cmd.Run()), out.String(), errs.String()
}

// reachable copies a program to where every user may run it: go test builds in
// a folder that is closed to others.
func reachable(t *testing.T, program string) string {
	t.Helper()
	path := filepath.Join(outside(t), filepath.Base(program))
	if os.Link(program, path) == nil {
		return path
	}
	b, err := os.ReadFile(program)
	if err == nil {
		err = os.WriteFile(path, b, 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// everybody lets everybody read, and nobody write, what is below dir.
func everybody(t *testing.T, dir string) {
	t.Helper()
	modes := map[string]fs.FileMode{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		modes[path] = 0o444
		if err == nil && d.IsDir() {
			modes[path] = 0o555
		}
		return err
	})
	for path, mode := range modes {
		if err == nil {
			err = os.Chmod(path, mode)
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { // so that the test's folder can be removed
		for path := range modes {
			os.Chmod(path, 0o777)
		}
	})
}

// outside is a folder that other users may enter, unlike t.TempDir.
func outside(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "pipe-test-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	return dir
}

func put(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// A cache that cannot be written to serves what it holds, and says so when
// something would have to be stored.
func TestReadOnlyCache(t *testing.T) {
	dir := outside(t)
	cache := filepath.Join(dir, "cache")
	put(t, filepath.Join(dir, "p.cue"), cheap)
	put(t, filepath.Join(dir, "rows.jsonl"), cheapRows)
	digests(t, dir, cache)
	everybody(t, cache)
	code, stdout, stderr := asNobody(t, dir, cache, "run", "p.cue", "--json")
	if code != 0 {
		t.Fatalf("exit code %d\n%s%s", code, stdout, stderr)
	}
	if end := summary(t, stdout); end.Cached != 4 {
		t.Errorf("%+v", end)
	}
	for _, args := range [][]string{{"plan", "p.cue"}, {"why", "p.cue", "two"}, {"preview", "p.cue", "chat.train"}, {"cache", "du"}} {
		if code, stdout, stderr := asNobody(t, dir, cache, args...); code != 0 {
			t.Errorf("%v: exit code %d\n%s%s", args, code, stdout, stderr)
		}
	}
	put(t, filepath.Join(dir, "rows.jsonl"), cheapRows+cheapRows)
	code, stdout, _ = asNobody(t, dir, cache, "run", "p.cue", "--json")
	if code != 1 || !strings.Contains(stdout, "permission denied") {
		t.Errorf("with something to store: exit code %d\n%s", code, stdout)
	}
}

// In a folder that cannot be written to, pins are kept in the cache.
func TestReadOnlyFolder(t *testing.T) {
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.Write([]byte(cheapRows)) }))
	defer web.Close()
	top := outside(t)
	dir, cache := filepath.Join(top, "pipeline"), filepath.Join(top, "cache")
	for _, d := range []string{dir, cache} {
		if err := os.Mkdir(d, 0o777); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(cache, 0o777); err != nil {
		t.Fatal(err)
	}
	put(t, filepath.Join(dir, "p.cue"), `
name: "pinned"
steps: raw: {kind: "fetch", source: http: url: "`+web.URL+`/rows.jsonl"}
`)
	everybody(t, dir)
	code, stdout, stderr := asNobody(t, dir, cache, "run", "p.cue")
	if code != 0 || !strings.Contains(stderr, "its pins are kept in the cache") {
		t.Fatalf("exit code %d\n%s%s", code, stdout, stderr)
	}
	web.Close()
	code, stdout, stderr = asNobody(t, dir, cache, "run", "p.cue", "--locked", "--json")
	if code != 0 || summary(t, stdout).Cached != 1 {
		t.Errorf("exit code %d\n%s%s", code, stdout, stderr)
	}
	if _, err := os.Stat(filepath.Join(dir, "pipe.lock")); err == nil {
		t.Error("the folder was written to")
	}
}
