package compile

import (
	"context"
	"encoding/json"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"cuelang.org/go/cue/cuecontext"

	"github.com/pipe-run/pipe/pipeline"
)

// compileFiles writes files into a new folder, goes there and compiles the
// pipeline p.cue.
func compileFiles(t *testing.T, opts Options, files map[string]string) *pipeline.Graph {
	t.Helper()
	t.Chdir(t.TempDir())
	for name, text := range files {
		write(t, name, text)
	}
	g, err := File(context.Background(), "p.cue", opts)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func names1(g *pipeline.Graph) []string {
	var all []string
	for _, n := range g.Nodes {
		all = append(all, n.Name)
	}
	return all
}

const finetune = `
name: "support-bot"
steps: {
	base: {kind: "fetch", as: "model", source: huggingface: {repo: "a/b", revision: "main", token: secret: "HF_TOKEN"}, retries: 7}
	faq: {kind: "fetch", source: file: path: "data/faq.jsonl"}
	chat: {kind: "convert", in: files: steps.faq.out.files, format: "alpaca", split: test: 0.1}
	tokens: {kind: "tokenize", in: {records: steps.chat.out.train, model: steps.base.out.model}, maxLength: 1024}
	lora: {kind: "train", in: {model: steps.base.out.model, tokens: steps.tokens.out.tokens}, epochs: 3, lora: {rank: 16}}
	after: {
		kind: "evaluate", in: {model: steps.base.out.model, adapter: steps.lora.out.adapter, records: steps.chat.out.test}
		gate: {perplexity: <20, exactMatch: >=0.5 & <=1, loss: !=3}
	}
	merged: {
		kind: "merge", in: {model: steps.base.out.model, adapter: steps.lora.out.adapter}
		needs: [steps.after]
		timeout: "1h30m", resources: memory: "1.5GiB"
	}
}
`

func TestFile(t *testing.T) {
	g := compileFiles(t, Options{}, map[string]string{"p.cue": finetune})
	if want := []string{"base", "faq", "chat", "tokens", "lora", "after", "merged"}; !slices.Equal(names1(g), want) {
		t.Errorf("order is %v, want %v", names1(g), want)
	}
	if g.Name != "support-bot" || g.File != "p.cue" {
		t.Errorf("name %q, file %q", g.Name, g.File)
	}
	base := g.Node("base")
	if s := string(base.Params); s != `{"as":"model","source":{"huggingface":{"repo":"a/b","type":"model"}}}` {
		t.Errorf("base.Params is %s", s)
	}
	if !slices.Equal(base.Secrets, []string{"HF_TOKEN"}) || base.Limits.Retries != 7 {
		t.Errorf("base has secrets %v, limits %+v", base.Secrets, base.Limits)
	}
	abs, err := filepath.Abs("data/faq.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	quoted, _ := json.Marshal(abs)
	if s := string(g.Node("faq").Full); !strings.Contains(s, `"path":`+string(quoted)) {
		t.Errorf("faq.Full is %s, without %s", s, quoted)
	}
	lora := g.Node("lora")
	if want := map[string]pipeline.Ref{"model": {Step: "base", Output: "model"}, "tokens": {Step: "tokens", Output: "tokens"}}; !reflect.DeepEqual(lora.Inputs, want) {
		t.Errorf("lora.Inputs is %v", lora.Inputs)
	}
	if p := lora.At("lora.rank"); p != (pipeline.Pos{File: "p.cue", Line: 8, Col: 116}) {
		t.Errorf("lora.rank stands at %v", p)
	}
	if lora.Pos != (pipeline.Pos{File: "p.cue", Line: 8, Col: 2}) {
		t.Errorf("lora stands at %v", lora.Pos)
	}
	merged := g.Node("merged")
	if merged.Limits.Timeout != 90*time.Minute || merged.Limits.Memory != 3<<29 || !slices.Equal(merged.Needs, []string{"after"}) {
		t.Errorf("merged has limits %+v, needs %v", merged.Limits, merged.Needs)
	}
	var gate []string
	for _, b := range g.Node("after").Gate {
		v, _ := json.Marshal(b.Value)
		gate = append(gate, b.Metric+b.Op+string(v))
		if b.Pos.Line != 11 {
			t.Errorf("bound %v stands at %v", b, b.Pos)
		}
	}
	if want := []string{"exactMatch>=0.5", "exactMatch<=1", "loss!=3", "perplexity<20"}; !slices.Equal(slices.Sorted(slices.Values(gate)), slices.Sorted(slices.Values(want))) {
		t.Errorf("gate is %v, want %v", gate, want)
	}
}

// TestSweep compiles steps that a comprehension makes.
func TestSweep(t *testing.T) {
	g := compileFiles(t, Options{Tags: []string{"ranks=2"}}, map[string]string{"p.cue": `
import "list"

name: "sweep"
_ranks: list.Range(0, _n, 1)
_n: int | *1 @tag(ranks,type=int)
steps: {
	m: {kind: "fetch", as: "model", source: file: path: "m"}
	d: {kind: "fetch", source: file: path: "d"}
	for r in _ranks {
		"t\(r)": {
			kind: "exec", command: ["x", "\(r)"], in: d: steps.d.out.files, outputs: y: "files"
			needs: [steps.m, if r > 0 {steps["t\(r-1)"]}]
		}
	}
	all: {kind: "exec", command: ["x"], in: {for r in _ranks {"t\(r)": steps["t\(r)"].out.y}}, outputs: y: "files"}
}
`})
	if want := []string{"d", "m", "t0", "t1", "all"}; !slices.Equal(names1(g), want) {
		t.Errorf("order is %v, want %v", names1(g), want)
	}
	t1 := g.Node("t1")
	if !slices.Equal(t1.Needs, []string{"m", "t0"}) {
		t.Errorf("t1 needs %v", t1.Needs)
	}
	if p := t1.At("command"); p.Line != 12 {
		t.Errorf("command of t1 stands at %v", p)
	}
	if p := t1.Pos; p.Line != 11 {
		t.Errorf("t1 stands at %v", p)
	}
	if len(g.Node("all").Inputs) != 2 {
		t.Errorf("all has inputs %v", g.Node("all").Inputs)
	}
}

// TestTagDefault wants the default of a tagged field to be its value, also
// where the schema has another default.
func TestTagDefault(t *testing.T) {
	files := map[string]string{"p.cue": `
name: "demo"
_rank: int | *16 @tag(rank,type=int)
steps: {
	m: {kind: "fetch", as: "model", source: file: path: "m"}
	r: {kind: "fetch", source: file: path: "d"}
	c: {kind: "convert", in: files: steps.r.out.files, format: "text"}
	t: {kind: "tokenize", in: {records: steps.c.out.records, model: steps.m.out.model}, maxLength: _rank}
	u: {kind: "tokenize", in: {records: steps.c.out.records, model: steps.m.out.model}, maxLength: *32 | int @tag(len,type=int)}
}
`}
	for _, c := range []struct {
		tags []string
		t, u string
	}{{nil, "16", "32"}, {[]string{"rank=4"}, "4", "32"}, {[]string{"len=5", "rank=4"}, "4", "5"}} {
		g := compileFiles(t, Options{Tags: c.tags}, files)
		for step, want := range map[string]string{"t": c.t, "u": c.u} {
			if s := string(g.Node(step).Params); !strings.Contains(s, `"maxLength":`+want+`,`) {
				t.Errorf("-t %v: %s is %s, want maxLength %s", c.tags, step, s, want)
			}
		}
	}
}

// TestImports compiles a file that takes steps from a package of its module,
// which imports the schema; paths count from the file that writes them.
func TestImports(t *testing.T) {
	files := map[string]string{
		"cue.mod/module.cue": "module: \"example.com/bot@v0\"\nlanguage: version: \"v0.12.0\"\n",
		"recipe/recipe.cue": `package recipe

import "github.com/pipe-run/pipe/schemas"

#Fetch: {
	prefix: string
	path:   string
	steps: schemas.#Pipeline.steps
	steps: {
		"\(prefix)own": {kind: "fetch", source: file: path: "own.jsonl"}
		"\(prefix)given": {kind: "fetch", source: file: "path": path}
	}
}
`,
		"p.cue": `package bot

import "example.com/bot/recipe"

name: "demo"
_a: recipe.#Fetch & {prefix: "a-", path: "x.jsonl"}
_b: recipe.#Fetch & {prefix: "b-", path: "y.jsonl"}
steps: _a.steps & _b.steps
`,
	}
	g := compileFiles(t, Options{}, files)
	if want := []string{"a-given", "a-own", "b-given", "b-own"}; !slices.Equal(names1(g), want) {
		t.Fatalf("steps are %v, want %v", names1(g), want)
	}
	for step, want := range map[string]string{"a-own": "recipe/own.jsonl", "a-given": "x.jsonl"} {
		abs, _ := filepath.Abs(want)
		if s := string(g.Node(step).Full); !strings.Contains(s, `"`+abs+`"`) {
			t.Errorf("%s is %s, want path %s", step, s, abs)
		}
	}
	if p := g.Node("a-own").At("source.file.path"); p.File != "p.cue" || p.Line != 6 || p.Template != filepath.Join("recipe", "recipe.cue")+":10:55" {
		t.Errorf("the path of a-own stands at %v", p)
	}
	sources, err := Sources(context.Background(), "p.cue", Options{})
	if err != nil || len(sources) != 3 {
		t.Errorf("sources are %v (%v)", sources, err)
	}
}

// TestSchemaWithoutModule imports the schema from a file that is in no module.
func TestSchemaWithoutModule(t *testing.T) {
	g := compileFiles(t, Options{}, map[string]string{"p.cue": `
import "github.com/pipe-run/pipe/schemas"

schemas.#Pipeline
name: "demo"
steps: a: {kind: "fetch", source: file: path: "x"}
`})
	if len(g.Nodes) != 1 {
		t.Errorf("%d nodes", len(g.Nodes))
	}
}

// TestParams fills every parameter of every kind, as far as values can be
// guessed from the schema, and compares the key's with the full ones.
func TestParams(t *testing.T) {
	lang, err := builtin()
	if err != nil {
		t.Fatal(err)
	}
	var nokey, rest int
	for kind, sh := range lang.kinds {
		for _, f := range sh.sorted() {
			if special[f.name] {
				continue
			}
			checkField(t, kind, f, &nokey, &rest)
		}
	}
	if nokey < 8 || rest < 20 {
		t.Errorf("%d fields marked @nokey() and %d others: too few to be the schema", nokey, rest)
	}
}

// special are the fields of every step that are no parameters.
var special = map[string]bool{"kind": true, "in": true, "out": true, "needs": true, "gate": true, "timeout": true, "resources": true}

// checkField exports a value with every field below f and checks that the
// key holds exactly what is not marked.
func checkField(t *testing.T, name string, f *field, nokey, rest *int) {
	t.Helper()
	if f.one && len(f.shape.fields) > 1 {
		for _, sub := range f.shape.sorted() {
			alone := *f
			alone.shape = &shape{fields: map[string]*field{sub.name: sub}, order: []*field{sub}}
			checkField(t, name, &alone, nokey, rest)
		}
		return
	}
	c := newCompiler(&source{name: "p.cue", dir: "/folder"}, nil)
	ctx := cuecontext.New()
	v := ctx.CompileString(sample(f, 0))
	o := newObject()
	if err := c.export(o, f.name, v, f); err != nil {
		t.Errorf("%s.%s: %v in %v", name, f.name, err, v)
		return
	}
	var full, key any
	if json.Unmarshal(o.full.close(), &full) != nil || json.Unmarshal(o.key.close(), &key) != nil {
		t.Fatalf("%s.%s: no JSON", name, f.name)
	}
	compareKey(t, name, &field{shape: &shape{fields: map[string]*field{f.name: f}}}, full, key, nokey, rest)
}

// sample returns CUE text with a value for f and all that it can hold.
func sample(f *field, depth int) string {
	switch {
	case f.shape != nil && depth < 5 && !f.path:
		var b strings.Builder
		for _, sub := range f.shape.sorted() {
			b.WriteString(sub.name + ": " + sample(sub, depth+1) + "\n")
		}
		if f.shape.each != nil {
			b.WriteString("some: " + sample(f.shape.each, depth+1) + "\n")
		}
		return "{" + b.String() + "}"
	case f.elem != nil:
		return "[" + sample(f.elem, depth+1) + "]"
	}
	return `"x"`
}

// compareKey walks full and key together.
func compareKey(t *testing.T, path string, f *field, full, key any, nokey, rest *int) {
	t.Helper()
	fm, ok := full.(map[string]any)
	if !ok || f.shape == nil {
		if !f.path && !reflect.DeepEqual(full, key) {
			t.Errorf("%s is %v in the key, %v in full", path, key, full)
		}
		return
	}
	km, _ := key.(map[string]any)
	for name, v := range fm {
		sub := f.shape.at(name)
		kv, has := km[name]
		switch {
		case sub.nokey && has:
			t.Errorf("%s.%s is marked @nokey() but in the key", path, name)
		case sub.nokey:
			*nokey++
		case !has:
			t.Errorf("%s.%s is not marked but missing from the key", path, name)
		default:
			*rest++
			compareKey(t, path+"."+name, sub, v, kv, nokey, rest)
		}
	}
	for name := range km {
		if _, ok := fm[name]; !ok {
			t.Errorf("%s.%s is only in the key", path, name)
		}
	}
}
