package compile

import (
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"sync"

	"cuelang.org/go/cue"
	"cuelang.org/go/cue/ast"
	"cuelang.org/go/cue/parser"
	"cuelang.org/go/cue/token"

	"github.com/pipe-run/pipe/schemas"
)

// A shape is what the schema's syntax says about a struct: which fields it
// may have. Every alternative and condition counts, so a shape allows at
// least what the schema allows.
type shape struct {
	fields map[string]*field
	each   *field // of fields beyond those: the value of a pattern
	key    *field // their names: the pattern
	open   bool   // any further field is allowed
	order  []*field
}

// A field is what the schema's syntax says about one field.
type field struct {
	name     string
	sel      cue.Path // of name
	optional bool     // marked ?, or behind a condition or alternative
	nokey    bool     // @nokey(): cannot change bytes
	path     bool     // @path(): a path, relative to the file that writes it
	one      bool     // @one(): a struct of which exactly one field is given
	exprs    []ast.Expr
	doc      string

	when  []condition // beside which other parameters there is the field; none: always
	shape *shape      // when it can be a struct
	elem  *field      // when it can be a list
	mixed bool        // something beneath is marked @nokey() or @path()
}

// A language is the schema in the form that this package reads it: the kinds
// by name and the definitions they use.
type language struct {
	files    []*ast.File
	defs     map[string][]ast.Expr
	pipeline *shape
	kinds    map[string]*shape
}

// kindNames returns the names of all kinds, sorted.
func (l *language) kindNames() []string { return slices.Sorted(maps.Keys(l.kinds)) }

// builtin parses the embedded schema, once per process: it cannot change. The
// CUE compiler only reads the syntax.
var builtin = sync.OnceValues(func() (*language, error) { return readLanguage(schemas.FS) })

// schemaDir is the folder that the built-in schema seems to stand in.
const schemaDir = "schemas/"

func readLanguage(fsys fs.FS) (*language, error) {
	l := &language{defs: map[string][]ast.Expr{}, kinds: map[string]*shape{}}
	names, err := fs.Glob(fsys, "*.cue")
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		src, err := fs.ReadFile(fsys, name)
		if err != nil {
			return nil, err
		}
		f, err := parser.ParseFile(schemaDir+name, src, parser.ParseComments)
		if err != nil {
			return nil, fmt.Errorf("built-in schema: %w", err)
		}
		l.files = append(l.files, f)
		for _, d := range f.Decls {
			if d, ok := d.(*ast.Field); ok {
				name, _, _ := ast.LabelName(d.Label)
				l.defs[name] = append(l.defs[name], d.Value)
			}
		}
	}
	for _, x := range l.defs["#Kind"] {
		st, ok := x.(*ast.StructLit)
		if !ok {
			continue
		}
		for _, d := range st.Elts {
			if d, ok := d.(*ast.Field); ok {
				name, _, _ := ast.LabelName(d.Label)
				if l.kinds[name] == nil {
					l.kinds[name] = &shape{fields: map[string]*field{}}
				}
				l.read(l.kinds[name], d.Value, false, 0)
			}
		}
	}
	for _, k := range l.kinds {
		k.mix()
	}
	l.pipeline = &shape{fields: map[string]*field{}}
	for _, x := range l.defs["#Pipeline"] {
		l.read(l.pipeline, x, false, 0)
	}
	return l, nil
}

// maxDepth ends the reading of schemas that define themselves.
const maxDepth = 16

// read adds to s what x says about the fields of a struct. What it adds is
// optional if maybe is set. It reports whether x can be a struct.
func (l *language) read(s *shape, x ast.Expr, maybe bool, depth int) bool {
	if depth > maxDepth {
		return false
	}
	depth++
	switch x := x.(type) {
	case *ast.StructLit:
		for _, d := range x.Elts {
			l.readDecl(s, d, maybe, depth)
		}
		return true
	case *ast.ParenExpr:
		return l.read(s, x.X, maybe, depth)
	case *ast.UnaryExpr:
		return x.Op == token.MUL && l.read(s, x.X, maybe, depth)
	case *ast.BinaryExpr:
		if x.Op != token.AND && x.Op != token.OR {
			return false
		}
		maybe = maybe || x.Op == token.OR
		a := l.read(s, x.X, maybe, depth)
		b := l.read(s, x.Y, maybe, depth)
		return a || b
	case *ast.Ident:
		is := false
		for _, def := range l.defs[x.Name] {
			is = l.read(s, def, maybe, depth) || is
		}
		return is
	}
	return false
}

func (l *language) readDecl(s *shape, d ast.Decl, maybe bool, depth int) {
	switch d := d.(type) {
	case *ast.EmbedDecl:
		l.read(s, d.Expr, maybe, depth)
	case *ast.Comprehension:
		l.read(s, d.Value, true, depth)
		s.noteCondition(d)
	case *ast.Ellipsis:
		s.open = true
	case *ast.Field:
		if label, ok := d.Label.(*ast.ListLit); ok {
			s.readKey(label)
			if s.each == nil {
				s.each = &field{optional: true}
			}
			l.readField(s.each, d, depth)
			return
		}
		name, _, err := ast.LabelName(d.Label)
		if err != nil { // ("\(name)"): some field of this type
			if s.each == nil {
				s.each = &field{optional: true}
			}
			l.readField(s.each, d, depth)
			return
		}
		if strings.HasPrefix(name, "_") || strings.HasPrefix(name, "#") {
			return
		}
		optional := maybe || d.Constraint == token.OPTION
		f := s.fields[name]
		if f == nil {
			f = &field{name: name, sel: cue.MakePath(cue.Str(name)), optional: optional}
			s.fields[name] = f
		}
		f.optional = f.optional && optional
		l.readField(f, d, depth)
	}
}

// readKey notes the pattern that the names of further fields match.
func (s *shape) readKey(label *ast.ListLit) {
	if len(label.Elts) != 1 {
		return
	}
	x := label.Elts[0]
	if a, ok := x.(*ast.Alias); ok {
		x = a.Expr
	}
	s.key = &field{exprs: []ast.Expr{x}}
}

func (l *language) readField(f *field, d *ast.Field, depth int) {
	for _, a := range d.Attrs {
		switch key, _ := a.Split(); key {
		case "nokey":
			f.nokey = true
		case "path":
			f.path = true
		case "one":
			f.one = true
		}
	}
	for _, g := range ast.Comments(d) {
		if g.Doc && f.doc == "" {
			f.doc = strings.TrimSpace(g.Text())
		}
	}
	f.exprs = append(f.exprs, d.Value)
	l.readValue(f, d.Value, depth)
}

// readValue adds to f what x says about structs and lists beneath it.
func (l *language) readValue(f *field, x ast.Expr, depth int) {
	s := f.shape
	if s == nil {
		s = &shape{fields: map[string]*field{}}
	}
	if l.read(s, x, false, depth) {
		f.shape = s
	}
	l.readElems(f, x, depth)
}

func (l *language) readElems(f *field, x ast.Expr, depth int) {
	if depth > maxDepth {
		return
	}
	depth++
	switch x := x.(type) {
	case *ast.ParenExpr:
		l.readElems(f, x.X, depth)
	case *ast.UnaryExpr:
		l.readElems(f, x.X, depth)
	case *ast.BinaryExpr:
		l.readElems(f, x.X, depth)
		l.readElems(f, x.Y, depth)
	case *ast.Ident:
		for _, def := range l.defs[x.Name] {
			l.readElems(f, def, depth)
		}
	case *ast.ListLit:
		if f.elem == nil {
			f.elem = &field{optional: true}
		}
		for _, e := range x.Elts {
			if rest, ok := e.(*ast.Ellipsis); ok {
				e = rest.Type
			}
			if e != nil {
				f.elem.exprs = append(f.elem.exprs, e)
				l.readValue(f.elem, e, depth)
			}
		}
	}
}

// mix computes field.mixed everywhere below s and reports whether any field
// of s is marked.
func (s *shape) mix() bool {
	any := false
	s.order = nil
	for _, name := range s.names() {
		s.order = append(s.order, s.fields[name])
	}
	for _, f := range s.fields {
		any = f.mix() || any
	}
	if s.each != nil {
		any = s.each.mix() || any
	}
	return any
}

func (f *field) mix() bool {
	if f.shape != nil && f.shape.mix() {
		f.mixed = true
	}
	if f.elem != nil && f.elem.mix() {
		f.mixed = true
	}
	return f.mixed || f.nokey || f.path
}

// at returns the field called name, or nil when s does not allow it.
func (s *shape) at(name string) *field {
	if f := s.fields[name]; f != nil {
		return f
	}
	if s.each != nil {
		return s.each
	}
	if s.open {
		return &field{name: name, optional: true, shape: &shape{open: true}}
	}
	return nil
}

// sorted returns the named fields in the order of their names.
func (s *shape) sorted() []*field { return s.order }

// names returns the names of all named fields, sorted.
func (s *shape) names() []string { return slices.Sorted(maps.Keys(s.fields)) }
