package compile

import (
	"cuelang.org/go/cue/ast"
)

// rewriteNeeds turns the elements steps.X of every list called needs into
// {$step: "X"}. A list of whole steps would copy each of them, with all that
// they need in turn, into its dependants, and two steps that need each other
// would be an endless structure instead of a cycle to be named.
func (c *compiler) rewriteNeeds() {
	ast.Walk(c.file, func(n ast.Node) bool {
		f, ok := n.(*ast.Field)
		if !ok {
			return true
		}
		if name, _, err := ast.LabelName(f.Label); err != nil || name != "needs" {
			return true
		}
		if l, ok := f.Value.(*ast.ListLit); ok {
			for i, e := range l.Elts {
				l.Elts[i] = c.needed(e)
			}
		}
		return false
	}, nil)
}

func (c *compiler) needed(x ast.Expr) ast.Expr {
	switch x := x.(type) {
	case *ast.SelectorExpr:
		if c.isSteps(x.X) {
			if name, _, err := ast.LabelName(x.Sel); err == nil {
				return stepMark(x, ast.NewString(name))
			}
		}
	case *ast.IndexExpr:
		if c.isSteps(x.X) {
			return stepMark(x, x.Index)
		}
	case *ast.Comprehension:
		if st, ok := x.Value.(*ast.StructLit); ok && len(st.Elts) == 1 {
			if e, ok := st.Elts[0].(*ast.EmbedDecl); ok {
				e.Expr = c.needed(e.Expr)
			}
		}
	}
	return x
}

// stepMark returns {$step: name}, standing where x stood.
func stepMark(x, name ast.Expr) ast.Expr {
	st := ast.NewStruct(&ast.Field{Label: ast.NewIdent("$step"), Value: name})
	st.Lbrace = x.Pos()
	return st
}

// isSteps reports whether x is the file's own field steps.
func (c *compiler) isSteps(x ast.Expr) bool {
	id, ok := x.(*ast.Ident)
	if !ok || id.Name != "steps" {
		return false
	}
	file, ok := id.Scope.(*ast.File)
	return ok && file == c.file
}
