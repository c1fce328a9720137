package compile

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/pipe-run/pipe/pipeline"
)

// bigFile writes a pipeline of n steps, each of which waits for an earlier
// one, and returns its path.
func bigFile(t testing.TB, n int) string {
	var b strings.Builder
	b.WriteString("name: \"big\"\nsteps: {\n\tdata: {kind: \"fetch\", source: file: path: \"d\"}\n")
	for i := range n - 1 {
		from := "data.out.files"
		if i >= 10 {
			from = fmt.Sprintf("s%d.out.y", i-10)
		}
		fmt.Fprintf(&b, "\ts%d: {kind: \"exec\", command: [\"true\", \"%d\"], in: x: steps.%s, outputs: y: \"files\"}\n", i, i, from)
	}
	b.WriteString("}\n")
	path := filepath.Join(t.TempDir(), "big.cue")
	write(t, path, b.String())
	return path
}

func write(t testing.TB, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o666); err != nil {
		t.Fatal(err)
	}
}

// stored returns the only entry of a cache folder.
func stored(t *testing.T, dir string) string {
	t.Helper()
	entries, _ := filepath.Glob(filepath.Join(dir, "*.graph"))
	if len(entries) != 1 {
		t.Fatalf("%d entries, want 1", len(entries))
	}
	return entries[0]
}

const gated = `
name: "demo"
steps: {
	base: {kind: "fetch", as: "model", source: huggingface: {repo: "a/b", token: secret: "HF_TOKEN"}}
	t: {
		kind: "exec", in: m: steps.base.out.model, command: ["x"], outputs: metrics: "metrics"
		gate: {a: >=0.25 & <1, b: !=3}
		needs: [steps.base]
		timeout: "90s"
		resources: memory: "1.5GiB"
	}
}
`

// TestCachedIsFile holds a remembered graph against a compiled one.
func TestCachedIsFile(t *testing.T) {
	dir, cache := t.TempDir(), t.TempDir()
	file := filepath.Join(dir, "p.cue")
	write(t, file, gated)
	want, err := File(context.Background(), file, Options{})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		got, err := Cached(context.Background(), cache, file, Options{})
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(got, want) {
			t.Fatalf("got %+v\nwant %+v", got, want)
		}
		if lookupGraph(stored(t, cache), executable()) == nil {
			t.Fatal("not remembered")
		}
	}
}

// TestCachedForgets changes, one after the other, everything that a graph is
// made from.
func TestCachedForgets(t *testing.T) {
	dir, cache := t.TempDir(), t.TempDir()
	file := filepath.Join(dir, "p.cue")
	write(t, filepath.Join(dir, "cue.mod", "module.cue"), "module: \"example.com/bot@v0\"\nlanguage: version: \"v0.12.0\"\n")
	write(t, filepath.Join(dir, "recipe", "a.cue"), "package recipe\n\n#Path: \"one\"\n")
	write(t, file, "import \"example.com/bot/recipe\"\n\nname: \"demo\"\nsteps: a: {kind: \"fetch\", source: file: path: recipe.#Path}\n")
	hit := func() bool {
		t.Helper()
		if _, err := Cached(context.Background(), cache, file, Options{}); err != nil {
			t.Fatal(err)
		}
		return lookupGraph(stored(t, cache), executable()) != nil
	}
	if !hit() {
		t.Fatal("not remembered")
	}
	for name, change := range map[string]func(){
		"the file":   func() { write(t, file, read1(t, file)+"\n// more\n") },
		"a package":  func() { write(t, filepath.Join(dir, "recipe", "a.cue"), "package recipe\n\n#Path: \"two\"\n") },
		"a new file": func() { write(t, filepath.Join(dir, "recipe", "b.cue"), "package recipe\n\n#Path: string\n") },
		"the module file": func() {
			write(t, filepath.Join(dir, "cue.mod", "module.cue"), "module: \"example.com/bot@v0\"\nlanguage: version: \"v0.13.0\"\n")
		},
		"a bit of it": func() {
			b := []byte(read1(t, stored(t, cache)))
			b[len(b)-9] ^= 4
			write(t, stored(t, cache), string(b))
		},
	} {
		change()
		if lookupGraph(stored(t, cache), executable()) != nil {
			t.Errorf("a change of %s goes unnoticed", name)
		}
		if !hit() {
			t.Errorf("not remembered after a change of %s", name)
		}
	}
	if lookupGraph(stored(t, cache), "another program") != nil {
		t.Error("another program reads the entry")
	}
	other, err := entryPath(cache, file, Options{Tags: []string{"a=b"}})
	if err != nil || other == stored(t, cache) {
		t.Error("tags do not count")
	}
}

func read1(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// TestDecodeHostile cuts and flips an encoded graph: an error or some graph,
// never a panic.
func TestDecodeHostile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "p.cue")
	write(t, file, gated)
	g, err := File(context.Background(), file, Options{})
	if err != nil {
		t.Fatal(err)
	}
	b := encodeGraph(g)
	for i := range b {
		if _, err := decodeGraph(b[:i:i]); err == nil {
			t.Fatalf("the first %d of %d bytes are a graph", i, len(b))
		}
	}
	rnd := rand.New(rand.NewPCG(1, 2))
	for range 5000 {
		c := append([]byte(nil), b...)
		for range 1 + rnd.IntN(4) {
			c[rnd.IntN(len(c))] = byte(rnd.Uint32())
		}
		decodeGraph(c)
	}
}

func BenchmarkCached(b *testing.B) {
	for _, n := range []int{1000, 10000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			file, cache := bigFile(b, n), b.TempDir()
			start := time.Now()
			if _, err := Cached(context.Background(), cache, file, Options{}); err != nil {
				b.Fatal(err)
			}
			b.ReportMetric(time.Since(start).Seconds(), "s/compile")
			for b.Loop() {
				var g *pipeline.Graph
				var err error
				if g, err = Cached(context.Background(), cache, file, Options{}); err != nil || len(g.Nodes) != n {
					b.Fatal(err)
				}
			}
		})
	}
}
