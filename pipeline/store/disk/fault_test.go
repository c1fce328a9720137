package disk

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/pipe-run/pipe/pipeline"
)

// A flipped bit in each kind of file is found by VerifyAll, and by a later
// lookup without it, and makes a miss, never a wrong hit.
func TestFlippedBits(t *testing.T) {
	for _, verify := range []bool{true, false} {
		s := open(t, "")
		n := s.Snapshot("g")
		all := fill(t, s, 1)
		if err := n.Save(); err != nil {
			t.Fatal(err)
		}
		s.Close()
		for _, kind := range []string{"cas", "ac"} {
			files, err := filepath.Glob(filepath.Join(s.dir, kind, "*", "*"))
			if err != nil || len(files) == 0 {
				t.Fatal(files, err)
			}
			for _, path := range files {
				good, err := os.ReadFile(path)
				if err != nil {
					t.Fatal(err)
				}
				bad := append([]byte(nil), good...)
				bad[len(bad)/2] ^= 4
				os.Chmod(path, 0o644)
				if err := os.WriteFile(path, bad, 0o644); err != nil {
					t.Fatal(err)
				}
				flipped(t, s.dir, path, verify, all)
				os.Remove(path)
				if err := os.WriteFile(path, good, 0o444); err != nil {
					t.Fatal(err)
				}
				// The result was dropped when VerifyAll found it incomplete.
				s2 := open(t, s.dir)
				fill(t, s2, 1)
				if hits(t, s2, all) != 1 {
					t.Errorf("%s: the result is no hit after the repair", path)
				}
				s2.Close()
			}
		}
	}
}

func flipped(t *testing.T, dir, path string, verify bool, all map[pipeline.Key]*pipeline.Result) {
	t.Helper()
	var told []Report
	var mu sync.Mutex
	s, err := Open(dir, Options{Report: func(r Report) { mu.Lock(); told = append(told, r); mu.Unlock() }})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	s.Snapshot("g")
	preimage := false
	for k := range all {
		preimage = strings.HasSuffix(path, k.String()) && strings.Contains(path, "/cas/")
		if preimage && !verify {
			if _, err := s.Get(t.Context(), k.Preimage()); !errors.Is(err, pipeline.ErrNotFound) {
				t.Errorf("%s: read an action with a flipped bit: %v", path, err)
			}
		}
	}
	if verify {
		v, err := s.VerifyAll(t.Context(), nil)
		if err != nil || len(v.Damaged) == 0 || v.Damaged[0].Name != filepath.Base(path) {
			t.Errorf("%s: verify found %v, %v", path, v, err)
		}
	}
	if got := hits(t, s, all); got != 0 && !preimage {
		t.Errorf("%s: %d hits", path, got)
	}
	if len(told) == 0 || told[0].Name != filepath.Base(path) || !strings.Contains(told[0].String(), "damaged") {
		t.Errorf("%s: reports %v", path, told)
	}
}

func TestVerifyFindsStrays(t *testing.T) {
	s := open(t, "")
	fill(t, s, 1)
	write(t, filepath.Join(s.dir, "cas"), map[string]string{"ab/short": "x", "zz/" + strings.Repeat("0", 64): "y"})
	v, err := s.VerifyAll(t.Context(), func(done, total int64) {
		if done > total {
			t.Errorf("%d of %d bytes", done, total)
		}
	})
	if err != nil || len(v.Damaged) != 2 || v.Blobs != 4 || v.Results != 1 {
		t.Errorf("%+v, %v", v, err)
	}
	if v, err := s.VerifyAll(t.Context(), nil); err != nil || len(v.Damaged) != 0 {
		t.Errorf("second time: %+v, %v", v, err)
	}
}

func TestVersions(t *testing.T) {
	for _, c := range []struct {
		files map[string]string
		want  string
	}{
		{map[string]string{"version": "2\n"}, "has format 2, this pipe knows formats up to 1"},
		{map[string]string{"version": "garbage"}, "is not a cache directory"},
		{map[string]string{"letter.txt": "dear"}, `holds "letter.txt" and no version file`},
		{map[string]string{"version": "1\n", "anything": ""}, ""},
	} {
		_, err := Open(write(t, t.TempDir(), c.files), Options{})
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%v: %v", c.files, err)
		}
	}
}

func TestExplain(t *testing.T) {
	s := &Store{dir: "/c"}
	for errno, want := range map[syscall.Errno]string{
		syscall.ENOSPC: "no space left for the cache in /c",
		syscall.EDQUOT: "no space left for the cache in /c",
		syscall.EROFS:  "the cache in /c cannot be written to",
		syscall.EACCES: "the cache in /c cannot be written to",
		syscall.EIO:    "write x:",
	} {
		err := s.explain(&fs.PathError{Op: "write", Path: "x", Err: errno})
		if !strings.HasPrefix(err.Error(), want) || !errors.Is(err, errno) {
			t.Errorf("%v: %v", errno, err)
		}
	}
}

func TestFullDisk(t *testing.T) {
	dir := smallDisk(t, 256<<10)
	s := open(t, filepath.Join(dir, "cache"))
	all := fill(t, s, 1)
	big := strings.Repeat("0123456789abcdef", 32<<10)
	_, _, err := s.Put(t.Context(), strings.NewReader(big))
	if !errors.Is(err, syscall.ENOSPC) || !strings.Contains(err.Error(), "no space left for the cache") {
		t.Errorf("Put: %v", err)
	}
	out := write(t, t.TempDir(), map[string]string{"big": big})
	if _, _, err := s.Commit(t.Context(), out, CommitOptions{}); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("Commit: %v", err)
	}
	if _, err := os.Stat(filepath.Join(out, "big")); err != nil {
		t.Errorf("the file that did not fit is lost: %v", err)
	}
	if entries, _ := os.ReadDir(filepath.Join(s.dir, "tmp")); len(entries) != 0 {
		t.Errorf("tmp holds %v", entries)
	}
	if v, err := s.VerifyAll(t.Context(), nil); err != nil || len(v.Damaged) != 0 || hits(t, s, all) != 1 {
		t.Errorf("%+v, %v", v, err)
	}
}

func TestReadOnlyDisk(t *testing.T) {
	dir := smallDisk(t, 1<<20)
	s := open(t, dir)
	n := s.Snapshot("g")
	all := fill(t, s, 2)
	if err := n.Save(); err != nil {
		t.Fatal(err)
	}
	s.Close()
	remountReadOnly(t, dir)

	s = open(t, dir)
	s.Snapshot("g")
	if hits(t, s, all) != 2 {
		t.Error("a read-only cache gives no hits")
	}
	s.Close()
	s = open(t, dir) // now without the snapshot
	if hits(t, s, all) != 2 {
		t.Error("a read-only cache gives no hits")
	}
	for _, r := range all {
		if err := s.Checkout(t.Context(), r.Outputs["files"].Root, filepath.Join(t.TempDir(), "x"), CheckoutOptions{}); err != nil {
			t.Errorf("Checkout: %v", err)
		}
	}
	_, _, errPut := s.Put(t.Context(), strings.NewReader("new"))
	errRecord := s.Record(t.Context(), pipeline.Key{1}, &pipeline.Result{})
	_, errLock := s.Lock(t.Context(), pipeline.Key{1})
	_, errGC := s.GC(t.Context(), GCOptions{})
	for name, err := range map[string]error{"Put": errPut, "Record": errRecord, "Lock": errLock, "GC": errGC} {
		if err == nil || !strings.Contains(err.Error(), "cannot be written to") {
			t.Errorf("%s: %v", name, err)
		}
	}
	_, err := Open(filepath.Join(dir, "sub"), Options{})
	if err == nil || !strings.Contains(err.Error(), "cannot be written to") {
		t.Errorf("Open of a new cache: %v", err)
	}
}

func TestLock(t *testing.T) {
	dir := t.TempDir()
	a, b := open(t, dir), open(t, dir)
	k := pipeline.Key{1}
	unlock, err := a.Lock(t.Context(), k)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := b.Lock(ctx, k); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("locked twice: %v", err)
	}
	if unlock2, err := b.Lock(t.Context(), pipeline.Key{2}); err != nil {
		t.Error(err)
	} else {
		unlock2()
	}
	unlock()

	var holders, most int
	var mu sync.Mutex
	var wg sync.WaitGroup
	for i := range 16 {
		wg.Go(func() {
			unlock, err := []*Store{a, b}[i%2].Lock(t.Context(), k)
			if err != nil {
				t.Error(err)
				return
			}
			mu.Lock()
			holders++
			most = max(most, holders)
			mu.Unlock()
			time.Sleep(time.Millisecond)
			mu.Lock()
			holders--
			mu.Unlock()
			unlock()
		})
	}
	wg.Wait()
	if most != 1 {
		t.Errorf("%d held the lock at once", most)
	}
}

// Processes link and remove links of the same blob all the time: none of them
// may take it for changed.
func TestConcurrentLinks(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	root, _, err := s.Commit(t.Context(), write(t, t.TempDir(), sample), CommitOptions{})
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for i := range 6 {
		wg.Go(func() {
			mine, err := Open(dir, Options{})
			if err != nil {
				t.Error(err)
				return
			}
			defer mine.Close()
			in := filepath.Join(dir, "work", "in"+string(rune('a'+i)))
			for range 10 {
				if err := mine.Checkout(t.Context(), root, in, CheckoutOptions{}); err != nil {
					t.Error(err)
				}
				if changed, err := mine.Release(t.Context(), in); err != nil || changed != nil {
					t.Error(changed, err)
				}
			}
		})
	}
	wg.Wait()
	hashed(t, s, 0)
}

func TestSum(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	path := filepath.Join(t.TempDir(), "data.jsonl")
	put := func(text string, age time.Duration) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		then := time.Now().Add(-age)
		if err := os.Chtimes(path, then, then); err != nil {
			t.Fatal(err)
		}
	}
	check := func(s *Store, want string) {
		t.Helper()
		f, err := s.Sum(path)
		if err != nil || f != (pipeline.FileSum{Digest: pipeline.SumBytes([]byte(want)), Size: int64(len(want))}) {
			t.Errorf("Sum = %+v, %v, want that of %q", f, err, want)
		}
	}
	put("one", time.Hour)
	check(s, "one")
	if len(s.sums.known) != 0 { // its ctime is now
		t.Error("a file that was just changed is remembered")
	}
	check(s, "one")
	if testing.Short() {
		t.Skip("waits two seconds for a file to settle")
	}
	time.Sleep(settled + 50*time.Millisecond)
	check(s, "one")
	other := open(t, dir)
	check(other, "one")
	if f, ok := other.sums.known[path]; !ok || f.digest != pipeline.SumBytes([]byte("one")) {
		t.Error("the sum is not shared")
	}
	put("two", time.Hour)
	check(s, "two")
	check(other, "two")
	if err := os.Chmod(path, 0o654); err != nil {
		t.Fatal(err)
	}
	if f, err := s.Sum(path); err != nil || !f.Executable {
		t.Errorf("an executable file: %+v, %v", f, err)
	}
	if _, err := s.Sum(t.TempDir()); err == nil {
		t.Error("hashed a directory")
	}
	if _, err := s.Sum(path + "x"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("absent file: %v", err)
	}
}

// Sums are appended by many processes, and a log with a torn or damaged record
// loses no more than sums.
func TestSumLog(t *testing.T) {
	dir := t.TempDir()
	stores := []*Store{open(t, dir), open(t, dir)}
	f := func(n int) fileSum { return fileSum{stat{Ino: uint64(n)}, pipeline.Digest{byte(n)}} }
	for n := range 40 {
		m := stores[n%2].sums
		m.known = map[string]fileSum{}
		m.remember("/p"+string(rune('a'+n)), f(n))
	}
	count := func() int {
		s := open(t, dir)
		s.sums.known = map[string]fileSum{}
		s.sums.refresh()
		return len(s.sums.known)
	}
	if n := count(); n != 40 {
		t.Errorf("%d of 40 sums", n)
	}
	path := filepath.Join(dir, "memo", "files")
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(path, info.Size()-5); err != nil {
		t.Fatal(err)
	}
	if n := count(); n != 39 {
		t.Errorf("%d of 39 sums after a torn write", n)
	}
	s := open(t, dir)
	s.sums.known = map[string]fileSum{}
	s.sums.remember("/new", f(1))
	if n := count(); n != 40 {
		t.Errorf("%d of 40 sums", n)
	}
	if err := os.WriteFile(path, []byte("garbage"), 0o644); err != nil {
		t.Fatal(err)
	}
	s = open(t, dir)
	s.sums.known = map[string]fileSum{}
	s.sums.remember("/new", f(1))
	if n := count(); n != 1 {
		t.Errorf("%d sums after garbage", n)
	}
}

func TestCanceledPut(t *testing.T) {
	s := open(t, "")
	ctx, cancel := context.WithCancel(t.Context())
	r, w := io.Pipe()
	go func() {
		w.Write([]byte("a part"))
		cancel()
		w.Write([]byte("the rest"))
		w.Close()
	}()
	if _, _, err := s.Put(ctx, r); !errors.Is(err, context.Canceled) {
		t.Errorf("Put: %v", err)
	}
	if entries, _ := os.ReadDir(filepath.Join(s.dir, "tmp")); len(entries) != 0 {
		t.Errorf("tmp holds %v", entries)
	}
}
