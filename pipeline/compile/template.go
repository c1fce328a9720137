package compile

import (
	"slices"

	"cuelang.org/go/cue"
	"cuelang.org/go/cue/ast"
	"cuelang.org/go/cue/format"
	"cuelang.org/go/cue/literal"
	"cuelang.org/go/cue/token"
)

// The steps of a template become steps of a pipeline, and meet the schema
// there, once. Inside the template they are plain structs, for which two
// things are written out before CUE sees the file:
//
//   - steps["\(prefix)-chat"].out.train, which only the schema would fill in,
//     becomes {$step: "\(prefix)-chat", $out: "train", type: "records"};
//   - a parameter that is handed to a field for which the schema has a default
//     becomes its value: two defaults would cancel each other.
//
// Evaluating the schema within each template instead takes twice as long.

// expandTemplates does so everywhere in f. In the pipeline's own file the
// steps at the top are those of the pipeline, and left alone.
// It returns which parameter stands where, by dotted path.
func expandTemplates(f *ast.File, lang *language, isPipeline bool) (params map[token.Pos]string) {
	e := &expander{
		lang: lang, isPipeline: isPipeline,
		steps: map[ast.Node]map[string]*ast.StructLit{}, params: map[token.Pos]string{},
	}
	ast.Walk(f, e.visit, nil)
	if e.json != nil {
		imports := &ast.ImportDecl{Specs: []*ast.ImportSpec{e.json}}
		f.Decls = slices.Insert(f.Decls, firstDecl(f), ast.Decl(imports))
	}
	return e.params
}

// firstDecl is the index of the first declaration of f behind the package
// clause.
func firstDecl(f *ast.File) int {
	i := slices.IndexFunc(f.Decls, func(d ast.Decl) bool {
		switch d.(type) {
		case *ast.Package, *ast.Attribute, *ast.CommentGroup:
			return false
		}
		return true
	})
	if i < 0 {
		return len(f.Decls)
	}
	return i
}

type expander struct {
	lang       *language
	isPipeline bool
	steps      map[ast.Node]map[string]*ast.StructLit // of structs that have a field steps
	params     map[token.Pos]string
	json       *ast.ImportSpec // of encoding/json, when needed
}

// visit rewrites what stands directly in n.
func (e *expander) visit(n ast.Node) bool {
	switch n := n.(type) {
	case *ast.Field:
		if name, _, err := ast.LabelName(n.Label); err == nil && name == "needs" {
			if l, ok := n.Value.(*ast.ListLit); ok {
				e.needs(l)
			}
		}
		if path := parameterIn(n.Value); path != "" {
			e.params[n.Value.Pos()] = path
		}
		e.expand(&n.Value)
	case *ast.LetClause:
		if scope, step, rest := e.chain(n.Expr); scope != nil && len(rest) == 0 {
			n.Expr = e.wholeStep(scope, step, n.Expr)
		}
		e.expand(&n.Expr)
	case *ast.StructLit:
		for _, st := range e.stepsIn(n) {
			e.force(st, e.lang.kinds[kindLiteral(st)], true)
		}
	case *ast.EmbedDecl:
		e.expand(&n.Expr)
	case *ast.Alias:
		e.expand(&n.Expr)
	case *ast.ParenExpr:
		e.expand(&n.X)
	case *ast.BinaryExpr:
		e.expand(&n.X)
		e.expand(&n.Y)
	case *ast.ListLit:
		for i := range n.Elts {
			e.expand(&n.Elts[i])
		}
	case *ast.CallExpr:
		for i := range n.Args {
			e.expand(&n.Args[i])
		}
	case *ast.ForClause:
		e.expand(&n.Source)
	}
	return true
}

// expand replaces x when it is an output of a step of a template.
func (e *expander) expand(x *ast.Expr) {
	if scope, step, rest := e.chain(*x); len(rest) == 2 && rest[0] == "out" {
		*x = e.ref(scope, step, rest[1], *x)
	}
}

// needs rewrites the elements that are whole steps of a template.
func (e *expander) needs(l *ast.ListLit) {
	for i, x := range l.Elts {
		list, at := l.Elts, i
		if c, ok := x.(*ast.Comprehension); ok {
			st, ok := c.Value.(*ast.StructLit)
			if !ok || len(st.Elts) != 1 {
				continue
			}
			embed, ok := st.Elts[0].(*ast.EmbedDecl)
			if !ok {
				continue
			}
			if scope, step, rest := e.chain(embed.Expr); scope != nil && len(rest) == 0 {
				embed.Expr = stepMark(embed.Expr, step)
			}
			continue
		}
		if scope, step, rest := e.chain(x); scope != nil && len(rest) == 0 {
			list[at] = stepMark(x, step)
		}
	}
}

// chain splits steps[NAME].REST, in which steps is a field of a template. The
// scope is the struct that has the field, nil if x is anything else.
func (e *expander) chain(x ast.Expr) (scope ast.Node, step ast.Expr, rest []string) {
	switch x := x.(type) {
	case *ast.ParenExpr:
		return e.chain(x.X)
	case *ast.SelectorExpr:
		name, _, err := ast.LabelName(x.Sel)
		if err != nil {
			return nil, nil, nil
		}
		if scope := e.scopeOf(x.X); scope != nil {
			return scope, ast.NewString(name), nil
		}
		scope, step, rest := e.chain(x.X)
		if scope == nil {
			return nil, nil, nil
		}
		return scope, step, append(rest, name)
	case *ast.IndexExpr:
		if scope := e.scopeOf(x.X); scope != nil {
			return scope, x.Index, nil
		}
		lit, ok := x.Index.(*ast.BasicLit)
		if !ok || lit.Kind != token.STRING {
			return nil, nil, nil
		}
		name, err := literal.Unquote(lit.Value)
		scope, step, rest := e.chain(x.X)
		if err != nil || scope == nil {
			return nil, nil, nil
		}
		return scope, step, append(rest, name)
	}
	return nil, nil, nil
}

// scopeOf returns the struct whose field steps x is, nil if it is anything
// else: steps, or T.steps for a template that is called T.
func (e *expander) scopeOf(x ast.Expr) ast.Node {
	switch x := x.(type) {
	case *ast.Ident:
		if _, isFile := x.Scope.(*ast.File); x.Name != "steps" || x.Scope == nil || isFile && e.isPipeline {
			return nil
		}
		return x.Scope
	case *ast.SelectorExpr:
		id, ok := x.X.(*ast.Ident)
		if name, _, err := ast.LabelName(x.Sel); !ok || err != nil || name != "steps" {
			return nil
		}
		if st := aliased(id.Node); st != nil {
			return st
		}
	}
	return nil
}

// aliased returns the struct that an alias stands for, nil if n is none.
func aliased(n ast.Node) ast.Node {
	switch n := n.(type) {
	case *ast.Alias:
		if st, ok := n.Expr.(*ast.StructLit); ok {
			return st
		}
		return aliased(n.Expr)
	case *ast.Field:
		if a, ok := n.Value.(*ast.Alias); ok {
			return aliased(a)
		}
	case *ast.BinaryExpr:
		for _, x := range []ast.Expr{n.X, n.Y} {
			if st, ok := x.(*ast.StructLit); ok && hasField(st, "steps") {
				return st
			}
		}
	}
	return nil
}

func hasField(st *ast.StructLit, name string) bool {
	return slices.ContainsFunc(st.Elts, func(d ast.Decl) bool {
		f, ok := d.(*ast.Field)
		if !ok {
			return false
		}
		s, _, err := ast.LabelName(f.Label)
		return err == nil && s == name
	})
}

// ref returns {$step: step, $out: out, type: …}, standing where x stood. What
// holds is checked when the pipeline's steps are known.
func (e *expander) ref(scope ast.Node, step ast.Expr, out string, x ast.Expr) ast.Expr {
	fields := []any{
		&ast.Field{Label: ast.NewIdent("$step"), Value: step},
		&ast.Field{Label: ast.NewIdent("$out"), Value: ast.NewString(out)},
	}
	if typ := e.outputs(e.stepsIn(scope)[exprText(step)])[out]; typ != "" {
		fields = append(fields, &ast.Field{Label: ast.NewIdent("type"), Value: ast.NewString(typ)})
	}
	st := ast.NewStruct(fields...)
	st.Lbrace, st.Rbrace = x.Pos(), x.End()
	return st
}

// wholeStep returns what a template may want of one of its steps: to wait for
// it, or its outputs.
func (e *expander) wholeStep(scope ast.Node, step, x ast.Expr) ast.Expr {
	outs := e.outputs(e.stepsIn(scope)[exprText(step)])
	out := ast.NewStruct()
	for name := range outs {
		out.Elts = append(out.Elts, &ast.Field{Label: ast.NewString(name), Value: e.ref(scope, step, name, x)})
	}
	st := stepMark(x, step).(*ast.StructLit)
	st.Elts = append(st.Elts, &ast.Field{Label: ast.NewIdent("out"), Value: out})
	return st
}

// outputs returns the types of all outputs that a step can have, by name, as
// far as its syntax tells.
func (e *expander) outputs(step *ast.StructLit) map[string]string {
	types := map[string]string{}
	sh := e.lang.kinds[kindLiteral(step)]
	if sh == nil || sh.fields["out"] == nil || sh.fields["out"].shape == nil {
		return types
	}
	for name, f := range sh.fields["out"].shape.fields {
		types[name] = ""
		if of := inputTypes(f); len(of) == 1 {
			types[name] = of[0]
		}
	}
	if outs, ok := fieldOf(step, "outputs").(*ast.StructLit); ok {
		for _, d := range outs.Elts {
			f, ok := d.(*ast.Field)
			if !ok {
				continue
			}
			if name, _, err := ast.LabelName(f.Label); err == nil {
				types[name] = stringLiteral(f.Value)
			}
		}
	}
	return types
}

// stepsIn returns the steps that a template writes as literals, by the text of
// their labels.
func (e *expander) stepsIn(scope ast.Node) map[string]*ast.StructLit {
	if m, ok := e.steps[scope]; ok {
		return m
	}
	m := map[string]*ast.StructLit{}
	e.steps[scope] = m
	var decls []ast.Decl
	switch scope := scope.(type) {
	case *ast.StructLit:
		decls = scope.Elts
	case *ast.File:
		decls = scope.Decls
	}
	for _, d := range decls {
		if f, ok := d.(*ast.Field); ok {
			if name, _, err := ast.LabelName(f.Label); err == nil && name == "steps" {
				collectSteps(m, f.Value)
			}
		}
	}
	return m
}

func collectSteps(m map[string]*ast.StructLit, x ast.Expr) {
	switch x := x.(type) {
	case *ast.ParenExpr:
		collectSteps(m, x.X)
	case *ast.BinaryExpr:
		collectSteps(m, x.X)
		collectSteps(m, x.Y)
	case *ast.StructLit:
		for _, d := range x.Elts {
			switch d := d.(type) {
			case *ast.Field:
				if st, ok := d.Value.(*ast.StructLit); ok {
					m[labelText(d.Label)] = st
				}
			case *ast.EmbedDecl:
				collectSteps(m, d.Expr)
			case *ast.Comprehension:
				if st, ok := d.Value.(*ast.StructLit); ok {
					collectSteps(m, st)
				}
			}
		}
	}
}

// exprText is an expression as one key of a map: a name without quotes, anything
// else as CUE writes it.
func exprText(x ast.Expr) string {
	if s := stringLiteral(x); s != "" {
		return s
	}
	b, err := format.Node(x)
	if err != nil {
		return ""
	}
	return string(b)
}

func labelText(l ast.Label) string {
	if name, _, err := ast.LabelName(l); err == nil {
		return name
	}
	switch l := l.(type) {
	case *ast.ParenExpr:
		return exprText(l.X)
	case ast.Expr:
		return exprText(l)
	}
	return ""
}

func stringLiteral(x ast.Expr) string {
	lit, ok := x.(*ast.BasicLit)
	if !ok || lit.Kind != token.STRING {
		return ""
	}
	s, err := literal.Unquote(lit.Value)
	if err != nil {
		return ""
	}
	return s
}

func kindLiteral(step *ast.StructLit) string { return stringLiteral(fieldOf(step, "kind")) }

// fieldOf returns the value of a field that st writes, or nil.
func fieldOf(st *ast.StructLit, name string) ast.Expr {
	if st == nil {
		return nil
	}
	for _, d := range st.Elts {
		if f, ok := d.(*ast.Field); ok {
			if s, _, err := ast.LabelName(f.Label); err == nil && s == name {
				return f.Value
			}
		}
	}
	return nil
}

// force writes parameters that meet a default of the schema as their values.
func (e *expander) force(st *ast.StructLit, sh *shape, isStep bool) {
	if sh == nil {
		return
	}
	for _, d := range st.Elts {
		switch d := d.(type) {
		case *ast.Comprehension:
			if st, ok := d.Value.(*ast.StructLit); ok {
				e.force(st, sh, isStep)
			}
		case *ast.Field:
			name, _, err := ast.LabelName(d.Label)
			f := sh.fields[name]
			if err != nil || f == nil || f.path || isStep && notParams[name] {
				continue
			}
			if inner, ok := d.Value.(*ast.StructLit); ok {
				e.force(inner, f.shape, false)
			} else if isParameter(d.Value) && e.lang.hasDefault(f) {
				d.Value = e.forced(d.Value, e.lang.wants(f))
			}
		}
	}
}

// notParams are the fields of a step that are no parameters of its kind.
var notParams = map[string]bool{"kind": true, "in": true, "out": true, "needs": true, "gate": true}

// parameterIn returns the path of the only parameter of a template that x
// mentions, "" when there is none or several.
func parameterIn(x ast.Expr) string {
	path, several := "", false
	ast.Walk(x, func(n ast.Node) bool {
		found := ""
		switch n := n.(type) {
		case *ast.StructLit, *ast.ListLit:
			return false
		case *ast.SelectorExpr:
			found = below(n)
		}
		several = several || path != "" && found != "" && found != path
		if found != "" {
			path = found
		}
		return found == ""
	}, nil)
	if several {
		return ""
	}
	return path
}

// below returns the path of x below the alias of a template, or "".
func below(x *ast.SelectorExpr) string {
	name, _, err := ast.LabelName(x.Sel)
	if err != nil {
		return ""
	}
	switch head := x.X.(type) {
	case *ast.Ident:
		if aliased(head.Node) != nil {
			return name
		}
	case *ast.SelectorExpr:
		if path := below(head); path != "" {
			return path + "." + name
		}
	}
	return ""
}

// isParameter reports whether x is a mere reference to a field.
func isParameter(x ast.Expr) bool {
	switch x := x.(type) {
	case *ast.Ident:
		return x.Node != nil && !isDefinition(x.Name)
	case *ast.SelectorExpr:
		name, _, err := ast.LabelName(x.Sel)
		return err == nil && !isDefinition(name) && isOperand(x.X)
	}
	return false
}

func isOperand(x ast.Expr) bool {
	_, ok := x.(*ast.Ident)
	return ok || isParameter(x)
}

func isDefinition(name string) bool { return len(name) > 0 && name[0] == '#' }

// forced returns x as an expression that has no default but a value: +x, "\(x)"
// or !!x by what the schema wants, else json.Unmarshal(json.Marshal(x)).
func (e *expander) forced(x ast.Expr, ws []want) ast.Expr {
	var kinds cue.Kind
	for _, w := range ws {
		kinds |= w.kind
	}
	lit := func(s string) ast.Expr { return &ast.BasicLit{ValuePos: x.Pos(), Kind: token.STRING, Value: s} }
	switch {
	case kinds != 0 && kinds&^cue.NumberKind == 0:
		return &ast.UnaryExpr{OpPos: x.Pos(), Op: token.ADD, X: x}
	case kinds == cue.BoolKind:
		return &ast.UnaryExpr{OpPos: x.Pos(), Op: token.NOT, X: &ast.UnaryExpr{OpPos: x.Pos(), Op: token.NOT, X: x}}
	case kinds == cue.StringKind:
		return &ast.Interpolation{Elts: []ast.Expr{lit(`"\(`), x, lit(`)"`)}}
	}
	const alias = "pipe_json_"
	if e.json == nil {
		e.json = ast.NewImport(ast.NewIdent(alias), "encoding/json")
	}
	call := func(name string, arg ast.Expr) ast.Expr {
		id := &ast.Ident{NamePos: x.Pos(), Name: alias, Node: e.json}
		return &ast.CallExpr{Fun: &ast.SelectorExpr{X: id, Sel: ast.NewIdent(name)}, Args: []ast.Expr{arg}, Rparen: x.End()}
	}
	return call("Unmarshal", call("Marshal", x))
}

// unforced returns the x of forced(x), and anything else as it is.
func unforced(x ast.Expr) ast.Expr {
	if u, ok := x.(*ast.UnaryExpr); ok && u.OpPos == u.X.Pos() {
		return unforced(u.X)
	}
	if i, ok := x.(*ast.Interpolation); ok && len(i.Elts) == 3 && i.Elts[0].Pos() == i.Elts[1].Pos() {
		return i.Elts[1]
	}
	for range 2 {
		call, ok := x.(*ast.CallExpr)
		if !ok || len(call.Args) != 1 {
			return x
		}
		if sel, ok := call.Fun.(*ast.SelectorExpr); !ok || !isIdent(sel.X, "pipe_json_") {
			return x
		}
		x = call.Args[0]
	}
	return x
}

func isIdent(x ast.Expr, name string) bool {
	id, ok := x.(*ast.Ident)
	return ok && id.Name == name
}
