package compile

import (
	"strconv"
	"strings"

	"cuelang.org/go/cue"
	"cuelang.org/go/cue/ast"
	"cuelang.org/go/cue/literal"
	"cuelang.org/go/cue/token"

	"github.com/pipe-run/pipe/pipeline/modules"
)

// A use is a place of the pipeline file that uses a template: an expression
// such as chat.#Template & {prefix: "a", …}.
type use struct {
	template string // as the file calls it: chat.#Template
	path     string // import path of its package; "" for one of the file itself
	def      string // its name there: #Template
	expr     ast.Expr
	pos      token.Pos
	fields   map[string]*ast.Field // what the user gives it, by dotted path

	begin, end string // of the prefix; what lies between is computed
	exact      bool   // begin is all of it
}

// at is where the user gives the template the parameter at path, or what
// encloses it, or where the template is used.
func (u *use) at(path string) token.Pos {
	for path != "" {
		if f := u.fields[path]; f != nil {
			return fieldPos(f)
		}
		i := strings.LastIndexByte(path, '.')
		path = path[:max(i, 0)]
	}
	return u.pos
}

// matches returns how many letters of the prefix begin the name of a step, -1
// when it is none of the template's.
func (u *use) matches(name string) int {
	rest, ok := strings.CutPrefix(name, u.begin)
	if !ok || !u.exact && !strings.Contains(rest, u.end) {
		return -1
	}
	return len(u.begin) + len(u.end)
}

// letField is the hidden field by which the value of a let of the file can be
// looked up.
const letField = "_pipe_let_"

// findUses finds the templates that the file uses, and makes lets that are
// such uses visible from outside.
func (c *compiler) findUses() {
	paths := map[string]string{}
	for spec := range c.file.ImportSpecs() {
		if p, err := strconv.Unquote(spec.Path.Value); err == nil && isModulePath(p) {
			ip := ast.ParseImportPath(p)
			name := ip.Qualifier
			if spec.Name != nil {
				name = spec.Name.Name
			}
			paths[name] = p
		}
	}
	for _, d := range c.file.Decls {
		let, ok := d.(*ast.LetClause)
		if !ok {
			continue
		}
		if b, ok := let.Expr.(*ast.BinaryExpr); ok && c.readUse(b, paths) != nil {
			id := ast.NewIdent(let.Ident.Name)
			id.Node, id.Scope = let, c.file
			c.file.Decls = append(c.file.Decls, &ast.Field{Label: ast.NewIdent(letField + let.Ident.Name), Value: id})
		}
	}
	ast.Walk(c.file, func(n ast.Node) bool {
		if b, ok := n.(*ast.BinaryExpr); ok {
			if u := c.readUse(b, paths); u != nil {
				c.uses = append(c.uses, u)
				return false
			}
		}
		return true
	}, nil)
}

// readUse reads x as the use of a template, nil if it is none.
func (c *compiler) readUse(x *ast.BinaryExpr, paths map[string]string) *use {
	if x.Op != token.AND {
		return nil
	}
	u := &use{expr: x, pos: x.Pos()}
	var given *place
	var visit func(x ast.Expr)
	visit = func(x ast.Expr) {
		switch x := x.(type) {
		case *ast.BinaryExpr:
			visit(x.X)
			visit(x.Y)
		case *ast.ParenExpr:
			visit(x.X)
		case *ast.StructLit:
			if given == nil {
				given = &place{fields: map[string]*ast.Field{}}
			}
			given.read("", x, 0)
		case *ast.SelectorExpr:
			name, _, err := ast.LabelName(x.Sel)
			if id, ok := x.X.(*ast.Ident); ok && err == nil && isDefinition(name) && paths[id.Name] != "" && id.Scope == nil {
				u.template, u.path, u.def = id.Name+"."+name, paths[id.Name], name
			}
		case *ast.Ident:
			if isDefinition(x.Name) && topField(c.file, x.Name) != nil {
				u.template, u.def = x.Name, x.Name
			}
		}
	}
	visit(x)
	if given == nil || u.template == "" || u.path == modules.SchemaImport {
		return nil
	}
	if u.path == "" && !isTemplate(topField(c.file, u.def).Value) {
		return nil
	}
	u.fields = given.fields
	if f := given.fields["prefix"]; f != nil {
		u.readPrefix(f.Value)
	}
	return u
}

// isTemplate reports whether a definition writes a prefix and steps.
func isTemplate(x ast.Expr) bool {
	if a, ok := x.(*ast.Alias); ok {
		x = a.Expr
	}
	st, ok := x.(*ast.StructLit)
	return ok && hasField(st, "prefix") && hasField(st, "steps")
}

func (u *use) readPrefix(x ast.Expr) {
	switch x := x.(type) {
	case *ast.BasicLit:
		u.begin, u.exact = stringLiteral(x), true
	case *ast.Interpolation:
		u.begin, u.end = edge(x.Elts[0]), edge(x.Elts[len(x.Elts)-1])
	}
}

// edge returns the text of the first or last part of an interpolation.
func edge(x ast.Expr) string {
	lit, ok := x.(*ast.BasicLit)
	if !ok {
		return ""
	}
	s := strings.TrimSuffix(strings.TrimPrefix(strings.TrimPrefix(lit.Value, `"`), ")"), `\(`)
	s, err := literal.Unquote(`"` + strings.TrimSuffix(s, `"`) + `"`)
	if err != nil {
		return ""
	}
	return s
}

// useOf returns the use that a step comes from, nil if the file writes it.
func (c *compiler) useOf(step string) *use {
	if len(c.uses) == 0 {
		return nil
	}
	if in := c.fromUse[step]; in != nil {
		return in.use
	}
	if c.places[step] != nil {
		return nil
	}
	var best *use
	most := -1
	for _, u := range c.uses {
		if n := u.matches(step); n > most {
			best, most = u, n
		}
	}
	return best
}

// useAt returns the use that a place in a template belongs to.
func (c *compiler) useAt(p token.Pos) *use {
	if c.use != nil || len(c.uses) == 0 {
		return c.use
	}
	for _, u := range c.uses {
		for _, f := range c.packageFiles(u.path) {
			if f.Filename == p.Filename() {
				return u
			}
		}
	}
	return nil
}

// packageFiles returns the files of a package that the pipeline imports.
func (c *compiler) packageFiles(path string) []*ast.File {
	if path == "" || c.world == nil || c.world.inst == nil {
		return nil
	}
	want := ast.ParseImportPath(path).Unqualified()
	for _, inst := range c.world.inst.Imports {
		got := ast.ParseImportPath(inst.ImportPath).Unqualified()
		if got == want || got.Path == want.Path && want.Version == "" {
			return inst.Files
		}
	}
	return nil
}

// importPos is where the file imports something of a module, or its start.
func (c *compiler) importPos(in modules.Place) token.Pos {
	module, _, _ := strings.Cut(in.Module, "@")
	for spec := range c.file.ImportSpecs() {
		if p, err := strconv.Unquote(spec.Path.Value); err == nil && (p == module || strings.HasPrefix(p, module+"/") || strings.HasPrefix(p, module+"@")) {
			return spec.Path.Pos()
		}
	}
	for spec := range c.file.ImportSpecs() { // of a module that another one needs
		if p, err := strconv.Unquote(spec.Path.Value); err == nil && isModulePath(p) && p != modules.SchemaImport {
			return spec.Path.Pos()
		}
	}
	return c.start()
}

// declaration returns the struct by which the template of u is defined.
func (c *compiler) declaration(u *use) *ast.StructLit {
	files := []*ast.File{c.file}
	if u.path != "" {
		files = c.packageFiles(u.path)
	}
	for _, f := range files {
		if d := topField(f, u.def); d != nil {
			x := d.Value
			if a, ok := x.(*ast.Alias); ok {
				x = a.Expr
			}
			if st, ok := x.(*ast.StructLit); ok {
				return st
			}
		}
	}
	return nil
}

// An instance is the value of a use; a comprehension makes several of one.
type instance struct {
	use    *use
	name   string // of the field that holds it
	prefix string
	value  cue.Value
}

// instances finds the templates in use among the hidden fields of the file, and
// in structs there.
func (c *compiler) instances() []*instance {
	if len(c.uses) == 0 {
		return nil
	}
	var all []*instance
	it, err := c.root.Fields(cue.Hidden(true))
	for err == nil && it.Next() {
		sel := it.Selector()
		if sel.LabelType() == cue.StringLabel && !strings.HasPrefix(sel.String(), "_") {
			continue
		}
		all = c.collect(all, sel.String(), it.Value(), 0)
	}
	return all
}

func (c *compiler) collect(all []*instance, name string, v cue.Value, depth int) []*instance {
	if v.IncompleteKind() != cue.StructKind && v.Err() == nil {
		return all
	}
	if v.LookupPath(cue.ParsePath("steps")).Exists() {
		if u, prefix := c.useBehind(name, v); u != nil {
			return append(all, &instance{u, name, prefix, v})
		}
		return all
	}
	if it, err := v.Fields(cue.Hidden(true)); err == nil && depth < 3 {
		for it.Next() {
			all = c.collect(all, it.Selector().String(), it.Value(), depth+1)
		}
	}
	return all
}

// useBehind returns the use that made a value: the one that the field of this
// name holds, else that with its prefix.
func (c *compiler) useBehind(name string, v cue.Value) (*use, string) {
	prefix, err := v.LookupPath(cue.ParsePath("prefix")).String()
	for _, d := range c.file.Decls {
		var x ast.Expr
		switch d := d.(type) {
		case *ast.Field:
			if s, _, err := ast.LabelName(d.Label); err == nil && s == name {
				x = d.Value
			}
		case *ast.LetClause:
			if letField+d.Ident.Name == name {
				x = d.Expr
			}
		}
		for _, u := range c.uses {
			if x != nil && u.expr == x {
				return u, prefix
			}
		}
	}
	var best *use
	most := -1
	for _, u := range c.uses {
		if n := u.matches(prefix + "-"); err == nil && n > most {
			best, most = u, n
		}
	}
	return best, prefix
}
