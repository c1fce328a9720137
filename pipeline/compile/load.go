package compile

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"cuelang.org/go/cue"
	"cuelang.org/go/cue/ast"
	"cuelang.org/go/cue/build"
	"cuelang.org/go/cue/cuecontext"
	"cuelang.org/go/cue/parser"
	"cuelang.org/go/cue/token"

	"github.com/pipe-run/pipe/pipeline"
	"github.com/pipe-run/pipe/pipeline/modules"
	"github.com/pipe-run/pipe/schemas"
)

// A source is a pipeline file, parsed and ready to be evaluated.
type source struct {
	name string // as the user named it
	abs  string
	dir  string // of abs
	src  []byte
	file *ast.File

	imports bool                       // the file imports packages that are not CUE's own
	deps    map[string]pipeline.Digest // other files whose bytes count, by absolute path
	params  map[token.Pos]string       // which parameter of a template stands where
}

// read reads and parses a pipeline file. Its errors are Problems, or what
// reading the file said.
func read(path string) (*source, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	s := &source{name: path, abs: abs, dir: filepath.Dir(abs), deps: map[string]pipeline.Digest{}, params: map[token.Pos]string{}}
	if s.src, err = os.ReadFile(path); err != nil {
		return nil, missingFile(path, err)
	}
	f, err := parser.ParseFile(path, s.src, parser.ParseComments)
	if err != nil {
		return nil, s.syntaxProblems(err)
	}
	s.file = f
	for spec := range f.ImportSpecs() {
		if p, err := strconv.Unquote(spec.Path.Value); err == nil && isModulePath(p) {
			s.imports = true
		}
	}
	return s, nil
}

func missingFile(path string, err error) error {
	p := &pipeline.Problem{Pos: pipeline.Pos{File: path}}
	switch {
	case os.IsNotExist(err):
		p.Message = "no such file"
	case os.IsPermission(err):
		p.Message = "the file may not be read: permission denied"
	default:
		p.Message = "the file cannot be read: " + underlying(err)
		if st, serr := os.Stat(path); serr == nil && st.IsDir() {
			p.Message = "this is a folder, not a pipeline file"
		}
	}
	return pipeline.Problems{p}
}

// underlying returns the part of a file error that does not name the file.
func underlying(err error) string {
	if e, ok := err.(*os.PathError); ok {
		return e.Err.Error()
	}
	return err.Error()
}

// isModulePath reports whether an import path belongs to a module rather than
// to CUE's standard library.
func isModulePath(p string) bool {
	first, _, _ := strings.Cut(p, "/")
	return strings.Contains(first, ".")
}

// A world is an evaluation of the user's file, unified with #Pipeline.
type world struct {
	ctx     *cue.Context
	modules *modules.Registry
	root    cue.Value
	inst    *build.Instance
	hidName cue.Selector // _name, as the schema's package hides it
}

// build evaluates s; compile errors are left in world.inst.Err.
func (s *source) build(ctx context.Context, lang *language, opts Options) (*world, error) {
	s.embedSchema()
	w := &world{ctx: cuecontext.New(), modules: modules.New(ctx, opts.Env)}
	var schema *build.Instance
	if s.imports {
		w.inst, schema = s.load(w.modules, lang, opts)
	} else {
		var err error
		if schema, err = schemaInstance(); err != nil {
			return nil, err
		}
		if err := w.ctx.BuildInstance(schema).Err(); err != nil {
			return nil, err
		}
		w.inst = build.NewContext(build.Loader(func(pos token.Pos, path string) *build.Instance {
			if path == modules.SchemaImport {
				return schema
			}
			return nil
		})).NewInstance("", nil)
		if err := w.inst.AddSyntax(s.file); err != nil {
			return nil, s.problems(err)
		}
	}
	w.hidName = cue.Str("_name") // there is nothing to hide it
	if schema != nil {
		w.hidName = cue.Hid("_name", schema.ID())
	}
	w.root = w.ctx.BuildInstance(w.inst)
	return w, nil
}

// embedSchema makes the file import the schema and embed #Pipeline: unifying
// the two as values would evaluate the file twice.
func (s *source) embedSchema() {
	const alias = "pipe_schema_"
	spec := ast.NewImport(ast.NewIdent(alias), modules.SchemaImport)
	id := ast.NewIdent(alias)
	id.Node = spec
	embed := &ast.EmbedDecl{Expr: &ast.SelectorExpr{X: id, Sel: ast.NewIdent("#Pipeline")}}
	first := firstDecl(s.file)
	imports := &ast.ImportDecl{Specs: []*ast.ImportSpec{spec}}
	s.file.Decls = slices.Insert(s.file.Decls, first, ast.Decl(imports))
	s.file.Decls = append(s.file.Decls, embed)
}

// schemaInstance returns the built-in schema as an instance of its own.
func schemaInstance() (*build.Instance, error) {
	inst := build.NewContext().NewInstance("", nil)
	inst.ImportPath = modules.SchemaPath
	names, err := schemas.FS.ReadDir(".")
	if err != nil {
		return nil, err
	}
	for _, e := range names {
		if filepath.Ext(e.Name()) != ".cue" {
			continue
		}
		b, err := schemas.FS.ReadFile(e.Name())
		if err != nil {
			return nil, err
		}
		f, err := parser.ParseFile(schemaDir+e.Name(), b)
		if err != nil {
			return nil, err
		}
		if err := inst.AddSyntax(f); err != nil {
			return nil, err
		}
	}
	return inst, nil
}
