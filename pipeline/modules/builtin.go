package modules

import (
	"io/fs"
	"path/filepath"
	"strings"

	"cuelang.org/go/cue/load"
	"cuelang.org/go/mod/modfile"
	"cuelang.org/go/mod/module"
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
func isBuiltin(p string) bool {
	_, ok := embeddedAt(p)
	return ok
}

// Builtin reports whether a file belongs to the schema.
func Builtin(file string) bool {
	return strings.HasPrefix(filepath.ToSlash(file), schemaRoot+"/")
}

// Embedded reports whether a file belongs to a module inside this program,
// which no folder holds.
func Embedded(file string) bool {
	return Builtin(file) || strings.HasPrefix(filepath.ToSlash(file), galleryRoot+"/")
}

// Overlay adds the files of the built-in modules to those of the loader.
func Overlay(files map[string]load.Source) error {
	for _, m := range embeddedModules() {
		if err := m.overlay(files); err != nil {
			return err
		}
	}
	return nil
}

// builtinFile returns the module file of a built-in module, whatever version
// of it is asked for.
func builtinFile(mv module.Version) (*modfile.File, error) {
	m, _ := embeddedAt(mv.Path())
	if err := m.check(mv); err != nil {
		return nil, err
	}
	return m.file()
}

// builtinSource returns the files of a built-in module.
func builtinSource(mv module.Version) (module.SourceLoc, error) {
	m, _ := embeddedAt(mv.Path())
	if err := m.check(mv); err != nil {
		return module.SourceLoc{}, err
	}
	return module.SourceLoc{FS: rootedFS{m.fs, m.root}, Dir: "."}, nil
}

// rootedFS gives a file system a place in the operating system's; the loader
// then reads the same paths through its overlay.
type rootedFS struct {
	fs.FS
	root string
}

func (r rootedFS) OSRoot() string { return r.root }
