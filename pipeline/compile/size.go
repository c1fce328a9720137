package compile

import (
	"math"
	"strconv"
	"strings"

	"cuelang.org/go/cue/ast"
	"cuelang.org/go/cue/parser"
	"cuelang.org/go/cue/token"
)

// suspicious is how many values something must have to be named by biggest.
const suspicious = 10000

// biggest guesses from the syntax alone which step, or else which field or
// let of the file, makes most values: nothing can be asked of a CUE that is
// still evaluating. It returns "" when nothing stands out. The file is parsed
// anew, for the evaluation may be using the old syntax.
func biggest(src []byte, name string) (what string, pos token.Pos) {
	f, err := parser.ParseFile(name, src)
	if err != nil {
		return "", token.NoPos
	}
	s := &sizer{memo: map[ast.Node]float64{}, lens: map[ast.Node]float64{}}
	most := float64(suspicious)
	note := func(label string, at token.Pos, x ast.Expr) {
		if n := s.size(x); n >= most {
			what, pos, most = label, at, n*1.0000001
		}
	}
	for _, d := range f.Decls {
		if d, ok := d.(*ast.Field); ok {
			if n, _, err := ast.LabelName(d.Label); err == nil && n == "steps" {
				s.steps(d.Value, note)
			}
		}
	}
	if what != "" {
		return what, pos
	}
	for _, d := range f.Decls {
		switch d := d.(type) {
		case *ast.Field:
			if n, _, err := ast.LabelName(d.Label); err == nil && n != "steps" {
				note(n, d.Pos(), d.Value)
			}
		case *ast.LetClause:
			note(d.Ident.Name, d.Pos(), d.Expr)
		}
	}
	return what, pos
}

func (s *sizer) steps(x ast.Expr, note func(string, token.Pos, ast.Expr)) {
	st, ok := x.(*ast.StructLit)
	if !ok {
		return
	}
	for _, d := range st.Elts {
		switch d := d.(type) {
		case *ast.Field:
			if n, _, err := ast.LabelName(d.Label); err == nil {
				note("step "+n, d.Label.Pos(), d.Value)
			}
		case *ast.Comprehension:
			note("the steps of this comprehension", d.Pos(), d)
		}
	}
}

// A sizer estimates how many values an expression has when references are
// written out and comprehensions unrolled.
type sizer struct {
	memo, lens map[ast.Node]float64
}

const unknownLen = 8

func (s *sizer) size(x ast.Node) float64 {
	if x == nil {
		return 0
	}
	if n, ok := s.memo[x]; ok {
		return n
	}
	s.memo[x] = 1 // of what refers to itself
	n := math.Min(s.sum(x), 1e300)
	s.memo[x] = n
	return n
}

func (s *sizer) sum(x ast.Node) float64 {
	switch x := x.(type) {
	case *ast.Ident:
		if target, ok := x.Node.(ast.Expr); ok {
			return s.size(target)
		}
		if let, ok := x.Node.(*ast.LetClause); ok {
			return s.size(let.Expr)
		}
		return 1
	case *ast.Comprehension:
		times := 1.0
		n := 0.0
		for _, c := range x.Clauses {
			if f, ok := c.(*ast.ForClause); ok {
				n += s.size(f.Source)
				times *= s.len(f.Source, 0)
			}
		}
		return n + times*s.size(x.Value)
	case *ast.CallExpr:
		return s.len(x, 0)
	}
	total := 1.0
	first := true
	ast.Walk(x, func(n ast.Node) bool {
		if first {
			first = false
			return true
		}
		switch n := n.(type) {
		case *ast.Ident, *ast.Comprehension, *ast.CallExpr, *ast.StructLit, *ast.ListLit:
			total += s.size(n)
			return false
		}
		return true
	}, nil)
	return total
}

// len estimates the number of elements of a list or struct.
func (s *sizer) len(x ast.Node, depth int) float64 {
	if depth > 20 {
		return unknownLen
	}
	switch x := x.(type) {
	case *ast.Ident:
		switch target := x.Node.(type) {
		case *ast.LetClause:
			return s.len(target.Expr, depth+1)
		case ast.Expr:
			return s.len(target, depth+1)
		}
	case *ast.ListLit:
		n := 0.0
		for _, e := range x.Elts {
			n++
			if c, ok := e.(*ast.Comprehension); ok {
				n--
				times := 1.0
				for _, cl := range c.Clauses {
					if f, ok := cl.(*ast.ForClause); ok {
						times *= s.len(f.Source, depth+1)
					}
				}
				n += times
			}
		}
		return n
	case *ast.StructLit:
		return float64(len(x.Elts))
	case *ast.CallExpr:
		return callLen(x)
	case *ast.ParenExpr:
		return s.len(x.X, depth+1)
	}
	return unknownLen
}

// callLen estimates list.Range and the like by their largest number.
func callLen(x *ast.CallExpr) float64 {
	n := float64(unknownLen)
	for _, a := range x.Args {
		if lit, ok := a.(*ast.BasicLit); ok && (lit.Kind == token.INT || lit.Kind == token.FLOAT) {
			if f, err := strconv.ParseFloat(strings.ReplaceAll(lit.Value, "_", ""), 64); err == nil {
				n = math.Max(n, f)
			}
		}
	}
	return n
}
