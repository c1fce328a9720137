package compile

import (
	"strings"

	"cuelang.org/go/cue"
	"cuelang.org/go/cue/ast"
	"cuelang.org/go/cue/token"
)

// chainsIn returns all references into steps that x holds.
func (c *compiler) chainsIn(x ast.Expr) (all [][]part) {
	if x == nil {
		return nil
	}
	ast.Walk(x, func(n ast.Node) bool {
		if e, ok := n.(ast.Expr); ok {
			if parts := c.chain(e); len(parts) > 0 {
				all = append(all, parts)
				return false
			}
		}
		return true
	}, nil)
	return all
}

func joinParts(ps []part) string {
	s := ""
	for _, p := range ps {
		s = join(s, p.name)
	}
	return s
}

// valueless says which field of the file that x refers to has no value.
func (c *compiler) valueless(x ast.Expr) (why string) {
	ast.Walk(x, func(n ast.Node) bool {
		id, ok := n.(*ast.Ident)
		if !ok || why != "" || id.Scope != ast.Node(c.file) {
			return why == ""
		}
		f := topField(c.file, id.Name)
		if f == nil {
			return true
		}
		v := c.world.root.LookupPath(cue.MakePath(c.selector(id.Name)))
		if !v.Exists() || v.Err() != nil || v.IsConcrete() || v.IncompleteKind() == cue.StructKind {
			return true
		}
		if d, ok := v.Default(); ok && d.IsConcrete() {
			why = id.Name + " is only a default, " + show(d) + ", and the parameter has one of its own; leave out the * (" + c.pos(f.Pos()).String() + ")"
			return false
		}
		why = id.Name + " has none (" + c.pos(f.Pos()).String() + ")"
		for _, a := range f.Attrs {
			if key, body := a.Split(); key == "tag" {
				why += "; set it with -t " + tagName(body) + "=…"
			}
		}
		return false
	}, nil)
	return why
}

// absentField finds a field that x refers to and that its struct, a field at
// the top of the file, does not have.
func (c *compiler) absentField(x ast.Expr) (pos token.Pos, name, hint string) {
	if x == nil {
		return pos, "", ""
	}
	ast.Walk(x, func(n ast.Node) bool {
		sel, ok := n.(*ast.SelectorExpr)
		if !ok {
			return name == ""
		}
		id, ok := sel.X.(*ast.Ident)
		if !ok || id.Scope != ast.Node(c.file) || c.isSteps(id) {
			return name == ""
		}
		v := c.root.LookupPath(cue.MakePath(c.selector(id.Name)))
		field, _, err := ast.LabelName(sel.Sel)
		if err != nil || v.IncompleteKind() != cue.StructKind || v.LookupPath(cue.MakePath(c.selector(field))).Exists() {
			return true
		}
		var names []string
		for it := arcs(v); it.Next(); {
			names = append(names, it.Selector().Unquoted())
		}
		pos, name, hint = sel.Sel.Pos(), source1(sel), choose("field", field, names)
		return false
	}, nil)
	return pos, name, hint
}

// selector returns the selector of a field of the user's file.
func (c *compiler) selector(name string) cue.Selector {
	switch {
	case strings.HasPrefix(name, "_"):
		return cue.Hid(name, c.world.inst.ID())
	case strings.HasPrefix(name, "#"):
		return cue.Def(name)
	}
	return cue.Str(name)
}

// isBlamed reports whether a problem is known within the values us.
func (c *compiler) isBlamed(us []conjunct) bool {
	for _, u := range us {
		x := u.expr()
		if x == nil {
			continue
		}
		if _, ok := x.(*ast.StructLit); ok {
			continue
		}
		if c.blamedIn(x) {
			return true
		}
	}
	return false
}

// isBlamedWithin is isBlamed for structs too.
func (c *compiler) isBlamedWithin(us []conjunct) bool {
	for _, u := range us {
		if x := u.expr(); x != nil && c.blamedIn(x) {
			return true
		}
	}
	return false
}

func (c *compiler) blamedIn(x ast.Node) bool {
	from, to := x.Pos(), x.End()
	for _, p := range c.blamed {
		if p.Filename() == from.Filename() && p.Offset() >= from.Offset() && p.Offset() <= to.Offset() {
			return true
		}
	}
	return false
}
