package modules

import (
	"io/fs"
	"path"
	"path/filepath"
	"strings"

	"cuelang.org/go/cue/load"
	"cuelang.org/go/mod/modfile"
	"cuelang.org/go/mod/module"

	"github.com/pipe-run/pipe/schemas"
)

// The schema is a CUE module of its own, which this program serves itself:
// nobody publishes or downloads it.
const (
	SchemaImport  = "github.com/pipe-run/pipe/schemas"
	SchemaPath    = SchemaImport + "@v0"
	SchemaVersion = "v0.2.0"

	// schemaRoot is the folder that the module seems to stand in; it exists
	// only as an overlay of the loader.
	schemaRoot = "/__pipe__/schemas"
)

// isBuiltin reports whether this program serves the module at a path, with or
// without its major version.
func isBuiltin(p string) bool { return p == SchemaImport || strings.HasPrefix(p, SchemaImport+"@") }

// Builtin reports whether a file belongs to the built-in module.
func Builtin(file string) bool {
	return strings.HasPrefix(filepath.ToSlash(file), schemaRoot+"/")
}

// Overlay adds the files of the built-in module to those of the loader.
func Overlay(files map[string]load.Source) error {
	return fs.WalkDir(schemas.FS, ".", func(p string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		b, err := schemas.FS.ReadFile(p)
		files[path.Join(schemaRoot, p)] = load.FromBytes(b)
		return err
	})
}

// builtinFile returns the module file of the built-in module, whatever version
// of it is asked for.
func builtinFile(mv module.Version) (*modfile.File, error) {
	if err := checkBuiltin(mv); err != nil {
		return nil, err
	}
	b, err := schemas.FS.ReadFile("cue.mod/module.cue")
	if err != nil {
		return nil, err
	}
	return modfile.Parse(b, "cue.mod/module.cue")
}

// builtinSource returns the files of the built-in module.
func builtinSource(mv module.Version) (module.SourceLoc, error) {
	if err := checkBuiltin(mv); err != nil {
		return module.SourceLoc{}, err
	}
	return module.SourceLoc{FS: rootedFS{schemas.FS, schemaRoot}, Dir: "."}, nil
}

// checkBuiltin refuses versions newer than this program.
func checkBuiltin(mv module.Version) error {
	if mv.Path() != SchemaPath || compareVersions(mv.Version(), SchemaVersion) > 0 {
		return tooNew(mv)
	}
	return nil
}

// rootedFS gives a file system a place in the operating system's; the loader
// then reads the same paths through its overlay.
type rootedFS struct {
	fs.FS
	root string
}

func (r rootedFS) OSRoot() string { return r.root }
