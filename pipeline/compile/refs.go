package compile

import (
	"strings"

	"cuelang.org/go/cue"
	"cuelang.org/go/cue/ast"
	"cuelang.org/go/cue/errors"
	"cuelang.org/go/cue/format"
	"cuelang.org/go/cue/literal"
	"cuelang.org/go/cue/token"
)

// A part is one selector of a reference.
type part struct {
	name string
	pos  token.Pos
}

// chain splits steps.X.out.Y into its parts after steps; nil when x is
// anything else. Parts end where something is computed.
func (c *compiler) chain(x ast.Expr) []part {
	switch x := x.(type) {
	case *ast.Ident:
		if c.isSteps(x) {
			return []part{}
		}
	case *ast.SelectorExpr:
		if head := c.chain(x.X); head != nil {
			if name, _, err := ast.LabelName(x.Sel); err == nil {
				return append(head, part{name, x.Sel.Pos()})
			}
		}
	case *ast.IndexExpr:
		if head := c.chain(x.X); head != nil {
			if lit, ok := x.Index.(*ast.BasicLit); ok && lit.Kind == token.STRING {
				if s, err := literal.Unquote(lit.Value); err == nil {
					return append(head, part{s, lit.Pos()})
				}
			}
		}
	}
	return nil
}

// checkRefs notes every reference of the file to a step or output that does
// not exist. It is called when something is wrong: a condition such as
// `if steps.x != _|_` may mention what is not there.
func (c *compiler) checkRefs() {
	if c.refsChecked {
		return
	}
	c.refsChecked = true
	ast.Walk(c.file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.BinaryExpr:
			if isBottom(n.X) || isBottom(n.Y) {
				return false
			}
		case *ast.SelectorExpr:
			if parts := c.chain(n); parts != nil {
				c.checkRef(parts)
				return false
			}
		case *ast.IndexExpr:
			if parts := c.chain(n); parts != nil {
				c.checkRef(parts)
				return false
			}
		}
		return true
	}, nil)
}

func isBottom(x ast.Expr) bool {
	_, ok := x.(*ast.BottomLit)
	return ok
}

func (c *compiler) checkRef(parts []part) {
	if len(parts) == 0 {
		return
	}
	step := parts[0].name
	v, ok := c.steps[step]
	if !ok {
		c.add(parts[0].pos, choose("step", step, c.names), "unknown step %q", step)
		return
	}
	if len(parts) < 3 || parts[1].name != "out" {
		if len(parts) > 1 {
			c.checkField(step, v, parts[1])
		}
		return
	}
	outs, known := c.outputs(step)
	out := parts[2].name
	if !known || c.lang.kinds[c.kindOf(v)] == nil {
		return // the step itself is wrong
	}
	for _, name := range outs {
		if name == out {
			return
		}
	}
	hint := choose("output", out, outs)
	if len(outs) > 1 && len(outs) < 8 && strings.HasPrefix(hint, "did you mean") {
		hint += " Its outputs are " + list(outs, "and")
	}
	if other := c.otherwise(c.kindOf(v), out); other != "" {
		hint = other + "; now its output" + plural(len(outs), " is ", "s are ") + list(outs, "and")
	}
	c.add(parts[2].pos, hint, "step %s has no output %q", step, out)
}

func plural(n int, one, many string) string {
	if n == 1 {
		return one
	}
	return many
}

// otherwise says that a kind would have the output under other parameters.
func (c *compiler) otherwise(kind, out string) string {
	if f := c.lang.kinds[kind].fields["out"]; f != nil && f.shape != nil && f.shape.fields[out] != nil {
		return "kind " + kind + " has that output only with other parameters"
	}
	return ""
}

// checkField notes a reference to a step's field that does not exist, most
// often a forgotten out.
func (c *compiler) checkField(step string, v cue.Value, p part) {
	kind := c.lang.kinds[c.kindOf(v)]
	if kind == nil || kind.at(p.name) != nil {
		return
	}
	hint := ""
	outs, known := c.outputs(step)
	if name := Nearest(p.name, outs); known && name != "" {
		hint = "did you mean steps." + step + ".out." + name + "?"
	} else {
		hint = suggest(p.name, kind.names())
	}
	c.add(p.pos, hint, "step %s has no field %q", step, p.name)
}

// followsFrom reports whether u is a reference to a step that is itself wrong.
func (c *compiler) followsFrom(u conjunct) bool {
	x := u.expr()
	if x == nil {
		return false
	}
	if c.blamedIn(x) {
		return true
	}
	found := false
	ast.Walk(x, func(n ast.Node) bool {
		if e, ok := n.(ast.Expr); ok {
			if parts := c.chain(e); len(parts) > 0 {
				found = found || c.isBad(parts[0].name)
				return false
			}
		}
		return !found
	}, nil)
	return found
}

// poisoned reports whether err, of a conjunct evaluated alone, tells of
// another place: a reference into steps fails as soon as any step is wrong.
func (c *compiler) poisoned(u conjunct, err error) bool {
	x := u.expr()
	if x == nil || len(c.problems) == 0 {
		return false
	}
	mentions := false
	ast.Walk(x, func(n ast.Node) bool {
		if id, ok := n.(*ast.Ident); ok && c.isSteps(id) {
			mentions = true
		}
		return !mentions
	}, nil)
	if !mentions {
		return false
	}
	from, to := x.Pos(), x.End()
	for _, e := range errors.Errors(err) {
		for _, p := range errors.Positions(e) {
			if p.Filename() == from.Filename() && p.Offset() >= from.Offset() && p.Offset() <= to.Offset() {
				return false
			}
		}
	}
	return true
}

// isBad reports whether a step has mistakes of its own. Asked before the step
// was read, it looks.
func (c *compiler) isBad(step string) bool {
	v, ok := c.steps[step]
	if !ok || c.bad[step] {
		return true
	}
	kind := c.lang.kinds[c.kindOf(v)]
	if kind == nil {
		return true
	}
	for _, name := range kind.names() {
		if name != "in" && name != "needs" && name != "gate" {
			if fv := v.LookupPath(cue.MakePath(cue.Str(name))); fv.Exists() && fv.Validate() != nil {
				return true
			}
		}
	}
	return false
}

// source1 returns an expression as one line of CUE.
func source1(x ast.Expr) string {
	if x == nil {
		return "it has"
	}
	b, err := format.Node(x)
	if err != nil || len(b) > 100 || strings.Contains(string(b), "\n") {
		return "it has"
	}
	return string(b)
}

func lookup(v cue.Value, path string) cue.Value {
	for _, name := range strings.Split(path, ".") {
		v = v.LookupPath(cue.MakePath(cue.Str(name)))
	}
	return v
}
