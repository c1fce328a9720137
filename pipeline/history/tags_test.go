package history

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/pipe-run/pipe/pipeline"
)

func sampleTag(pipe, name string) *Tag {
	return &Tag{
		Name: name, Pipeline: pipe, Run: "r1", File: "/p.cue", Started: time.Unix(1e9, 0).UTC(), Status: Done, Version: "v1",
		Steps: map[string]TagStep{"after": {
			Kind: "evaluate", Key: pipeline.Key{1}, Outputs: map[string]pipeline.Digest{"metrics": {2}}, Metrics: map[string]float64{"loss": 1.5},
		}},
	}
}

func TestTags(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "tags")
	tags := OpenTags(dir)
	if _, err := tags.Get("p", "main"); !errors.Is(err, ErrNotFound) {
		t.Error(err)
	}
	if list, damaged, err := tags.List(); len(list)+len(damaged) > 0 || err != nil {
		t.Errorf("%v %v %v", list, damaged, err)
	}
	for _, tag := range []*Tag{sampleTag("p", "main"), sampleTag("p", "feature/x"), sampleTag("other", "main")} {
		if err := tags.Set(tag); err != nil {
			t.Fatal(err)
		}
	}
	moved := sampleTag("p", "main")
	moved.Run = "r2"
	if err := tags.Set(moved); err != nil {
		t.Fatal(err)
	}
	got, err := tags.Get("p", "main")
	if err != nil || !reflect.DeepEqual(got, moved) {
		t.Errorf("%+v, %v", got, err)
	}
	if other, err := tags.Get("other", "main"); err != nil || other.Run != "r1" {
		t.Errorf("%+v, %v", other, err)
	}
	if err := tags.Delete("p", "feature/x"); err != nil {
		t.Error(err)
	}
	if err := tags.Delete("p", "feature/x"); !errors.Is(err, ErrNotFound) {
		t.Error(err)
	}
	// A damaged tag is an error, not an absent one; the others are listed.
	if err := os.WriteFile(tags.path("other", "main"), []byte("{"), 0o666); err != nil {
		t.Fatal(err)
	}
	if _, err := tags.Get("other", "main"); err == nil || errors.Is(err, ErrNotFound) {
		t.Error(err)
	}
	list, damaged, err := tags.List()
	if len(list) != 1 || len(damaged) != 1 || err != nil {
		t.Errorf("%v %v %v", list, damaged, err)
	}
}

func TestTagNames(t *testing.T) {
	for name, good := range map[string]bool{
		"main": true, "feature/x-1": true, "v1.2": true, "production-v2": true, "mainmainmain": true,
		"": false, "last": false, "-x": false, "a b": false, "../x": false, "576yb3a7jvrq": false, strings.Repeat("a", 201): false,
	} {
		if err := CheckTagName(name); (err == nil) != good {
			t.Errorf("%q: %v", name, err)
		}
	}
}

// FuzzDecodeTag: what is accepted is written the same way again.
func FuzzDecodeTag(f *testing.F) {
	raw, err := EncodeTag(sampleTag("p", "main"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(raw)
	f.Add([]byte(`{"format":1,"steps":{"":{}}}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		tag, err := DecodeTag(raw)
		if err != nil {
			return
		}
		once, err := EncodeTag(tag)
		if err != nil {
			t.Fatal(err)
		}
		again, err := DecodeTag(once)
		if err != nil {
			t.Fatal(err)
		}
		if twice, err := EncodeTag(again); err != nil || !bytes.Equal(once, twice) {
			t.Errorf("%s becomes %s (%v)", once, twice, err)
		}
	})
}
