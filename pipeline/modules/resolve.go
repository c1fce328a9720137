package modules

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"

	"cuelang.org/go/mod/modfile"
	"cuelang.org/go/mod/module"
	"golang.org/x/mod/semver"
)

// A Module is a version of a module, fetched.
type Module struct {
	Version module.Version
	File    *modfile.File
	FS      fs.FS  // of its root
	Dir     string // where that stands, or what the loader takes for it
	Package string // the folder that was asked for, "." for the root
}

// Name is how users write it: path@version.
func (m *Module) Name() string { return named(m.Version) }

// Resolve finds the module, or the package of a module, that a user names:
//
//	example.com/chat            the latest release
//	example.com/chat@latest     the same
//	example.com/chat@v0         the latest of a major version
//	example.com/chat@v0.2       the latest of a minor version
//	example.com/chat@v0.2.1     just this one
//	example.com/chat/qlora@v0   a package, whose module is the longest path that is one
//
// and fetches it.
func (r *Registry) Resolve(ctx context.Context, name string) (*Module, error) {
	q, err := parseQuery(name)
	if err != nil {
		return nil, err
	}
	start := q.path
	if b, ok := embeddedAbove(q.path); ok {
		start = b.base // what this program has needs no registry's word
	}
	var first error
	for p := start; p != "." && p != "/"; p = path.Dir(p) {
		m, err := r.resolve(query{p, q.version})
		if err == nil {
			rest := strings.TrimPrefix(strings.TrimPrefix(q.path, p), "/")
			if rest == "" || holdsPackage(m.FS, rest) {
				m.Package = path.Clean("./" + rest)
				return m, nil
			}
			return nil, &Error{
				Module:  m.Name(),
				Message: fmt.Sprintf("%s has no package %s", m.Name(), rest),
				Hint:    "it has " + strings.Join(packages(m.FS), ", "),
			}
		}
		if first == nil {
			first = err
		}
		if !isMissing(err) && !errors.Is(err, errDenied) || strings.Count(p, "/") == 0 {
			break
		}
	}
	return nil, first
}

func (r *Registry) resolve(q query) (*Module, error) {
	mv, err := r.choose(q)
	if err != nil {
		return nil, err
	}
	f, err := r.ModFile(r.ctx, mv)
	if err != nil {
		return nil, err
	}
	loc, err := r.Fetch(r.ctx, mv)
	if err != nil {
		return nil, err
	}
	m := &Module{Version: mv, File: f, FS: loc.FS}
	if b, ok := embeddedAt(mv.Path()); ok {
		m.FS = b.fs
	}
	if root, ok := loc.FS.(module.OSRootFS); ok {
		m.Dir = root.OSRoot()
	}
	return m, nil
}

// A query is a module as a user names it.
type query struct {
	path    string
	version string // "latest", or a version that may lack its last parts
}

func (q query) String() string { return q.path + "@" + q.version }

// parseQuery reads MODULE[@VERSION].
func parseQuery(s string) (query, error) {
	p, v, ok := strings.Cut(s, "@")
	if !ok || v == "" {
		v = "latest"
	}
	q := query{p, v}
	if err := module.CheckPathWithoutVersion(p); err != nil {
		return q, &Error{Module: s, Message: fmt.Sprintf("%q is no module path: %s", p, plainPath(err)), Hint: "a module is named like example.com/team/chat, where example.com is a name of the internet that is yours"}
	}
	if v != "latest" && (!semver.IsValid(v) || semver.Build(v) != "") {
		return q, &Error{Module: s, Message: fmt.Sprintf("%q is no version", v), Hint: "write v1.2.3, v1.2, v1 or latest"}
	}
	return q, nil
}

// plainPath says what is wrong with a module path.
func plainPath(err error) string {
	s := oneLine(err)
	if i := strings.LastIndex(s, ": "); i >= 0 {
		s = s[i+2:]
	}
	return s
}

// exact returns the version that the query names, if it names just one.
func (q query) exact() (module.Version, bool) {
	if semver.Canonical(q.version) != q.version {
		return module.Version{}, false
	}
	mv, err := module.NewVersion(q.path, q.version)
	return mv, err == nil
}

// choose finds the version that a query means, asking the registry when it
// names more than one.
func (r *Registry) choose(q query) (module.Version, error) {
	if mv, ok := q.exact(); ok {
		return mv, nil
	}
	all, err := r.ModuleVersions(r.ctx, q.path)
	if err != nil {
		return module.Version{}, err
	}
	var fit []string
	for _, v := range all {
		if q.version == "latest" || strings.HasPrefix(v, q.version+".") {
			fit = append(fit, v)
		}
	}
	if len(fit) == 0 {
		return module.Version{}, r.noVersion(q, all)
	}
	return module.NewVersion(q.path, latest(fit))
}

// noVersion says that no version fits a query.
func (r *Registry) noVersion(q query, all []string) error {
	mv, err := module.NewVersion(q.path, "v0.0.0")
	if err != nil {
		return err
	}
	if len(all) == 0 && !isBuiltin(q.path) {
		if err := r.open(); err != nil {
			return err
		}
		return r.missing(mv)
	}
	return &Error{
		Module:  q.String(),
		Message: fmt.Sprintf("%s has no version %s", q.path, q.version),
		Hint:    fmt.Sprintf("there %s %s", isOrAre(len(all)), listVersions(all)),
		Err:     errMissing,
	}
}
