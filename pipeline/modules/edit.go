package modules

import (
	"cmp"
	"maps"
	"slices"
	"strconv"

	"cuelang.org/go/cue/ast"
	"cuelang.org/go/cue/format"
	"cuelang.org/go/cue/parser"
	"cuelang.org/go/cue/token"
	"cuelang.org/go/mod/modfile"
)

// withDeps returns the text of a module file with other dependencies. What
// else it says, comments too, stays as it is.
func withDeps(text []byte, f *modfile.File, deps map[string]*modfile.Dep) ([]byte, error) {
	if b, err := editDeps(text, deps); err == nil && saysDeps(b, deps) {
		return b, nil
	}
	g := *f
	g.Deps = deps
	return modfile.Format(&g)
}

// saysDeps reports whether a module file has just these dependencies.
func saysDeps(b []byte, deps map[string]*modfile.Dep) bool {
	f, err := modfile.Parse(b, "module.cue")
	return err == nil && maps.EqualFunc(f.Deps, deps, func(a, b *modfile.Dep) bool { return *a == *b })
}

func editDeps(text []byte, deps map[string]*modfile.Dep) ([]byte, error) {
	file, err := parser.ParseFile("module.cue", text, parser.ParseComments)
	if err != nil {
		return nil, err
	}
	at := slices.IndexFunc(file.Decls, func(d ast.Decl) bool { return labelOf(d) == "deps" })
	var old []ast.Decl
	if at >= 0 {
		if s, ok := file.Decls[at].(*ast.Field).Value.(*ast.StructLit); ok {
			old = s.Elts
		}
	}
	var fields []ast.Decl
	for _, name := range slices.Sorted(maps.Keys(deps)) {
		i := slices.IndexFunc(old, func(d ast.Decl) bool { return labelOf(d) == name })
		if i < 0 {
			fields = append(fields, depField(name, deps[name], nil))
			continue
		}
		fields = append(fields, depField(name, deps[name], old[i].(*ast.Field)))
	}
	value := &ast.StructLit{Lbrace: token.Blank.Pos(), Elts: fields, Rbrace: token.Newline.Pos()}
	switch {
	case len(deps) == 0 && at >= 0:
		file.Decls = slices.Delete(file.Decls, at, at+1)
	case at >= 0:
		file.Decls[at].(*ast.Field).Value = value
	case len(deps) > 0:
		f := &ast.Field{Label: ast.NewIdent("deps"), Value: value}
		ast.SetRelPos(f, token.Newline)
		file.Decls = append(file.Decls, f)
	}
	return format.Node(file)
}

// depField writes a dependency, with the comments that it had.
func depField(name string, d *modfile.Dep, old *ast.Field) *ast.Field {
	v := &ast.StructLit{Lbrace: token.Blank.Pos(), Rbrace: token.Newline.Pos()}
	add := func(label string, e ast.Expr) {
		f := &ast.Field{Label: ast.NewIdent(label), Value: e}
		ast.SetRelPos(f, token.Newline)
		v.Elts = append(v.Elts, f)
	}
	add("v", ast.NewString(d.Version))
	if d.Default {
		add("default", ast.NewBool(true))
	}
	if d.ReplaceWith != "" {
		add("replaceWith", ast.NewString(d.ReplaceWith))
	}
	f := &ast.Field{Label: ast.NewString(name), Value: v}
	if old != nil {
		ast.SetComments(f, slices.Concat(ast.Comments(old), ast.Comments(old.Label)))
	}
	ast.SetRelPos(f, token.Newline)
	return f
}

// labelOf returns the name of a field, or "".
func labelOf(d ast.Decl) string {
	f, ok := d.(*ast.Field)
	if !ok {
		return ""
	}
	switch l := f.Label.(type) {
	case *ast.Ident:
		return l.Name
	case *ast.BasicLit:
		return cmp.Or(first(strconv.Unquote(l.Value)), "")
	}
	return ""
}

func first(s string, _ error) string { return s }
