package modules

import (
	"os"
	"path/filepath"

	"cuelang.org/go/mod/modfile"
)

// language is the version of CUE that module files written here ask for: that
// of the schema, so that older programs can read them too.
const language = "v0.12.0"

// FindFile returns the module file that governs dir, or "".
func FindFile(dir string) string {
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

// WithSchema returns the module file at path, depending on the schema too. A
// missing file is that of a nameless module.
func WithSchema(path string) ([]byte, error) {
	f := &modfile.File{Module: "pipeline.local@v0", Language: &modfile.Language{Version: language}}
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
	if f.Module != SchemaPath && f.Deps[SchemaPath] == nil {
		f.Deps[SchemaPath] = &modfile.Dep{Version: SchemaVersion, Default: true}
	}
	return modfile.Format(f)
}
