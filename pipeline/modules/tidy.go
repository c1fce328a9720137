package modules

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"strings"

	cueerrors "cuelang.org/go/cue/errors"
	"cuelang.org/go/mod/modfile"
	"cuelang.org/go/mod/module"

	"github.com/pipe-run/pipe/pipeline"
)

// Tidy finds what m must depend on: every module that has a package which m
// imports, or which those import, in the versions that are chosen now; the
// latest of those that are not depended on yet. Mistakes are Problems at the
// import.
func (r *Registry) Tidy(m *Main) (*Change, error) {
	t := &tidier{Registry: r, main: m, defaults: maps.Clone(m.File.DefaultMajorVersions()), explicit: map[string]bool{}}
	if t.defaults == nil {
		t.defaults = map[string]string{}
	}
	roots := m.roots()
	for range 100 { // each round adds a module
		g, err := r.graph(roots)
		if err != nil {
			return nil, err
		}
		found, err := t.walk(g)
		if err != nil {
			return nil, err
		}
		if len(found) == 0 {
			return t.change(g)
		}
		roots = append(roots, found...)
	}
	return nil, errors.New("the modules need one another without end")
}

// A tidier follows imports.
type tidier struct {
	*Registry
	main     *Main
	defaults map[string]string         // major versions meant by imports that say none
	explicit map[string]bool           // paths whose default must be written down
	used     map[module.Version]string // and the import that uses it first
}

// A packageDir is a folder whose imports are followed.
type packageDir struct {
	mv       module.Version // zero in the main module
	fsys     fs.FS
	dir      string
	defaults map[string]string
}

// walk follows all imports from the main module on, and returns modules that
// are not in g but hold what is imported.
func (t *tidier) walk(g *graph) ([]module.Version, error) {
	t.used = map[module.Version]string{}
	var queue []packageDir
	for _, dir := range packages(t.main.fs()) {
		queue = append(queue, packageDir{fsys: t.main.fs(), dir: dir, defaults: t.defaults})
	}
	type key struct {
		mv  module.Version
		dir string
	}
	seen := map[key]bool{}
	for len(queue) > 0 {
		from := queue[0]
		queue = queue[1:]
		specs, err := importsOf(from.fsys, from.dir)
		if err != nil {
			return nil, t.syntax(from, err)
		}
		for _, spec := range specs {
			if t.isLocal(spec) {
				continue
			}
			to, err := t.provider(g, from, spec)
			if err != nil {
				return nil, err
			}
			if to == nil {
				mv, err := t.query(from, spec)
				if err != nil {
					return nil, err
				}
				return []module.Version{mv}, nil
			}
			if t.used[to.mv] == "" {
				t.used[to.mv] = t.said(from, spec)
			}
			if k := (key{to.mv, to.dir}); !seen[k] {
				seen[k] = true
				queue = append(queue, *to)
			}
		}
	}
	return nil, nil
}

// isLocal reports whether an import is of the main module, or of a package
// that is kept inside of cue.mod.
func (t *tidier) isLocal(spec importSpec) bool {
	base := t.main.base()
	if rest, ok := strings.CutPrefix(spec.Path, base); ok && (rest == "" || rest[0] == '/') {
		if spec.Version == "" || base+"@"+spec.Version == t.main.Path() {
			return holdsPackage(t.main.fs(), path.Clean("./"+rest))
		}
	}
	for _, kind := range []string{"pkg", "gen", "usr"} {
		if holdsPackage(t.main.fs(), path.Join("cue.mod", kind, spec.Path)) {
			return true
		}
	}
	return false
}

// provider finds the package of an import among the modules of g; nil if it
// is not there.
func (t *tidier) provider(g *graph, from packageDir, spec importSpec) (*packageDir, error) {
	var found *packageDir
	for _, mv := range g.candidates(spec, from.defaults) {
		p, err := t.pkg(mv, spec)
		if err != nil {
			return nil, err
		}
		if p == nil {
			continue
		}
		if found != nil && found.mv.BasePath() == mv.BasePath() {
			return nil, t.problem(from, spec,
				fmt.Sprintf("the import %q may mean %s or %s", spec.String(), found.mv.Path(), mv.Path()),
				fmt.Sprintf("write which: %q", mv.Path()+strings.TrimPrefix(spec.Path, mv.BasePath())))
		}
		if found == nil {
			found = p
		}
	}
	return found, nil
}

// pkg returns the package of an import in a module; nil if it has none.
func (t *tidier) pkg(mv module.Version, spec importSpec) (*packageDir, error) {
	loc, err := t.Fetch(t.ctx, mv)
	if err != nil {
		return nil, err
	}
	fsys := loc.FS
	if b, ok := embeddedAt(mv.Path()); ok {
		fsys = b.fs
	}
	dir := path.Clean("./" + strings.TrimPrefix(strings.TrimPrefix(spec.Path, mv.BasePath()), "/"))
	if !holdsPackage(fsys, dir) {
		return nil, nil
	}
	f, err := t.ModFile(t.ctx, mv)
	if err != nil {
		return nil, err
	}
	return &packageDir{mv, fsys, dir, f.DefaultMajorVersions()}, nil
}

// query asks the registries for the module of an import: the longest path
// that is a module and has the package.
func (t *tidier) query(from packageDir, spec importSpec) (module.Version, error) {
	version := spec.Version
	if err := t.Registry.open(); err != nil {
		return module.Version{}, t.at(from, spec, err)
	}
	start := spec.Path
	if b, ok := embeddedAbove(start); ok {
		start = b.base
	}
	var denied error
	for p := start; strings.Contains(p, "."); p = path.Dir(p) {
		if module.CheckPathWithoutVersion(p) != nil {
			continue
		}
		v := version
		if v == "" {
			v = from.defaults[p]
		}
		if v == "" {
			v = "latest"
		}
		mv, err := t.choose(query{p, v})
		if errors.Is(err, errDenied) {
			denied = err
		}
		if isMissing(err) || errors.Is(err, errDenied) {
			continue
		}
		if err != nil {
			return mv, t.at(from, spec, err)
		}
		got, err := t.pkg(mv, spec)
		if err != nil {
			return mv, t.at(from, spec, err)
		}
		if got == nil {
			continue
		}
		if version == "" && from.mv == (module.Version{}) {
			t.defaults[mv.BasePath()], _, _ = strings.Cut(mv.Version(), ".")
			t.explicit[mv.Path()] = true
		}
		return mv, nil
	}
	if denied != nil {
		return module.Version{}, t.at(from, spec, denied)
	}
	return module.Version{}, t.problem(from, spec,
		fmt.Sprintf("no module has the package %q", spec.String()),
		"it is no folder of this module, and "+t.resolver.remote(spec.Path, "").where())
}

// said names an import, as those who wonder about a dependency look for it.
func (t *tidier) said(from packageDir, spec importSpec) string {
	if from.mv.IsValid() {
		return named(from.mv)
	}
	return fmt.Sprintf("%s:%d:%d", filepath.FromSlash(spec.file), spec.line, spec.col)
}

// at says an error at the import that led to it.
func (t *tidier) at(from packageDir, spec importSpec, err error) error {
	var e *Error
	if !errors.As(err, &e) {
		return err
	}
	return t.problem(from, spec, e.Message, e.Hint)
}

// syntax says where a file cannot be read.
func (t *tidier) syntax(from packageDir, err error) error {
	var e cueerrors.Error
	if !errors.As(err, &e) {
		return err
	}
	pos := e.Position()
	format, args := e.Msg()
	return t.problem(from, importSpec{file: filepath.ToSlash(pos.Filename()), line: pos.Line(), col: pos.Column()}, fmt.Sprintf(format, args...), "")
}

func (t *tidier) problem(from packageDir, spec importSpec, msg, hint string) error {
	p := &pipeline.Problem{Message: msg, Hint: hint}
	if from.mv.IsValid() {
		p.Message = fmt.Sprintf("%s:%s:%d:%d: %s", named(from.mv), spec.file, spec.line, spec.col, msg)
		return p
	}
	file := filepath.Join(t.main.Dir, filepath.FromSlash(spec.file))
	if wd, err := os.Getwd(); err == nil {
		if rel, err := filepath.Rel(wd, file); err == nil && filepath.IsLocal(rel) {
			file = rel
		}
	}
	p.Pos = pipeline.Pos{File: file, Line: spec.line, Col: spec.col}
	return p
}

// change returns the dependencies that are used.
func (t *tidier) change(g *graph) (*Change, error) {
	deps := map[string]*modfile.Dep{}
	old := t.main.deps()
	for mv := range t.used {
		d := &modfile.Dep{}
		if o := old[mv.Path()]; o != nil {
			*d = *o
		}
		d.Version = mv.Version()
		d.Default = d.Default || t.explicit[mv.Path()]
		deps[mv.Path()] = d
	}
	return t.main.change(deps, func(p string) string { return t.used[g.selected[p]] })
}
