package disk

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pipe-run/pipe/pipeline"
)

// age makes result k look as if it was last wanted hours ago.
func age(t *testing.T, s *Store, k pipeline.Key, hours int) {
	t.Helper()
	then := time.Now().Add(-time.Duration(hours) * time.Hour)
	if err := os.Chtimes(s.path("ac", k.String()), then, then); err != nil {
		t.Fatal(err)
	}
	os.Remove(s.usedPath())
}

func TestGC(t *testing.T) {
	ctx := t.Context()
	s := open(t, "")
	all := fill(t, s, 4)
	keys := sortedKeys(all)
	for i, k := range keys {
		age(t, s, k, 10-i)
	}
	if _, _, err := s.Put(ctx, strings.NewReader("belongs to nothing")); err != nil {
		t.Fatal(err)
	}
	kept, _, err := s.Put(ctx, strings.NewReader("kept by name"))
	if err != nil {
		t.Fatal(err)
	}
	o := GCOptions{Budget: 1 << 40, DryRun: true, Blobs: []pipeline.Digest{kept}}
	dry, err := s.GC(ctx, o)
	if err != nil || len(dry.Evicted) != 1 || dry.Evicted[0].Kind != "blobs" || dry.Evicted[0].Size != 18 || dry.Before-dry.After != 18 {
		t.Fatalf("dry run: %+v, %v", dry, err)
	}
	if s2 := open(t, s.dir); hits(t, s2, all) != 4 {
		t.Error("a dry run deleted something")
	} else if _, err := s.GC(ctx, GCOptions{}); !errors.Is(err, ErrBusy) {
		t.Errorf("gc while another store is open: %v", err)
	} else {
		s2.Close()
	}

	// keys[0] is the oldest, but kept; keys[1] and then keys[2] go.
	o = GCOptions{Budget: dry.After - 1, Keys: keys[:1], Blobs: []pipeline.Digest{kept}}
	for _, want := range []int{1, 2} {
		r, err := s.GC(ctx, o)
		if err != nil {
			t.Fatal(err)
		}
		last := r.Evicted[len(r.Evicted)-1]
		if last.Kind != "result" || last.Name != keys[want].String() {
			t.Errorf("evicted %+v, want %s", r.Evicted, keys[want])
		}
		if r.After > o.Budget || r.Before-r.After < last.Size {
			t.Errorf("%+v", r)
		}
		stone, ok := s.Tombstone(keys[want])
		if !ok || stone.Size != last.Size || time.Since(stone.Time) > time.Minute {
			t.Errorf("tombstone: %+v, %v", stone, ok)
		}
		if _, err := s.Get(ctx, keys[want].Preimage()); !errors.Is(err, pipeline.ErrNotFound) {
			t.Error("the action of an evicted result is still there")
		}
		o.Budget = r.After - 1
	}
	s2 := open(t, s.dir)
	if got := hits(t, s2, all); got != 2 {
		t.Errorf("%d results left, want 2", got)
	}
	if _, err := s2.Get(ctx, kept); err != nil {
		t.Errorf("kept blob: %v", err)
	}
	if _, ok := s2.Tombstone(keys[0]); ok {
		t.Error("tombstone of a result that is there")
	}
	v, err := s2.VerifyAll(ctx, nil)
	if err != nil || len(v.Damaged) != 0 || v.Results != 2 {
		t.Errorf("%+v, %v", v, err)
	}
}

// Blobs that a remaining result shares stay.
func TestGCShared(t *testing.T) {
	s := open(t, "")
	log, _, err := s.Put(t.Context(), strings.NewReader("shared"))
	if err != nil {
		t.Fatal(err)
	}
	for n := range byte(2) {
		if err := s.Record(t.Context(), pipeline.Key{n}, &pipeline.Result{Log: log}); err != nil {
			t.Fatal(err)
		}
		age(t, s, pipeline.Key{n}, int(10-n))
	}
	r, err := s.GC(t.Context(), GCOptions{Keys: []pipeline.Key{{1}}})
	if err != nil || len(r.Evicted) != 1 {
		t.Fatalf("%+v, %v", r, err)
	}
	if _, err := s.Lookup(t.Context(), pipeline.Key{1}); err != nil {
		t.Error(err)
	}
}

func TestGCFolders(t *testing.T) {
	s := open(t, "")
	downloads, err := s.Downloads()
	if err != nil {
		t.Fatal(err)
	}
	write(t, downloads, map[string]string{"a": "12345", "b/c": "123"})
	write(t, filepath.Join(s.dir, "tmp"), map[string]string{"put-1": "left by a killed process"})
	then := time.Now().Add(-time.Hour)
	os.Chtimes(filepath.Join(downloads, "a"), then, then)
	u, err := s.DiskUsage(t.Context())
	if err != nil || u.Downloads != (Count{2, 8}) || u.Total.Bytes < 8 {
		t.Errorf("%+v, %v", u, err)
	}
	r, err := s.GC(t.Context(), GCOptions{Budget: 7})
	if err != nil || len(r.Evicted) != 1 || r.Evicted[0].Name != "a" || r.After != 3 {
		t.Errorf("%+v, %v", r, err)
	}
	if entries, _ := os.ReadDir(filepath.Join(s.dir, "tmp")); len(entries) != 0 {
		t.Errorf("tmp holds %v", entries)
	}
}
