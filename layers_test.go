package pipe

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"maps"
	"os/exec"
	"reflect"
	"slices"
	"strings"
	"testing"

	"cuelang.org/go/cue/ast"
	"cuelang.org/go/cue/parser"
	"cuelang.org/go/cue/token"

	"github.com/pipe-run/pipe/schemas"
	"github.com/pipe-run/pipe/steps"
)

const module = "github.com/pipe-run/pipe/"

// owners says which packages may import each large dependency, tests aside.
var owners = map[string][]string{
	"cuelang.org/go":                      {"pipeline/compile", "pipeline/modules"},
	"cuelabs.dev/go/oci":                  {"pipeline/modules"},
	"github.com/opencontainers":           {"pipeline/modules"},
	"github.com/dominikbraun/graph":       {"pipeline/compile"},
	"github.com/spf13/cobra":              {"cmd/pipe/internal/cli"},
	"github.com/vbauerster/mpb":           {"cmd/pipe/internal/view"},
	"github.com/apache/arrow":             {"steps/internal/dataset"},
	"gorgonia.org":                        {"steps/internal/autograd"},
	"github.com/chewxy/hm":                {"steps/internal/autograd"},
	"go4.org/unsafe/assume-no-moving-gc":  {"steps/internal/autograd"},
	"github.com/nikolalohinski/gonja":     {"steps/internal/chat"},
	"modernc.org/sqlite":                  {"pipeline/history"},
	"github.com/landlock-lsm/go-landlock": {"pipeline/run"},
	"github.com/bazelbuild/remote-apis":   {},
	"google.golang.org/grpc":              {},
	"github.com/rogpeppe/go-internal":     {"pipeline/modules"}, // locks as CUE's module cache has them
}

// TestLayers keeps the import rules of ARCHITECTURE.md. The compiler keeps
// the rest: steps/internal is out of reach for everything outside steps.
func TestLayers(t *testing.T) {
	out, err := exec.Command("go", "list", "-json=ImportPath,Imports", "./...").Output()
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	for dec := json.NewDecoder(strings.NewReader(string(out))); dec.More(); {
		var p struct {
			ImportPath string
			Imports    []string
		}
		if err := dec.Decode(&p); err != nil {
			t.Fatal(err)
		}
		seen++
		pkg := strings.TrimPrefix(p.ImportPath, module)
		for _, imp := range p.Imports {
			if why := forbidden(pkg, imp); why != "" {
				t.Errorf("%s imports %s: %s", pkg, imp, why)
			}
		}
	}
	if seen < 10 {
		t.Fatalf("go list found only %d packages", seen)
	}
}

// forbidden says why pkg may not import imp, or "".
func forbidden(pkg, imp string) string {
	own, isOwn := strings.CutPrefix(imp, module)
	isStep := strings.HasPrefix(pkg, "steps/")
	switch {
	case pkg == "pipeline" && strings.Contains(strings.Split(imp, "/")[0], "."):
		return "the vocabulary imports only the standard library"
	case strings.HasPrefix(pkg, "pipeline/") && isOwn && strings.HasPrefix(own, "steps"):
		return "the engine knows no step"
	case strings.HasPrefix(pkg, "pipeline") && isOwn && strings.HasPrefix(own, "cmd"):
		return "imports go only downwards"
	case isStep && isOwn && (strings.HasPrefix(own, "pipeline/") || strings.HasPrefix(own, "cmd")):
		return "a step knows only the vocabulary"
	case isStep && isOwn && siblings(pkg, own):
		return "steps do not import each other"
	}
	for dep, only := range owners {
		if (imp == dep || strings.HasPrefix(imp, dep+"/")) && !owned(pkg, only) {
			return "only " + strings.Join(only, ", ") + " may"
		}
	}
	return ""
}

func owned(pkg string, only []string) bool {
	return slices.ContainsFunc(only, func(o string) bool { return pkg == o || strings.HasPrefix(pkg, o+"/") })
}

// siblings reports whether both are steps, and not the same one.
func siblings(pkg, own string) bool {
	step := func(p string) string {
		parts := strings.Split(p, "/")
		if len(parts) < 2 || parts[0] != "steps" || parts[1] == "internal" || parts[1] == "steptest" {
			return ""
		}
		return parts[1]
	}
	a, b := step(pkg), step(own)
	return a != "" && b != "" && a != b
}

// TestForbidden shows that the rules bite.
func TestForbidden(t *testing.T) {
	for _, c := range [][2]string{
		{"pipeline", "golang.org/x/sys/unix"},
		{"pipeline/run", module + "steps"},
		{"steps/train", module + "pipeline/store/disk"},
		{"steps/train", module + "steps/fetch"},
		{"steps/train", "gorgonia.org/gorgonia"},
		{"cmd/pipe/internal/view", "github.com/spf13/cobra"},
	} {
		if forbidden(c[0], c[1]) == "" {
			t.Errorf("%s may import %s", c[0], c[1])
		}
	}
	for _, c := range [][2]string{
		{"pipeline", "encoding/json"},
		{"steps/train", module + "pipeline"},
		{"steps/train", module + "steps/internal/autograd"},
		{"steps/internal/autograd", "gorgonia.org/gorgonia"},
	} {
		if why := forbidden(c[0], c[1]); why != "" {
			t.Errorf("%s may not import %s: %s", c[0], c[1], why)
		}
	}
}

// TestSchemasAgree: the fields of a kind's schema, but for those that the
// compiler cuts out, are those of the struct its parameters are decoded into.
func TestSchemasAgree(t *testing.T) {
	defs, kinds := definitions(t)
	for _, name := range slices.Sorted(maps.Keys(steps.All())) {
		schema := kinds[name]
		if schema == nil {
			t.Errorf("no schema says #Kind: %s", name)
			continue
		}
		for _, complaint := range disagreements(defs, schema, steps.All()[name].Params) {
			t.Errorf("kind %s: %s", name, complaint)
		}
	}
}

// definitions parses the schemas: what #Name stands for, and #Kind's fields.
func definitions(t *testing.T) (defs, kinds map[string]ast.Expr) {
	t.Helper()
	defs, kinds = map[string]ast.Expr{}, map[string]ast.Expr{}
	files, err := fs.Glob(schemas.FS, "*.cue")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range files {
		src, err := schemas.FS.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		file, err := parser.ParseFile(name, src)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range fieldsOf(file.Decls) {
			if label(f) == "#Kind" {
				for _, kind := range fieldsOf(f.Value.(*ast.StructLit).Elts) {
					kinds[label(kind)] = kind.Value
				}
				continue
			}
			defs[label(f)] = f.Value
		}
	}
	return defs, kinds
}

func fieldsOf(decls []ast.Decl) (fields []*ast.Field) {
	for _, d := range decls {
		if f, ok := d.(*ast.Field); ok {
			fields = append(fields, f)
		}
	}
	return fields
}

// label is a field's name, or "*" for a pattern.
func label(f *ast.Field) string {
	name, _, err := ast.LabelName(f.Label)
	if err != nil {
		return "*"
	}
	return name
}

// disagreements compares the dotted names of fields, where a struct that reads
// its own JSON, and a map of scalars, stand for all that is below them.
func disagreements(defs map[string]ast.Expr, schema ast.Expr, params reflect.Type) (all []string) {
	if params == nil {
		return []string{"it has no Params"}
	}
	said, whole := map[string]bool{}, []string{}
	structFields(params, "", func(path string, opaque bool) {
		said[path] = true
		if opaque {
			whole = append(whole, path+".")
		}
	})
	wanted := map[string]bool{}
	schemaFields(defs, schema, "", func(path string) {
		top, _, _ := strings.Cut(path, ".")
		within := func(prefix string) bool { return strings.HasPrefix(path, prefix) }
		if !slices.Contains(ofCompiler, top) && !slices.ContainsFunc(whole, within) {
			wanted[path] = true
		}
	})
	for _, path := range slices.Sorted(maps.Keys(wanted)) {
		if !said[path] {
			all = append(all, fmt.Sprintf("the schema has %s, %s has not", path, params))
		}
	}
	for _, path := range slices.Sorted(maps.Keys(said)) {
		if !wanted[path] {
			all = append(all, fmt.Sprintf("%s has %s, the schema has not", params, path))
		}
	}
	return all
}

// ofCompiler are the fields that never reach a step.
var ofCompiler = []string{"_name", "kind", "in", "out", "needs", "gate", "timeout", "resources"}

// schemaFields calls visit with the dotted name of every field that a value of
// the schema may have, under any condition and in any disjunct.
func schemaFields(defs map[string]ast.Expr, e ast.Expr, path string, visit func(string)) {
	below := func(e ast.Expr) { schemaFields(defs, e, path, visit) }
	switch e := e.(type) {
	case *ast.StructLit:
		for _, d := range e.Elts {
			switch d := d.(type) {
			case *ast.Field:
				name := strings.TrimPrefix(path+"."+label(d), ".")
				if label(d) != "*" {
					visit(name)
				}
				schemaFields(defs, d.Value, name, visit)
			case *ast.EmbedDecl:
				below(d.Expr)
			case *ast.Comprehension:
				below(d.Value)
			}
		}
	case *ast.ListLit:
		for _, x := range e.Elts {
			below(x)
		}
	case *ast.BinaryExpr:
		if e.Op == token.OR || e.Op == token.AND {
			below(e.X)
			below(e.Y)
		}
	case *ast.UnaryExpr:
		if e.Op == token.MUL {
			below(e.X)
		}
	case *ast.ParenExpr:
		below(e.X)
	case *ast.Ident:
		if def := defs[e.Name]; def != nil {
			below(def)
		}
	}
}

// structFields calls visit with the dotted JSON name of every field of a
// struct, and whether anything may be below it.
func structFields(typ reflect.Type, path string, visit func(path string, opaque bool)) {
	for i := range typ.NumField() {
		f := typ.Field(i)
		tag, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if tag == "" || tag == "-" {
			tag = "(untagged " + f.Name + ")"
		}
		name, inner, isMap := strings.TrimPrefix(path+"."+tag, "."), f.Type, false
		for !readsJSON(inner) && slices.Contains([]reflect.Kind{reflect.Pointer, reflect.Slice, reflect.Map}, inner.Kind()) {
			isMap = isMap || inner.Kind() == reflect.Map
			inner = inner.Elem()
		}
		plain := inner.Kind() == reflect.Struct && !readsJSON(inner)
		visit(name, readsJSON(inner) || isMap && !plain)
		if isMap {
			name += ".*"
		}
		if plain {
			structFields(inner, name, visit)
		}
	}
}

func readsJSON(typ reflect.Type) bool {
	return reflect.PointerTo(typ).Implements(reflect.TypeFor[json.Unmarshaler]())
}

// TestDisagreements shows that a forgotten field is found on either side.
func TestDisagreements(t *testing.T) {
	type inner struct {
		A int `json:"a"`
	}
	type params struct {
		Same    string           `json:"same"`
		Names   map[string]inner `json:"names"`
		One     *inner           `json:"one"`
		Extra   bool             `json:"extra"`
		Columns map[string]string
	}
	schema, err := parser.ParseExpr("", `{
		#Step
		kind: "x"
		same: int | *{never: 1}[kind]
		names: [string]: {a: 1}
		if same == 1 {one?: {a: 1} | {b: 2}}
		forgotten?: #Def @nokey()
	}`)
	if err != nil {
		t.Fatal(err)
	}
	def, err := parser.ParseExpr("", `{deep: {er: 1}}`)
	if err != nil {
		t.Fatal(err)
	}
	got := disagreements(map[string]ast.Expr{"#Def": def}, schema, reflect.TypeFor[params]())
	const has, lacks = "the schema has %s, pipe.params has not", "pipe.params has %s, the schema has not"
	want := []string{
		fmt.Sprintf(has, "forgotten"), fmt.Sprintf(has, "forgotten.deep"), fmt.Sprintf(has, "forgotten.deep.er"),
		fmt.Sprintf(has, "one.b"), fmt.Sprintf(lacks, "(untagged Columns)"), fmt.Sprintf(lacks, "extra"),
	}
	if !slices.Equal(got, want) {
		t.Errorf("%q\nwant %q", got, want)
	}
}
