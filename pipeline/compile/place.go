package compile

import (
	"strings"

	"cuelang.org/go/cue"
	"cuelang.org/go/cue/ast"
	"cuelang.org/go/cue/token"

	"github.com/pipe-run/pipe/pipeline"
)

// A place is where a step is written, found in the syntax alone: fast, but
// blind to what comprehensions and other packages make.
type place struct {
	label  token.Pos
	again  token.Pos             // where a second struct of the same name stands
	fields map[string]*ast.Field // by dotted path
	refs   []string              // paths whose values stand elsewhere; "" is the step itself
}

// topField returns the first field of the file with that name.
func topField(f *ast.File, name string) *ast.Field {
	for _, d := range f.Decls {
		if d, ok := d.(*ast.Field); ok {
			if s, _, err := ast.LabelName(d.Label); err == nil && s == name {
				return d
			}
		}
	}
	return nil
}

// findPlaces finds the steps that the file writes as literals.
func (c *compiler) findPlaces() map[string]*place {
	places := map[string]*place{}
	for _, d := range c.file.Decls {
		if d, ok := d.(*ast.Field); ok {
			if s, _, err := ast.LabelName(d.Label); err == nil && s == "steps" {
				findSteps(places, d.Value)
			}
		}
	}
	return places
}

func findSteps(places map[string]*place, x ast.Expr) {
	st, ok := x.(*ast.StructLit)
	if !ok {
		if b, ok := x.(*ast.BinaryExpr); ok && b.Op == token.AND {
			findSteps(places, b.X)
			findSteps(places, b.Y)
		}
		return
	}
	for _, d := range st.Elts {
		d, ok := d.(*ast.Field)
		if !ok {
			continue
		}
		name, _, err := ast.LabelName(d.Label)
		if err != nil {
			continue
		}
		p := places[name]
		if p == nil {
			p = &place{label: d.Label.Pos(), fields: map[string]*ast.Field{}}
			places[name] = p
		} else if _, ok := d.Value.(*ast.StructLit); ok && !d.Value.(*ast.StructLit).Lbrace.IsValid() {
			// steps: a: x: 1, then steps: a: y: 2 is one step
		} else if ok {
			p.again = d.Label.Pos()
		}
		p.read("", d.Value, 0)
	}
}

// read notes the fields of x, whose own path is prefix.
func (p *place) read(prefix string, x ast.Expr, depth int) {
	switch x := x.(type) {
	case *ast.StructLit:
		for _, d := range x.Elts {
			switch d := d.(type) {
			case *ast.Field:
				name, _, err := ast.LabelName(d.Label)
				if err != nil || d.Constraint != token.ILLEGAL {
					p.refs = append(p.refs, prefix)
					continue
				}
				path := join(prefix, name)
				if p.fields[path] == nil {
					p.fields[path] = d
				}
				p.read(path, d.Value, depth+1)
			case *ast.EmbedDecl:
				p.read(prefix, d.Expr, depth+1)
			case *ast.Comprehension:
				p.refs = append(p.refs, prefix)
			}
		}
	case *ast.BinaryExpr:
		if x.Op == token.AND {
			p.read(prefix, x.X, depth+1)
			p.read(prefix, x.Y, depth+1)
		}
	case *ast.ParenExpr:
		p.read(prefix, x.X, depth+1)
	case *ast.Ident, *ast.SelectorExpr, *ast.IndexExpr, *ast.CallExpr:
		p.refs = append(p.refs, prefix)
	}
}

func join(prefix, name string) string {
	if prefix == "" {
		return name
	}
	return prefix + "." + name
}

// fieldPositions returns the place of every parameter of a step that the user
// wrote: where the value begins, or the label in front of a struct.
func (c *compiler) fieldPositions(name string, v cue.Value) map[string]pipeline.Pos {
	all := map[string]pipeline.Pos{}
	p := c.places[name]
	if p == nil {
		p = c.inner[name]
	}
	if p != nil {
		for path, f := range p.fields {
			all[path] = c.pos(fieldPos(f))
		}
	}
	kind := c.lang.kinds[c.kindOf(v)]
	if p == nil {
		c.walkPositions(all, "", v, kind)
		return all
	}
	for _, path := range p.refs {
		if path == "" {
			c.walkPositions(all, "", v, kind)
		} else if sh := kind.below(path); sh != nil {
			c.walkPositions(all, path, lookup(v, path), sh)
		}
	}
	return all
}

// below returns the shape of the struct at path that holds parameters, or nil.
func (s *shape) below(path string) *shape {
	for _, name := range strings.Split(path, ".") {
		if name == "in" || name == "out" || name == "needs" || name == "gate" {
			return nil
		}
		f := s.at(name)
		if f == nil || f.shape == nil {
			return nil
		}
		s = f.shape
	}
	return s
}

func fieldPos(f *ast.Field) token.Pos {
	switch f.Value.(type) {
	case *ast.StructLit:
		return f.Label.Pos()
	}
	return f.Value.Pos()
}

// walkPositions adds the places of fields that only evaluation knows.
func (c *compiler) walkPositions(all map[string]pipeline.Pos, prefix string, v cue.Value, sh *shape) {
	it, err := v.Fields()
	if err != nil || sh == nil {
		return
	}
	for it.Next() {
		name := it.Selector().Unquoted()
		if prefix == "" && name == "out" {
			continue
		}
		path := join(prefix, name)
		us := c.userConjuncts(it.Value())
		if len(us) == 0 {
			continue
		}
		if _, ok := all[path]; !ok {
			all[path] = c.pos(us[0].pos())
		}
		if f := sh.at(name); f != nil && f.shape != nil && (prefix != "in" || f.isGroup()) && it.Value().IncompleteKind() == cue.StructKind {
			c.walkPositions(all, path, it.Value(), f.shape)
		}
	}
}

// A conjunct is one of the values that were unified into a field, evaluated
// alone.
type conjunct struct {
	value cue.Value
	src   ast.Node
}

// pos is where the conjunct's value begins, or its label before a struct.
func (u conjunct) pos() token.Pos {
	if f, ok := u.src.(*ast.Field); ok {
		return fieldPos(f)
	}
	return u.src.Pos()
}

// label is where the conjunct's field is named.
func (u conjunct) label() token.Pos {
	if f, ok := u.src.(*ast.Field); ok {
		return f.Label.Pos()
	}
	return u.src.Pos()
}

// expr is what the user wrote as the value, when that is known.
func (u conjunct) expr() ast.Expr {
	switch x := u.src.(type) {
	case *ast.Field:
		return unforced(x.Value)
	case ast.Expr:
		return unforced(x)
	}
	return nil
}

// userConjuncts returns the conjuncts of v that stand in the user's files.
func (c *compiler) userConjuncts(v cue.Value) []conjunct {
	user, _ := conjuncts(v)
	return user
}

// conjuncts splits a field into what the user and what the schema say of it.
func conjuncts(v cue.Value) (user, schema []conjunct) {
	add := func(v cue.Value, src ast.Node) {
		if src == nil {
			return
		}
		if u := (conjunct{v, src}); isUser(src.Pos()) {
			user = append(user, u)
		} else {
			schema = append(schema, u)
		}
	}
	if src := v.Source(); src != nil {
		if _, ok := src.(*ast.Field); ok {
			add(v, src)
			return user, schema
		}
	}
	op, args := v.Expr()
	if op != cue.AndOp {
		add(v, v.Source())
		return user, schema
	}
	for _, a := range args {
		add(a, a.Source())
	}
	return user, schema
}

// labelPos is where the user named the field v.
func (c *compiler) labelPos(v cue.Value) token.Pos {
	if us := c.userConjuncts(v); len(us) > 0 {
		return us[0].label()
	}
	return token.NoPos
}

// valuePos is where the user wrote the value v.
func (c *compiler) valuePos(v cue.Value) token.Pos {
	if us := c.userConjuncts(v); len(us) > 0 {
		return us[0].pos()
	}
	return token.NoPos
}

// literalPos is where the text of a string is written, be it behind
// references.
func (c *compiler) literalPos(v cue.Value) token.Pos {
	switch src := v.Source().(type) {
	case *ast.BasicLit, *ast.Interpolation, *ast.BinaryExpr:
		if isUser(src.Pos()) {
			return src.Pos()
		}
	}
	return c.valuePos(v)
}

// wirePos is where step waits for up.
func (c *compiler) wirePos(step, up string) token.Pos {
	v := c.steps[step]
	n := c.nodes[step]
	for in, ref := range n.Inputs {
		if ref.Step == up {
			return c.at(step, v, "in."+in)
		}
	}
	return c.at(step, v, "needs")
}

// at is where the parameter at path of a step is written, or what encloses
// it, or the step.
func (c *compiler) at(step string, v cue.Value, path string) token.Pos {
	if p := c.places[step]; p != nil && p.fields[path] != nil {
		return fieldPos(p.fields[path])
	}
	if pos := c.valuePos(lookup(v, path)); pos.IsValid() {
		return pos
	}
	return c.stepPos(step, v)
}

// kindOf returns the kind of a step, or "".
func (c *compiler) kindOf(v cue.Value) string {
	kind, _ := v.LookupPath(kindPath).String()
	return kind
}
