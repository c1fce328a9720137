package modules

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	"cuelang.org/go/mod/modfile"
	"cuelang.org/go/mod/module"
)

// A Change is what a command does to the dependencies of a module.
type Change struct {
	Deps []DepChange // those that differ, sorted by module
	text []byte
	main *Main
}

// A DepChange is one of them; the version is empty where there is none.
type DepChange struct {
	Module string `json:"module"` // path with major version
	Old    string `json:"old,omitempty"`
	New    string `json:"new,omitempty"`
	Why    string `json:"why,omitempty"` // who needs it
}

// String says the change as a line.
func (d DepChange) String() string {
	base, _, _ := strings.Cut(d.Module, "@")
	by := ""
	if d.Why != "" {
		by = " (" + d.Why + ")"
	}
	switch {
	case d.Old == "":
		return fmt.Sprintf("%s@%s is missing%s", base, d.New, by)
	case d.New == "":
		return fmt.Sprintf("%s@%s is not used", base, d.Old)
	case d.Old == d.New:
		return fmt.Sprintf("%s must be the default major version%s", d.Module, by)
	}
	return fmt.Sprintf("%s@%s must be %s%s", base, d.Old, d.New, by)
}

// Empty reports whether nothing differs.
func (c *Change) Empty() bool { return len(c.Deps) == 0 }

// File names the module file.
func (c *Change) File() string { return c.main.name }

// Write writes the module file.
func (c *Change) Write() error {
	if bytes.Equal(c.text, c.main.text) {
		return nil
	}
	name := FindFile(c.main.Dir)
	if st, err := os.Stat(name); err == nil && st.Mode().Perm()&0o200 == 0 {
		return &Error{Message: c.main.name + " may not be written: permission denied", Hint: "chmod u+w " + c.main.name}
	}
	return writeFile(name, c.text)
}

// change compares the dependencies of m with others.
func (m *Main) change(deps map[string]*modfile.Dep, why func(path string) string) (*Change, error) {
	c := &Change{main: m, text: m.text}
	old := m.deps()
	paths := slices.Sorted(maps.Keys(old))
	for p := range deps {
		if old[p] == nil {
			paths = append(paths, p)
		}
	}
	slices.Sort(paths)
	for _, p := range paths {
		d := DepChange{Module: p}
		if o := old[p]; o != nil {
			d.Old = o.Version
		}
		if n := deps[p]; n != nil {
			d.New, d.Why = n.Version, why(p)
		}
		if d.Old != d.New || *orZero(old[p]) != *orZero(deps[p]) {
			c.Deps = append(c.Deps, d)
		}
	}
	if c.Empty() {
		return c, nil
	}
	var err error
	c.text, err = withDeps(m.text, m.File, deps)
	return c, err
}

func orZero(d *modfile.Dep) *modfile.Dep {
	if d == nil {
		return &modfile.Dep{}
	}
	return d
}

// deps returns the dependencies of m by path with major version.
func (m *Main) deps() map[string]*modfile.Dep {
	all := map[string]*modfile.Dep{}
	for p, d := range m.File.Deps {
		if mv, err := module.NewVersion(p, d.Version); err == nil {
			p = mv.Path()
		}
		all[p] = d
	}
	return all
}

// roots returns the versions that m asks for.
func (m *Main) roots() []module.Version { return slices.Clone(m.File.DepVersions()) }
