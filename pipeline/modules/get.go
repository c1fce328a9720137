package modules

import (
	"fmt"
	"strings"

	"cuelang.org/go/mod/modfile"
	"cuelang.org/go/mod/module"
)

// Get adds modules to those m depends on, or changes their versions, and
// fetches all that is needed. Names are like those of Resolve, but for
// packages; without a version, that of the default major or the latest.
func (r *Registry) Get(m *Main, names []string, fresh bool) (*Change, error) {
	asked := map[string]module.Version{}
	for _, name := range names {
		mv, err := r.getVersion(m, name)
		if err != nil {
			return nil, err
		}
		if other, ok := asked[mv.Path()]; ok && other != mv {
			return nil, &Error{Module: named(mv), Message: fmt.Sprintf("%s and %s cannot both be had", named(other), named(mv)), Hint: "name one of them"}
		}
		asked[mv.Path()] = mv
		if fresh {
			if err := r.Forget(mv); err != nil {
				return nil, r.explain(mv, err)
			}
		}
	}
	var roots []module.Version
	for _, mv := range m.roots() {
		if _, ok := asked[mv.Path()]; !ok {
			roots = append(roots, mv)
		}
	}
	for _, mv := range asked {
		roots = append(roots, mv)
	}
	g, err := r.graph(roots)
	if err != nil {
		return nil, err
	}
	for _, mv := range asked {
		if sel := g.selected[mv.Path()]; sel != mv {
			return nil, &Error{
				Module:  named(mv),
				Message: fmt.Sprintf("%s cannot be used: %s needs %s", named(mv), g.asker(mv.Path()), named(sel)),
				Hint:    fmt.Sprintf("use another version of %s, or %s", g.asker(mv.Path()), named(sel)),
			}
		}
	}
	for _, mv := range g.list() {
		if _, err := r.Fetch(r.ctx, mv); err != nil {
			return nil, err
		}
	}
	return m.change(r.getDeps(m, g, asked), g.asker)
}

// getDeps returns the dependencies of m after asked: what it had, in the
// versions of g, and what was asked for. The first major version of a module
// is the one that imports without a major version mean.
func (r *Registry) getDeps(m *Main, g *graph, asked map[string]module.Version) map[string]*modfile.Dep {
	deps := map[string]*modfile.Dep{}
	base := map[string]bool{}
	for p, d := range m.deps() {
		n := *d
		n.Version = g.selected[p].Version()
		deps[p] = &n
		base[g.selected[p].BasePath()] = true
	}
	for p, mv := range asked {
		if deps[p] == nil {
			deps[p] = &modfile.Dep{Version: mv.Version(), Default: !base[mv.BasePath()] && mv.BasePath() != m.base()}
		}
	}
	return deps
}

// getVersion finds the version that a user asks for.
func (r *Registry) getVersion(m *Main, name string) (module.Version, error) {
	q, err := parseQuery(name)
	if err != nil {
		return module.Version{}, err
	}
	if major := m.File.DefaultMajorVersions()[q.path]; major != "" && !strings.Contains(name, "@") {
		q.version = major
	}
	mv, err := r.choose(q)
	if err != nil {
		return mv, err
	}
	if mv.Path() == m.Path() {
		return mv, &Error{Module: named(mv), Message: fmt.Sprintf("%s is this module itself", mv.Path()), Hint: "it cannot depend on itself"}
	}
	return mv, nil
}
