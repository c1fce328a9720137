package compile

import (
	"maps"
	"os"
	"path/filepath"
	"sync"

	"cuelang.org/go/cue/ast"
	"cuelang.org/go/cue/build"
	"cuelang.org/go/cue/load"
	"cuelang.org/go/cue/parser"

	"github.com/pipe-run/pipe/pipeline"
	"github.com/pipe-run/pipe/pipeline/modules"
)

// load resolves the imports of s. It returns the instance of the file, whose
// Err holds what went wrong, and that of the schema when anything imports it.
func (s *source) load(registry *modules.Registry, lang *language, opts Options) (inst, schema *build.Instance) {
	cfg := &load.Config{Dir: s.dir, Overlay: map[string]load.Source{}, Env: opts.Env, Registry: registry}
	if err := modules.Overlay(cfg.Overlay); err != nil {
		return failedInstance(err), nil
	}
	modFile := modules.FindFile(s.dir)
	if modFile != "" {
		s.depend(modFile, nil)
	} else {
		modFile = filepath.Join(s.dir, "cue.mod", "module.cue")
	}
	if b, err := modules.WithSchema(modFile); err == nil {
		cfg.Overlay[modFile] = load.FromBytes(b)
	} // else the loader complains about the file itself

	var mu sync.Mutex
	cfg.ParseFile = func(name string, src any, c parser.Config) (*ast.File, error) {
		if name == s.abs {
			return s.file, nil
		}
		if !modules.Embedded(name) {
			mu.Lock()
			s.depend(name, src)
			mu.Unlock()
		}
		f, err := parser.ParseFile(name, src, c)
		if err == nil && !modules.Builtin(name) {
			params := expandTemplates(f, lang, false)
			mu.Lock()
			maps.Copy(s.params, params)
			mu.Unlock()
		}
		return f, err
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

// findSchema returns the instance of the schema among what inst imports.
func findSchema(inst *build.Instance, seen map[*build.Instance]bool) *build.Instance {
	if seen[inst] {
		return nil
	}
	seen[inst] = true
	if ast.ParseImportPath(inst.ImportPath).Path == modules.SchemaImport {
		return inst
	}
	for _, dep := range inst.Imports {
		if found := findSchema(dep, seen); found != nil {
			return found
		}
	}
	return nil
}
