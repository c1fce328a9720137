// Package storetest is the suite that every [pipeline.Store] and
// [pipeline.Cache] passes.
package storetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"
	"sync"
	"testing"
	"testing/iotest"

	"github.com/pipe-run/pipe/pipeline"
)

// A Subject is what the suite tests: a store with the cache beside it.
type Subject interface {
	pipeline.Store
	pipeline.Cache
}

// Run tests the empty subjects that open returns. drop makes a blob vanish
// behind the subject's back.
func Run[S Subject](t *testing.T, open func(t *testing.T) S, drop func(t *testing.T, s S, d pipeline.Digest)) {
	for _, c := range []struct {
		name string
		test func(t *testing.T, s Subject)
	}{
		{"Blobs", testBlobs},
		{"Absent", testAbsent},
		{"BrokenReader", testBrokenReader},
		{"Canceled", testCanceled},
		{"Results", testResults},
		{"Incomplete", testIncomplete},
		{"Malformed", testMalformed},
		{"Concurrent", testConcurrent},
	} {
		t.Run(c.name, func(t *testing.T) { c.test(t, open(t)) })
	}
	t.Run("Dropped", func(t *testing.T) {
		s := open(t)
		testDropped(t, s, func(d pipeline.Digest) { drop(t, s, d) })
	})
}

// put stores b.
func put(t *testing.T, s pipeline.Store, b string) pipeline.Digest {
	t.Helper()
	d, n, err := s.Put(t.Context(), strings.NewReader(b))
	if err != nil || n != int64(len(b)) || d != pipeline.SumBytes([]byte(b)) {
		t.Fatalf("Put(%.20q) = %v, %d, %v", b, d, n, err)
	}
	return d
}

func get(t *testing.T, s pipeline.Store, d pipeline.Digest) string {
	t.Helper()
	r, err := s.Get(t.Context(), d)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	b, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func testBlobs(t *testing.T, s Subject) {
	for _, b := range []string{"", "a", strings.Repeat("0123456789abcdef", 100_000)} {
		d := put(t, s, b)
		if put(t, s, b) != d {
			t.Error("the same bytes have two digests")
		}
		if got := get(t, s, d); got != b {
			t.Errorf("stored %d bytes, got %d others", len(b), len(got))
		}
	}
}

func testAbsent(t *testing.T, s Subject) {
	here, gone := put(t, s, "here"), pipeline.SumBytes([]byte("gone"))
	if _, err := s.Get(t.Context(), gone); !errors.Is(err, pipeline.ErrNotFound) {
		t.Errorf("Get of an absent blob: %v", err)
	}
	missing, err := s.Missing(t.Context(), []pipeline.Digest{here, gone})
	if err != nil || len(missing) != 1 || missing[0] != gone {
		t.Errorf("Missing = %v, %v", missing, err)
	}
	if _, err := s.Lookup(t.Context(), pipeline.Key{1}); !errors.Is(err, pipeline.ErrNotFound) {
		t.Errorf("Lookup of an absent key: %v", err)
	}
}

func testBrokenReader(t *testing.T, s Subject) {
	broken := errors.New("broken")
	r := io.MultiReader(strings.NewReader("half"), iotest.ErrReader(broken))
	if _, _, err := s.Put(t.Context(), r); !errors.Is(err, broken) {
		t.Errorf("Put of a broken reader: %v", err)
	}
	half := pipeline.SumBytes([]byte("half"))
	if _, err := s.Get(t.Context(), half); !errors.Is(err, pipeline.ErrNotFound) {
		t.Errorf("half a blob is there: %v", err)
	}
}

func testCanceled(t *testing.T, s Subject) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := s.Put(ctx, strings.NewReader("late")); !errors.Is(err, context.Canceled) {
		t.Errorf("Put with a canceled context: %v", err)
	}
	if _, err := s.Get(t.Context(), pipeline.SumBytes([]byte("late"))); !errors.Is(err, pipeline.ErrNotFound) {
		t.Errorf("a canceled Put stored something: %v", err)
	}
}

// putTree stores the tree {a: "alpha", sub/{b: "beta", a: "alpha"}}, whose
// files have 14 bytes.
func putTree(t *testing.T, s pipeline.Store) pipeline.Digest {
	t.Helper()
	alpha := pipeline.FileNode{Name: "a", Digest: put(t, s, "alpha"), Size: 5}
	beta := pipeline.FileNode{Name: "b", Digest: put(t, s, "beta"), Size: 4}
	sub := (&pipeline.Directory{Files: []pipeline.FileNode{alpha, beta}}).Encode()
	root := pipeline.Directory{
		Files: []pipeline.FileNode{alpha},
		Dirs:  []pipeline.DirNode{{Name: "sub", Digest: put(t, s, string(sub)), Size: int64(len(sub))}},
	}
	return put(t, s, string(root.Encode()))
}

func testResults(t *testing.T, s Subject) {
	empty := put(t, s, "")
	root := putTree(t, s)
	want := &pipeline.Result{
		Outputs: map[string]pipeline.Artifact{
			"model": {Type: pipeline.TypeModel, Root: root, Size: 14},
			"zéro":  {Type: pipeline.TypeFiles, Root: empty, Size: 0}, // the empty directory
		},
		Log:   put(t, s, "a line\n"),
		Usage: pipeline.Usage{Seconds: 1.25, CPUSeconds: 2.5, PeakMemory: 1 << 40},
	}
	k := pipeline.Key{1, 2, 3}
	record(t, s, k, want)
	lookup(t, s, k, want)
	if r, err := s.Lookup(t.Context(), k); err == nil {
		r.Outputs["model"] = pipeline.Artifact{}
		delete(r.Outputs, "zéro")
	}
	lookup(t, s, k, want)

	other := &pipeline.Result{Outputs: map[string]pipeline.Artifact{"model": {Type: "gguf", Root: root}}}
	record(t, s, k, other)
	other.Outputs["model"] = pipeline.Artifact{Type: "gguf", Root: root, Size: 14}
	lookup(t, s, k, other)
	record(t, s, pipeline.Key{9}, &pipeline.Result{})
	if r, err := s.Lookup(t.Context(), pipeline.Key{9}); err != nil || len(r.Outputs) != 0 {
		t.Errorf("result without outputs: %v, %v", r, err)
	}
}

func record(t *testing.T, s pipeline.Cache, k pipeline.Key, r *pipeline.Result) {
	t.Helper()
	if err := s.Record(t.Context(), k, r); err != nil {
		t.Fatal(err)
	}
}

func lookup(t *testing.T, s pipeline.Cache, k pipeline.Key, want *pipeline.Result) {
	t.Helper()
	got, err := s.Lookup(t.Context(), k)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("result is %+v\nwant %+v", got, want)
	}
}

func testIncomplete(t *testing.T, s Subject) {
	k := pipeline.Key{4}
	for _, r := range []*pipeline.Result{
		{Outputs: map[string]pipeline.Artifact{"out": {Type: "files", Root: pipeline.SumBytes([]byte("no"))}}},
		{Log: pipeline.SumBytes([]byte("no"))},
		{Outputs: map[string]pipeline.Artifact{"out": {Type: "files", Root: put(t, s, string((&pipeline.Directory{
			Files: []pipeline.FileNode{{Name: "f", Digest: pipeline.SumBytes([]byte("no")), Size: 2}},
		}).Encode()))}}},
		{Outputs: map[string]pipeline.Artifact{"out": {Type: "files", Root: put(t, s, string((&pipeline.Directory{
			Files: []pipeline.FileNode{{Name: "f", Digest: put(t, s, "three"), Size: 3}},
		}).Encode()))}}},
	} {
		if err := s.Record(t.Context(), k, r); err == nil {
			t.Errorf("recorded a result without its blobs: %+v", r)
		}
		if _, err := s.Lookup(t.Context(), k); !errors.Is(err, pipeline.ErrNotFound) {
			t.Errorf("Lookup: %v", err)
		}
	}
}

func testMalformed(t *testing.T, s Subject) {
	r := &pipeline.Result{Outputs: map[string]pipeline.Artifact{"out": {Type: "files", Root: put(t, s, "no directory")}}}
	if err := s.Record(t.Context(), pipeline.Key{5}, r); err == nil {
		t.Error("recorded an artifact that is no tree")
	}
}

func testDropped(t *testing.T, s Subject, drop func(pipeline.Digest)) {
	root := putTree(t, s)
	r := &pipeline.Result{
		Outputs: map[string]pipeline.Artifact{"out": {Type: "files", Root: root, Size: 14}},
		Log:     put(t, s, "log"),
	}
	for i, b := range []string{"beta", "alpha", "log", ""} {
		d := pipeline.SumBytes([]byte(b))
		if b == "" {
			d = root
		}
		k := pipeline.Key{6, byte(i)}
		record(t, s, k, r)
		lookup(t, s, k, r)
		drop(d)
		if _, err := s.Lookup(t.Context(), k); !errors.Is(err, pipeline.ErrNotFound) {
			t.Errorf("Lookup without blob %q: %v", b, err)
		}
		if _, err := s.Get(t.Context(), d); !errors.Is(err, pipeline.ErrNotFound) {
			t.Errorf("Get of dropped blob %q: %v", b, err)
		}
		putTree(t, s)
		put(t, s, "log")
		lookup(t, s, k, r)
	}
}

func testConcurrent(t *testing.T, s Subject) {
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for j := range 20 {
				b := fmt.Appendf(nil, "blob %d", (i+j)%10)
				d, _, err := s.Put(t.Context(), bytes.NewReader(b))
				if err != nil {
					t.Error(err)
					return
				}
				r, err := s.Get(t.Context(), d)
				if err != nil {
					t.Error(err)
					return
				}
				if got, err := io.ReadAll(r); err != nil || !bytes.Equal(got, b) {
					t.Errorf("got %q, %v", got, err)
				}
				r.Close()
				k := pipeline.Key{7, byte(j)}
				if err := s.Record(t.Context(), k, &pipeline.Result{Log: d}); err != nil {
					t.Error(err)
				}
				if _, err := s.Lookup(t.Context(), k); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
}
