package compile

import (
	"context"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"sync"

	"cuelang.org/go/cue/ast"
	"cuelang.org/go/cue/build"
	"cuelang.org/go/cue/load"
	"cuelang.org/go/cue/parser"
	"cuelang.org/go/mod/modconfig"
	"cuelang.org/go/mod/modfile"
	"cuelang.org/go/mod/module"

	"github.com/pipe-run/pipe/pipeline"
	"github.com/pipe-run/pipe/schemas"
)

// The schema is a CUE module of its own, which this program serves itself:
// nobody publishes or downloads it.
const (
	schemaImport  = "github.com/pipe-run/pipe/schemas"
	schemaPath    = schemaImport + "@v0"
	schemaVersion = "v0.1.0"

	// schemaRoot is the folder that the module seems to stand in; it exists
	// only as an overlay of the loader.
	schemaRoot = "/__pipe__/schemas"
)

// registry serves the schema from the program and everything else from next.
type registry struct {
	next modconfig.Registry
}

func (r *registry) ModFile(ctx context.Context, mv module.Version) (*modfile.File, error) {
	if mv.Path() != schemaPath {
		return r.next.ModFile(ctx, mv)
	}
	b, err := schemas.FS.ReadFile("cue.mod/module.cue")
	if err != nil {
		return nil, err
	}
	return modfile.Parse(b, "cue.mod/module.cue")
}

func (r *registry) Fetch(ctx context.Context, mv module.Version) (module.SourceLoc, error) {
	if mv.Path() != schemaPath {
		return r.next.Fetch(ctx, mv)
	}
	return module.SourceLoc{FS: rootedFS{schemas.FS, schemaRoot}, Dir: "."}, nil
}

func (r *registry) ModuleVersions(ctx context.Context, p string) ([]string, error) {
	if p == schemaPath || p == schemaImport {
		return []string{schemaVersion}, nil
	}
	return r.next.ModuleVersions(ctx, p)
}

// rootedFS gives a file system a place in the operating system's; the loader
// then reads the same paths through its overlay.
type rootedFS struct {
	fs.FS
	root string
}

func (r rootedFS) OSRoot() string { return r.root }

// load resolves the imports of s. It returns the instance of the file, whose
// Err holds what went wrong, and that of the schema when anything imports it.
func (s *source) load(opts Options) (inst, schema *build.Instance) {
	cfg := &load.Config{Dir: s.dir, Overlay: map[string]load.Source{}, Env: opts.Env}
	next, err := modconfig.NewRegistry(&modconfig.Config{ClientType: "pipe", Env: opts.Env})
	if err == nil {
		cfg.Registry = &registry{next}
		err = overlaySchema(cfg.Overlay)
	}
	if err != nil {
		return failedInstance(err), nil
	}
	modFile := findModule(s.dir)
	if modFile != "" {
		s.depend(modFile, nil)
	} else {
		modFile = filepath.Join(s.dir, "cue.mod", "module.cue")
	}
	if b, err := withSchema(modFile); err == nil {
		cfg.Overlay[modFile] = load.FromBytes(b)
	} // else the loader complains about the file itself

	var mu sync.Mutex
	cfg.ParseFile = func(name string, src any, c parser.Config) (*ast.File, error) {
		if name == s.abs {
			return s.file, nil
		}
		if !strings.HasPrefix(filepath.ToSlash(name), schemaRoot+"/") {
			mu.Lock()
			s.depend(name, src)
			mu.Unlock()
		}
		return parser.ParseFile(name, src, c)
	}
	inst = load.Instances([]string{s.abs}, cfg)[0]
	return inst, findSchema(inst, map[*build.Instance]bool{})
}

// depend notes that the bytes of a file count: src, if the loader has read
// them already.
func (s *source) depend(path string, src any) {
	b, ok := src.([]byte)
	if !ok {
		b, _ = os.ReadFile(path)
	}
	s.deps[path] = pipeline.SumBytes(b)
}

func failedInstance(err error) *build.Instance {
	inst := build.NewContext().NewInstance("", nil)
	inst.ReportError(promote(err))
	return inst
}

func overlaySchema(overlay map[string]load.Source) error {
	return fs.WalkDir(schemas.FS, ".", func(p string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		b, err := schemas.FS.ReadFile(p)
		overlay[path.Join(schemaRoot, p)] = load.FromBytes(b)
		return err
	})
}

// findModule returns the module file that governs dir, or "".
func findModule(dir string) string {
	for {
		p := filepath.Join(dir, "cue.mod", "module.cue")
		if _, err := os.Stat(p); err == nil {
			return p
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return ""
		}
		dir = parent
	}
}

// withSchema returns the module file at path, depending on the schema too. A
// missing file is that of a nameless module.
func withSchema(path string) ([]byte, error) {
	f := &modfile.File{Module: "pipeline.local@v0", Language: &modfile.Language{Version: "v0.12.0"}}
	b, err := os.ReadFile(path)
	if err == nil {
		f, err = modfile.Parse(b, path)
	} else if os.IsNotExist(err) {
		err = nil
	}
	if err != nil {
		return nil, err
	}
	if f.Deps == nil {
		f.Deps = map[string]*modfile.Dep{}
	}
	if f.Module != schemaPath && f.Deps[schemaPath] == nil {
		f.Deps[schemaPath] = &modfile.Dep{Version: schemaVersion, Default: true}
	}
	return modfile.Format(f)
}

// findSchema returns the instance of the schema among what inst imports.
func findSchema(inst *build.Instance, seen map[*build.Instance]bool) *build.Instance {
	if seen[inst] {
		return nil
	}
	seen[inst] = true
	if p, _, _ := strings.Cut(inst.ImportPath, ":"); p == schemaPath {
		return inst
	}
	for _, dep := range inst.Imports {
		if found := findSchema(dep, seen); found != nil {
			return found
		}
	}
	return nil
}
