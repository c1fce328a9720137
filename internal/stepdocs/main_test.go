package main

import (
	"io/fs"
	"os"
	"strings"
	"testing"

	"github.com/pipe-run/pipe/schemas"
)

// TestUpToDate fails when docs/steps.md is not what go generate writes.
func TestUpToDate(t *testing.T) {
	want, err := render()
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile("../../docs/steps.md")
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != string(want) {
		t.Error("docs/steps.md is out of date: run go generate ./schemas")
	}
}

// TestEveryKind fails when a schema has no section.
func TestEveryKind(t *testing.T) {
	files, err := fs.Glob(schemas.FS, "*.cue")
	if err != nil {
		t.Fatal(err)
	}
	have := map[string]bool{}
	for _, s := range sections {
		have[s.file+".cue"] = true
	}
	for _, f := range files {
		if !have[f] {
			t.Errorf("schemas/%s has no section in docs/steps.md", strings.TrimSpace(f))
		}
	}
}
