package modules

import (
	"maps"
	"slices"
	"strings"

	"cuelang.org/go/mod/module"
)

// A graph is a set of modules with all they need, each in the least version
// that satisfies everyone (minimal version selection, as in Go and CUE).
type graph struct {
	selected map[string]module.Version                     // by path with major version
	needs    map[module.Version][]module.Version           // direct needs
	by       map[string]map[module.Version]*module.Version // who asks for a version; nil is the user
}

// graph follows the needs of roots to their end.
func (r *Registry) graph(roots []module.Version) (*graph, error) {
	g := &graph{
		selected: map[string]module.Version{},
		needs:    map[module.Version][]module.Version{},
		by:       map[string]map[module.Version]*module.Version{},
	}
	queue := slices.Clone(roots)
	for _, mv := range roots {
		g.ask(mv, nil)
	}
	for len(queue) > 0 {
		mv := queue[0]
		queue = queue[1:]
		if _, seen := g.needs[mv]; seen {
			continue
		}
		f, err := r.ModFile(r.ctx, mv)
		if err != nil {
			return nil, err
		}
		g.needs[mv] = f.DepVersions()
		for _, dep := range g.needs[mv] {
			g.ask(dep, &mv)
			queue = append(queue, dep)
		}
	}
	return g, nil
}

func (g *graph) ask(mv module.Version, by *module.Version) {
	if have, ok := g.selected[mv.Path()]; !ok || compareVersions(mv.Version(), have.Version()) > 0 {
		g.selected[mv.Path()] = mv
	}
	if g.by[mv.Path()] == nil {
		g.by[mv.Path()] = map[module.Version]*module.Version{}
	}
	if _, known := g.by[mv.Path()][mv]; !known {
		g.by[mv.Path()][mv] = by
	}
}

// list returns the selected versions, sorted.
func (g *graph) list() []module.Version {
	return slices.SortedFunc(maps.Values(g.selected), module.Version.Compare)
}

// asker names who asks for the selected version of a path.
func (g *graph) asker(path string) string {
	if by := g.by[path][g.selected[path]]; by != nil {
		return named(*by)
	}
	return "the module itself"
}

// candidates returns the modules of the graph that may hold a package, those
// with the longest paths first. Without a major version in the import, that
// of defaults counts, or the only one there is.
func (g *graph) candidates(spec importSpec, defaults map[string]string) []module.Version {
	var all []module.Version
	for _, mv := range g.list() {
		if spec.Path != mv.BasePath() && !strings.HasPrefix(spec.Path, mv.BasePath()+"/") {
			continue
		}
		major := spec.Version
		if major == "" {
			major = defaults[mv.BasePath()]
		}
		if major == "" || mv.Path() == mv.BasePath()+"@"+major {
			all = append(all, mv)
		}
	}
	slices.SortStableFunc(all, func(a, b module.Version) int { return len(b.BasePath()) - len(a.BasePath()) })
	return all
}
