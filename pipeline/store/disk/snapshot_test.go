package disk

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/pipe-run/pipe/pipeline"
)

// fill records n results, each with a root directory, a file and a log.
func fill(t testing.TB, s *Store, n int) map[pipeline.Key]*pipeline.Result {
	t.Helper()
	all := map[pipeline.Key]*pipeline.Result{}
	for i := range n {
		text := fmt.Sprintf("file %d", i)
		file, size, err1 := s.Put(t.Context(), strings.NewReader(text))
		dir := pipeline.Directory{Files: []pipeline.FileNode{{Name: "f", Digest: file, Size: size}}}
		root, _, err2 := s.Put(t.Context(), strings.NewReader(string(dir.Encode())))
		log, _, err3 := s.Put(t.Context(), strings.NewReader("log of "+text))
		r := &pipeline.Result{
			Outputs: map[string]pipeline.Artifact{"files": {Type: "files", Root: root, Size: size}},
			Log:     log,
			Usage:   pipeline.Usage{Seconds: float64(i), PeakMemory: 1},
		}
		pre := fmt.Sprintf(`{"kind":"k","n":%d}`, i)
		k := pipeline.Key(pipeline.SumBytes([]byte(pre)))
		_, _, err4 := s.Put(t.Context(), strings.NewReader(pre))
		err5 := s.Record(t.Context(), k, r)
		if err := errors.Join(err1, err2, err3, err4, err5); err != nil {
			t.Fatal(err)
		}
		all[k] = r
	}
	return all
}

// hits looks all keys up and returns how many are found.
func hits(t testing.TB, s *Store, all map[pipeline.Key]*pipeline.Result) int {
	t.Helper()
	n := 0
	for k, want := range all {
		got, err := s.Lookup(t.Context(), k)
		if errors.Is(err, pipeline.ErrNotFound) {
			continue
		}
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Fatalf("wrong hit: %+v, %v, want %+v", got, err, want)
		}
		n++
	}
	return n
}

func TestSnapshot(t *testing.T) {
	s := open(t, "")
	n := s.Snapshot("g")
	all := fill(t, s, 20)
	if err := n.Save(); err != nil {
		t.Fatal(err)
	}
	s2 := open(t, s.dir)
	n2 := s2.Snapshot("g")
	if got := hits(t, s2, all); got != 20 {
		t.Errorf("%d hits", got)
	}
	if len(s2.results) != 0 || s2.memo.log != 0 {
		t.Errorf("%d results were read from files, memo read: %v", len(s2.results), s2.memo.log != 0)
	}
	before, _ := lstat(n2.path)
	if err := n2.Save(); err != nil {
		t.Fatal(err)
	}
	if after, _ := lstat(n2.path); after != before {
		t.Error("saved although nothing changed")
	}
	more := fill(t, s2, 25)
	if err := n2.Save(); err != nil {
		t.Fatal(err)
	}
	s3 := open(t, s.dir)
	s3.Snapshot("g")
	if got := hits(t, s3, more); got != 25 || len(s3.results) != 0 {
		t.Errorf("%d hits, %d read from files", got, len(s3.results))
	}
}

// Whatever happens to the files between two runs, a snapshot gives no wrong
// hit, and blobs that merely were touched stay hits.
func TestSnapshotOfChangedFiles(t *testing.T) {
	rewrite := func(path, text string) error {
		return errors.Join(os.Chmod(path, 0o644), os.WriteFile(path, []byte(text), 0o644))
	}
	for name, c := range map[string]struct {
		change func(s *Store, k pipeline.Key, r *pipeline.Result) error
		hits   int
	}{
		"nothing": {func(s *Store, k pipeline.Key, r *pipeline.Result) error { return nil }, 3},
		"log deleted": {func(s *Store, k pipeline.Key, r *pipeline.Result) error {
			return os.Remove(s.path("cas", r.Log.String()))
		}, 2},
		"log touched": {func(s *Store, k pipeline.Key, r *pipeline.Result) error {
			return os.Chmod(s.path("cas", r.Log.String()), 0o400)
		}, 3},
		"log changed": {func(s *Store, k pipeline.Key, r *pipeline.Result) error {
			return rewrite(s.path("cas", r.Log.String()), "log of file x")
		}, 2},
		"log cut": {func(s *Store, k pipeline.Key, r *pipeline.Result) error {
			return rewrite(s.path("cas", r.Log.String()), "log")
		}, 2},
		"root changed": {func(s *Store, k pipeline.Key, r *pipeline.Result) error {
			return rewrite(s.path("cas", r.Outputs["files"].Root.String()), "")
		}, 2},
		"result gone": {func(s *Store, k pipeline.Key, r *pipeline.Result) error { return os.Remove(s.path("ac", k.String())) }, 2},
		"result cut": {func(s *Store, k pipeline.Key, r *pipeline.Result) error {
			return rewrite(s.path("ac", k.String()), "x")
		}, 2},
		"blob a link": {func(s *Store, k pipeline.Key, r *pipeline.Result) error {
			path := s.path("cas", r.Log.String())
			return errors.Join(os.Rename(path, path+"x"), os.Symlink(path+"x", path))
		}, 2},
		"snapshot cut": {func(s *Store, k pipeline.Key, r *pipeline.Result) error {
			return os.Truncate(filepath.Join(s.dir, "memo", "graph-g"), 500)
		}, 3},
		"memo gone": {func(s *Store, k pipeline.Key, r *pipeline.Result) error {
			return os.RemoveAll(filepath.Join(s.dir, "memo"))
		}, 3},
	} {
		t.Run(name, func(t *testing.T) {
			s := open(t, "")
			n := s.Snapshot("g")
			all := fill(t, s, 3)
			if err := n.Save(); err != nil {
				t.Fatal(err)
			}
			for k, r := range all {
				if err := c.change(s, k, r); err != nil {
					t.Fatal(err)
				}
				break
			}
			s2 := open(t, s.dir)
			n2 := s2.Snapshot("g")
			if got := hits(t, s2, all); got != c.hits {
				t.Errorf("%d hits, want %d", got, c.hits)
			}
			if err := n2.Save(); err != nil {
				t.Fatal(err)
			}
			s3 := open(t, s.dir)
			s3.Snapshot("g")
			if got := hits(t, s3, all); got != c.hits {
				t.Errorf("%d hits in the run after that, want %d", got, c.hits)
			}
			if c.hits == 3 && len(s3.results) != 0 {
				t.Errorf("the new snapshot does not hold all results")
			}
		})
	}
}

func TestSnapshotMalformed(t *testing.T) {
	s := open(t, "")
	n := s.Snapshot("g")
	all := fill(t, s, 2)
	if err := n.Save(); err != nil {
		t.Fatal(err)
	}
	good, err := os.ReadFile(n.path)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(good); i += 7 {
		bad := append([]byte(nil), good...)
		bad[i] ^= 0x41
		if err := os.WriteFile(n.path, bad, 0o644); err != nil {
			t.Fatal(err)
		}
		s2 := open(t, s.dir)
		s2.Snapshot("g")
		if i%5 == 0 && hits(t, s2, all) != 2 {
			t.Errorf("byte %d changed: results lost", i)
		}
		if len(s2.Reports()) != 1 {
			t.Errorf("byte %d changed: %v", i, s2.Reports())
		}
		s2.Close()
	}
}

func FuzzSnapshot(f *testing.F) {
	s, err := Open(f.TempDir(), Options{})
	if err != nil {
		f.Fatal(err)
	}
	n := s.Snapshot("g")
	fill(f, s, 2)
	if err := n.Save(); err != nil {
		f.Fatal(err)
	}
	good, err := os.ReadFile(n.path)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good[len(snapshotHeader):])
	f.Fuzz(func(t *testing.T, b []byte) {
		raw := append([]byte(snapshotHeader), b...)
		if len(b) >= 12 { // let it past the checksum
			sum := checksum(b[12:])
			copy(raw[len(snapshotHeader)+8:], []byte{byte(sum), byte(sum >> 8), byte(sum >> 16), byte(sum >> 24)})
		}
		n := &Snapshot{}
		if n.decode(raw) != nil {
			return
		}
		for i := range n.entries {
			n.entries[i].result(n)
		}
	})
}

// BenchmarkNoOp measures what a run that finds everything in the cache spends
// here: opening, one lookup a step, saving.
func BenchmarkNoOp(b *testing.B) {
	for _, steps := range []int{1_000, 10_000} {
		b.Run(fmt.Sprint(steps), func(b *testing.B) {
			s, err := Open(b.TempDir(), Options{})
			if err != nil {
				b.Fatal(err)
			}
			n := s.Snapshot("g")
			all := fill(b, s, steps)
			if err := n.Save(); err != nil {
				b.Fatal(err)
			}
			for b.Loop() {
				s, err := Open(s.dir, Options{})
				if err != nil {
					b.Fatal(err)
				}
				n := s.Snapshot("g")
				for k := range all {
					if _, err := s.Lookup(b.Context(), k); err != nil {
						b.Fatal(err)
					}
				}
				if err := n.Save(); err != nil {
					b.Fatal(err)
				}
				s.Close()
			}
		})
	}
}
