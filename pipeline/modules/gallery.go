package modules

import (
	"io/fs"
	"path"
	"strings"

	"cuelang.org/go/cue/load"
	"cuelang.org/go/mod/modfile"
	"cuelang.org/go/mod/module"

	"github.com/pipe-run/pipe/examples/templates"
	"github.com/pipe-run/pipe/schemas"
)

// The gallery is a module of templates that this program serves itself too.
const (
	GalleryImport  = "github.com/pipe-run/pipe/templates"
	GalleryVersion = "v0.2.0"

	galleryRoot = "/__pipe__/templates"
)

// An embedded module is one whose files are part of this program.
type embedded struct {
	base, version string // its path without the major version, and the newest there is
	root          string // the folder that it seems to stand in
	fs            fs.FS
}

// embeddedModules lists them, the schema first.
func embeddedModules() []embedded {
	return []embedded{
		{SchemaImport, SchemaVersion, schemaRoot, schemas.FS},
		{GalleryImport, GalleryVersion, galleryRoot, templates.FS},
	}
}

// embeddedAt returns the embedded module of a path, with or without its major
// version.
func embeddedAt(p string) (embedded, bool) {
	for _, m := range embeddedModules() {
		if p == m.base || strings.HasPrefix(p, m.base+"@") {
			return m, true
		}
	}
	return embedded{}, false
}

// embeddedAbove returns the embedded module that a package, given without a
// version, is of.
func embeddedAbove(p string) (embedded, bool) {
	for _, m := range embeddedModules() {
		if p == m.base || strings.HasPrefix(p, m.base+"/") {
			return m, true
		}
	}
	return embedded{}, false
}

// path is the module's path with its major version.
func (m embedded) path() string { return m.base + "@v0" }

// check refuses versions newer than this program.
func (m embedded) check(mv module.Version) error {
	if mv.Path() != m.path() || compareVersions(mv.Version(), m.version) > 0 {
		return tooNew(mv, m.version)
	}
	return nil
}

// file returns the module file.
func (m embedded) file() (*modfile.File, error) {
	b, err := fs.ReadFile(m.fs, "cue.mod/module.cue")
	if err != nil {
		return nil, err
	}
	return modfile.Parse(b, "cue.mod/module.cue")
}

// overlay adds the files of the module to those of the loader.
func (m embedded) overlay(files map[string]load.Source) error {
	return fs.WalkDir(m.fs, ".", func(p string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		b, err := fs.ReadFile(m.fs, p)
		files[path.Join(m.root, p)] = load.FromBytes(b)
		return err
	})
}
