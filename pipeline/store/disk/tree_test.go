package disk

import (
	"crypto/rand"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/pipe-run/pipe/pipeline"
)

// write makes files below dir; names that end in * are executable, names that
// end in / are directories.
func write(t *testing.T, dir string, files map[string]string) string {
	t.Helper()
	for name, text := range files {
		path, exec := strings.CutSuffix(filepath.Join(dir, name), "*")
		mode := os.FileMode(0o644)
		if exec {
			mode = 0o755
		}
		err := os.MkdirAll(filepath.Dir(path), 0o777)
		if strings.HasSuffix(name, "/") {
			err = os.MkdirAll(path, 0o777)
		} else if err == nil {
			err = os.WriteFile(path, []byte(text), mode)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// read is the opposite of write.
func read(t *testing.T, dir string) map[string]string {
	t.Helper()
	files := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, _ := filepath.Rel(dir, path)
		if e.IsDir() {
			if entries, _ := os.ReadDir(path); len(entries) == 0 {
				files[name+"/"] = ""
			}
			return nil
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		if info.Mode()&0o111 != 0 {
			name += "*"
		}
		b, err := os.ReadFile(path)
		files[name] = string(b)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

var sample = map[string]string{
	"config.json": "{}", "data/a.bin": "aaaa", "data/b.bin": "bb", "data/copy": "aaaa", "empty/": "", "none": "", "run.sh*": "#!",
}

func TestCommitCheckout(t *testing.T) {
	for _, o := range []CheckoutOptions{{Mode: Link}, {Mode: Clone}, {Mode: Copy}, {Mode: Copy, Writable: true}} {
		s := open(t, "")
		root, size, err := s.Commit(t.Context(), write(t, filepath.Join(s.dir, "work", "out"), sample), CommitOptions{Executable: true})
		if err != nil {
			t.Fatal(err)
		}
		if size != 14 {
			t.Errorf("size is %d", size)
		}
		dir := filepath.Join(t.TempDir(), "in")
		if err := s.Checkout(t.Context(), root, dir, o); err != nil {
			t.Fatal(err)
		}
		if got := read(t, dir); !reflect.DeepEqual(got, sample) {
			t.Errorf("%+v: got %v", o, got)
		}
		again, _, err := s.Commit(t.Context(), dir, CommitOptions{Executable: true})
		if err != nil || again != root {
			t.Errorf("%+v: committed again: %s, not %s: %v", o, again, root, err)
		}
		hashed(t, s, 0)
	}
}

// hashed fails unless n blobs of s would be hashed when they are next wanted.
func hashed(t *testing.T, s *Store, n int) {
	t.Helper()
	other := open(t, s.dir)
	got := 0
	filepath.WalkDir(filepath.Join(s.dir, "cas"), func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		d, err := pipeline.ParseDigest(e.Name())
		if err != nil {
			return err
		}
		st, err := lstat(path)
		other.memo.update(func(func(pipeline.Digest, stat)) error { return nil })
		if known, ok := other.memo.get(d); !ok || known != st {
			got++
		}
		return err
	})
	if got != n {
		t.Errorf("%d blobs have other stat data than the memo, want %d", got, n)
	}
}

func TestCommitPlainFilesAreNotExecutable(t *testing.T) {
	s := open(t, "")
	a, _, err1 := s.Commit(t.Context(), write(t, t.TempDir(), map[string]string{"f*": "x"}), CommitOptions{})
	b, _, err2 := s.Commit(t.Context(), write(t, t.TempDir(), map[string]string{"f": "x"}), CommitOptions{})
	if err := errors.Join(err1, err2); err != nil || a != b {
		t.Errorf("%s, %s, %v", a, b, err)
	}
}

func TestCommitRefuses(t *testing.T) {
	for name, make := range map[string]func(path string) error{
		"symbolic link": func(path string) error { return os.Symlink("/etc/passwd", path) },
		"named pipe":    mkfifo,
	} {
		s, dir := open(t, ""), t.TempDir()
		write(t, dir, map[string]string{"sub/good": "x"})
		if err := make(filepath.Join(dir, "sub", "bad")); err != nil {
			t.Fatal(err)
		}
		_, _, err := s.Commit(t.Context(), dir, CommitOptions{})
		if err == nil || !strings.Contains(err.Error(), "sub/bad is a "+name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A file with a second name must not move into the store, where the other
// name could change it.
func TestCommitOfLinkedFile(t *testing.T) {
	s := open(t, "")
	dir := write(t, filepath.Join(s.dir, "work", "out"), map[string]string{"f": "before"})
	alias := filepath.Join(s.dir, "work", "alias")
	if err := os.Link(filepath.Join(dir, "f"), alias); err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.Commit(t.Context(), dir, CommitOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(alias, []byte("after!"), 0o644); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(s.path("cas", pipeline.SumBytes([]byte("before")).String()))
	if err != nil || string(b) != "before" {
		t.Errorf("blob holds %q, %v", b, err)
	}
}

func TestReleaseKeepsMemo(t *testing.T) {
	s := open(t, "")
	root, _, err := s.Commit(t.Context(), write(t, filepath.Join(s.dir, "work", "out"), sample), CommitOptions{})
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(s.dir, "work", "in")
	if err := s.Checkout(t.Context(), root, dir, CheckoutOptions{}); err != nil {
		t.Fatal(err)
	}
	hashed(t, s, 0)
	other := open(t, s.dir) // as after a kill: it knows only the log
	if changed, err := other.Release(t.Context(), dir); err != nil || len(changed) != 0 {
		t.Fatal(changed, err)
	}
	if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Error("the directory is still there")
	}
	hashed(t, s, 0)
	if changed, err := other.Release(t.Context(), dir); err != nil || changed != nil {
		t.Error(changed, err)
	}
}

func TestReleaseFindsChangedInput(t *testing.T) {
	s := open(t, "")
	root, _, err := s.Commit(t.Context(), write(t, filepath.Join(s.dir, "work", "out"), sample), CommitOptions{})
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(s.dir, "work", "in")
	if err := s.Checkout(t.Context(), root, dir, CheckoutOptions{}); err != nil {
		t.Fatal(err)
	}
	bad := filepath.Join(dir, "data", "b.bin")
	linked, err := os.Stat(bad)
	if err != nil {
		t.Fatal(err)
	}
	blob, err := os.Stat(s.path("cas", pipeline.SumBytes([]byte("bb")).String()))
	if err != nil || !os.SameFile(linked, blob) {
		t.Skip("this file system clones: inputs share nothing with the store")
	}
	os.Chmod(bad, 0o644)
	if err := os.WriteFile(bad, []byte("BB"), 0o644); err != nil {
		t.Fatal(err)
	}
	changed, err := s.Release(t.Context(), dir)
	if err != nil || !reflect.DeepEqual(changed, []string{"data/b.bin"}) {
		t.Errorf("changed = %v, %v", changed, err)
	}
	if _, err := s.Get(t.Context(), pipeline.SumBytes([]byte("bb"))); !errors.Is(err, pipeline.ErrNotFound) {
		t.Errorf("the changed blob is still there: %v", err)
	}
	if len(s.Reports()) != 1 {
		t.Errorf("reports: %v", s.Reports())
	}
}

func TestFS(t *testing.T) {
	s := open(t, "")
	root, _, err := s.Commit(t.Context(), write(t, t.TempDir(), sample), CommitOptions{Executable: true})
	if err != nil {
		t.Fatal(err)
	}
	fsys, err := s.FS(root)
	if err != nil {
		t.Fatal(err)
	}
	if err := fstest.TestFS(fsys, "config.json", "data/a.bin", "empty", "none", "run.sh"); err != nil {
		t.Error(err)
	}
	f, err := fsys.Open("data/a.bin")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if n, err := f.(io.ReaderAt).ReadAt(make([]byte, 2), 2); n != 2 || err != nil {
		t.Errorf("ReadAt = %d, %v", n, err)
	}
	if _, err := s.FS(pipeline.Digest{1}); err == nil {
		t.Error("opened a tree that is absent")
	}
}

func TestCheckoutRefuses(t *testing.T) {
	s := open(t, "")
	root, _, err := s.Commit(t.Context(), write(t, t.TempDir(), sample), CommitOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Checkout(t.Context(), root, write(t, t.TempDir(), map[string]string{"old": ""}), CheckoutOptions{}); err == nil {
		t.Error("checked out into a directory that holds a file")
	}
	if err := s.Checkout(t.Context(), root, t.TempDir(), CheckoutOptions{Writable: true}); err == nil {
		t.Error("made writable links")
	}
	deep, size, err := s.Put(t.Context(), strings.NewReader(""))
	for range maxDepth + 1 {
		if err != nil {
			t.Fatal(err)
		}
		d := pipeline.Directory{Dirs: []pipeline.DirNode{{Name: "d", Digest: deep, Size: size}}}
		deep, size, err = s.Put(t.Context(), strings.NewReader(string(d.Encode())))
	}
	if err := s.Checkout(t.Context(), deep, t.TempDir(), CheckoutOptions{}); err == nil || !strings.Contains(err.Error(), "levels") {
		t.Errorf("a tree of %d levels: %v", maxDepth+1, err)
	}
}

func TestPutFileAcrossManySizes(t *testing.T) {
	s := open(t, "")
	for _, n := range []int{0, 1, 256 << 10, 1<<20 + 1} {
		b := make([]byte, n)
		rand.Read(b)
		path := filepath.Join(s.dir, "work-file")
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		d, size, err := s.PutFile(t.Context(), path)
		if err != nil || size != int64(n) || d != pipeline.SumBytes(b) {
			t.Errorf("PutFile of %d bytes = %s, %d, %v", n, d, size, err)
		}
		info, err := os.Stat(s.path("cas", d.String()))
		if err != nil || info.Mode() != 0o444 {
			t.Errorf("blob: %v, %v", info.Mode(), err)
		}
	}
}
