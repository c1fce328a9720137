package steps_test

import (
	"io/fs"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/pipe-run/pipe/schemas"
	"github.com/pipe-run/pipe/steps"
)

// A place is where a kind must be found, and the names found there.
type place struct {
	what  string
	names []string
}

// missing says which place lacks which kind that another has.
func missing(places []place) (all []string) {
	kinds := map[string]bool{}
	for _, p := range places {
		for _, name := range p.names {
			kinds[name] = true
		}
	}
	for _, kind := range slices.Sorted(maps.Keys(kinds)) {
		for _, p := range places {
			if !slices.Contains(p.names, kind) {
				all = append(all, kind+": no "+p.what)
			}
		}
	}
	return all
}

// TestEveryKindIsComplete: a kind is a folder, a schema, a line in steps.go
// and a place in the documentation; a new one that lacks some is told which.
func TestEveryKindIsComplete(t *testing.T) {
	for _, what := range missing([]place{
		{"line in steps/steps.go", slices.Sorted(maps.Keys(steps.All()))},
		{"folder steps/KIND that defines it", folders(t)},
		{"schemas/KIND.cue", schemaFiles(t)},
		{"row in the table of README.md", matches(t, "../README.md", "(?m)^\\| `([a-z]+)` \\|")},
		{"section in docs/steps.md: add it to internal/stepdocs and run go generate", matches(t, "../docs/steps.md", `(?m)^## ([a-z]+)$`)},
	}) {
		t.Error(what)
	}
}

// TestForecastsSayGarbage: what a process may gather of garbage is part of its
// peak, so a kind that foretells its peak says how much it counts on.
func TestForecastsSayGarbage(t *testing.T) {
	for name, kind := range steps.All() {
		if (kind.Estimate != nil) != (kind.Garbage > 0) {
			t.Errorf("%s: estimates: %t, Garbage: %d", name, kind.Estimate != nil, kind.Garbage)
		}
	}
}

// folders are those that define a kind; the others are doors for cmd/pipe.
func folders(t *testing.T) (names []string) {
	t.Helper()
	dirs, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	for _, dir := range dirs {
		files, err := fs.Glob(os.DirFS("."), dir.Name()+"/*.go")
		if err != nil {
			t.Fatal(err)
		}
		if slices.ContainsFunc(files, func(f string) bool { return len(matches(t, f, `(?m)^(var Kind) = `)) > 0 }) {
			names = append(names, dir.Name())
		}
	}
	return names
}

// schemaFiles are those that add a kind of their own name; the others hold
// what kinds share.
func schemaFiles(t *testing.T) (names []string) {
	t.Helper()
	files, err := fs.Glob(schemas.FS, "*.cue")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		name := strings.TrimSuffix(f, ".cue")
		if slices.Contains(matches(t, "../schemas/"+f, `(?m)^#Kind: ([a-z]+):`), name) {
			names = append(names, name)
		}
	}
	return names
}

// matches returns the first group of every match in a file.
func matches(t *testing.T, file, pattern string) (all []string) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile(pattern).FindAllSubmatch(text, -1) {
		all = append(all, string(m[1]))
	}
	return all
}

func TestKindsAreNamedAsRegistered(t *testing.T) {
	for name, kind := range steps.All() {
		if kind.Name != name || kind.Version < 1 || kind.New == nil || kind.Params == nil {
			t.Errorf("%s: %+v", name, kind)
		}
	}
}

func TestMissing(t *testing.T) {
	got := missing([]place{{"line", []string{"fetch", "train"}}, {"schema", []string{"train"}}, {"folder", []string{"export", "fetch", "train"}}})
	want := []string{"export: no line", "export: no schema", "fetch: no schema"}
	if !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}
