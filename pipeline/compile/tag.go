package compile

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"cuelang.org/go/cue"
	"cuelang.org/go/cue/ast"
	"cuelang.org/go/cue/literal"
	"cuelang.org/go/cue/parser"
	"cuelang.org/go/cue/token"

	"github.com/pipe-run/pipe/pipeline"
)

// A tag is one attribute @tag(name,type=int,short=a|b) of the file.
type tag struct {
	name   string
	typ    string // "string", "int", "number" or "bool"
	shorts []string
	field  *ast.Field
	pos    token.Pos
	given  string   // the value of -t
	old    ast.Expr // what the user wrote in the field
}

// injectTags unifies the values of -t with the fields whose tags they name. A
// field without one takes its own default as its value: as a mere default it
// would be ambiguous wherever the schema has another.
func (c *compiler) injectTags(values []string) {
	tags := c.findTags()
	replaced := map[ast.Node]ast.Expr{}
	given := map[string]string{}
	for _, s := range values {
		name, value, ok := strings.Cut(s, "=")
		if !ok {
			name, value = shorthand(tags, s)
		}
		if name == "" {
			c.unknownTag(tags, s, ok)
			continue
		}
		if old, dup := given[name]; dup && old != value {
			c.badTag("", "-t %s is given two values: %q and %q", name, old, value)
			continue
		}
		if _, dup := given[name]; dup {
			continue
		}
		given[name] = value
		found := false
		for _, t := range tags {
			if t.name != name {
				continue
			}
			found = true
			x, err := t.parse(value)
			if err != nil {
				c.add(t.pos, "", "-t %s=%s: the tag %s takes %v", name, value, name, err)
				continue
			}
			old := t.field.Value
			t.field.Value = ast.NewBinExpr(token.AND, old, x)
			replaced[old] = t.field.Value
			t.given, t.old = value, old
			c.tagged[t.field] = t
		}
		if !found {
			c.unknownTag(tags, name, true)
		}
	}
	for _, t := range tags {
		if _, set := given[t.name]; set {
			continue
		}
		if x := defaultOf(t.field.Value); x != nil {
			old := t.field.Value
			t.field.Value = ast.NewBinExpr(token.AND, old, x)
			replaced[old] = t.field.Value
		}
	}
	if len(replaced) == 0 {
		return
	}
	ast.Walk(c.file, func(n ast.Node) bool {
		if id, ok := n.(*ast.Ident); ok && id.Node != nil {
			if x, ok := replaced[id.Node]; ok {
				id.Node = x
			}
		}
		return true
	}, nil)
}

// defaultOf returns the literal that a disjunction marks as its default.
func defaultOf(x ast.Expr) ast.Expr {
	switch x := x.(type) {
	case *ast.ParenExpr:
		return defaultOf(x.X)
	case *ast.BinaryExpr:
		if x.Op == token.OR {
			if d := defaultOf(x.X); d != nil {
				return d
			}
			return defaultOf(x.Y)
		}
	case *ast.UnaryExpr:
		if x.Op != token.MUL {
			return nil
		}
		switch d := x.X.(type) {
		case *ast.BasicLit:
			return ast.NewLit(d.Kind, d.Value)
		case *ast.UnaryExpr:
			if lit, ok := d.X.(*ast.BasicLit); ok && (d.Op == token.SUB || d.Op == token.ADD) {
				return &ast.UnaryExpr{Op: d.Op, X: ast.NewLit(lit.Kind, lit.Value)}
			}
		}
	}
	return nil
}

// shorthand returns the tag that -t value stands for.
func shorthand(tags []*tag, value string) (name, val string) {
	for _, t := range tags {
		if slices.Contains(t.shorts, value) {
			return t.name, value
		}
	}
	return "", ""
}

func (c *compiler) unknownTag(tags []*tag, name string, valued bool) {
	names := map[string]bool{}
	for _, t := range tags {
		names[t.name] = true
	}
	all := slices.Sorted(maps.Keys(names))
	switch {
	case !valued && names[name]:
		c.badTag("", "-t %s needs a value: -t %s=…", name, name)
	case len(all) == 0:
		c.badTag("a field takes its value from -t when it is marked, as in epochs: int | *3 @tag(epochs,type=int)",
			"-t %s: the file has no tags", name)
	default:
		c.badTag(choose("tag", name, all), "-t %s: the file has no such tag", name)
	}
}

// badTag notes a mistake in the command line rather than in the file.
func (c *compiler) badTag(hint, format string, args ...any) {
	c.problems = append(c.problems, &pipeline.Problem{
		Pos: pipeline.Pos{File: c.source.name}, Message: fmt.Sprintf(format, args...), Hint: hint,
	})
}

// findTags reads the tags of the file and refuses those that cannot work.
func (c *compiler) findTags() []*tag {
	var tags []*tag
	var walk func(n ast.Node, where string)
	walk = func(n ast.Node, where string) {
		ast.Walk(n, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.ListLit:
				if where == "" {
					for _, e := range n.Elts {
						walk(e, "in a list")
					}
					return false
				}
			case *ast.Comprehension:
				if where == "" {
					walk(n.Value, "in a comprehension")
					return false
				}
			case *ast.Field:
				tags = c.fieldTags(tags, n, where)
			}
			return true
		}, nil)
	}
	walk(c.file, "")
	return tags
}

func (c *compiler) fieldTags(tags []*tag, f *ast.Field, where string) []*tag {
	for _, a := range f.Attrs {
		key, body := a.Split()
		if key != "tag" {
			continue
		}
		if where != "" {
			c.add(a.Pos(), "give a field outside of it the tag, and refer to that field", "a tag cannot stand %s", where)
			continue
		}
		t := &tag{typ: "string", field: f, pos: a.Pos()}
		for i, part := range strings.Split(body, ",") {
			part = strings.TrimSpace(part)
			k, v, _ := strings.Cut(part, "=")
			switch {
			case i == 0:
				t.name = part
			case k == "type":
				t.typ = v
			case k == "short":
				t.shorts = strings.Split(v, "|")
			default:
				c.add(a.Pos(), "", "unknown option %q of a tag", part)
			}
		}
		if !ast.IsValidIdent(t.name) {
			c.add(a.Pos(), "", "%q is not the name of a tag", t.name)
			continue
		}
		if !slices.Contains([]string{"string", "int", "number", "bool"}, t.typ) {
			c.add(a.Pos(), "", "unknown type %q of tag %s: it is string, int, number or bool", t.typ, t.name)
			continue
		}
		tags = append(tags, t)
	}
	return tags
}

// parse reads a value of -t as the tag's type.
func (t *tag) parse(s string) (ast.Expr, error) {
	switch t.typ {
	case "string":
		return ast.NewString(s), nil
	case "bool":
		if s != "true" && s != "false" {
			return nil, fmt.Errorf("true or false")
		}
		return ast.NewBool(s == "true"), nil
	}
	what := fmt.Errorf("a number")
	if t.typ == "int" {
		what = fmt.Errorf("a whole number")
	}
	x, err := parser.ParseExpr("-t", s)
	if err != nil {
		return nil, what
	}
	digits := x
	if u, ok := x.(*ast.UnaryExpr); ok && (u.Op == token.SUB || u.Op == token.ADD) {
		digits = u.X
	}
	lit, ok := digits.(*ast.BasicLit)
	if !ok || lit.Kind != token.INT && (lit.Kind != token.FLOAT || t.typ == "int") {
		return nil, what
	}
	var n literal.NumInfo
	if literal.ParseNum(lit.Value, &n) != nil {
		return nil, what
	}
	var out ast.Expr = ast.NewLit(lit.Kind, lit.Value)
	if digits != x {
		out = &ast.UnaryExpr{Op: x.(*ast.UnaryExpr).Op, X: out}
	}
	return out, nil
}

// tagRefused reports whether x refers to a field that does not take what -t
// gave it, and says so.
func (c *compiler) tagRefused(x ast.Expr, name string) (refused bool) {
	if x == nil {
		return false
	}
	ast.Walk(x, func(n ast.Node) bool {
		if id, ok := n.(*ast.Ident); ok {
			for f, t := range c.tagged {
				if id.Node == ast.Node(f.Value) && id.Node != nil {
					label, _, _ := ast.LabelName(f.Label)
					c.refusedTag(t, label)
					refused = true
				}
			}
		}
		return !refused
	}, nil)
	return refused
}

// tagHint says that the tag's type is in the way when -t gave a string where
// a number or a truth value is wanted.
func (c *compiler) tagHint(f *ast.Field, ws []want) string {
	t := c.tagged[f]
	if t == nil || t.typ != "string" {
		return ""
	}
	for _, w := range ws {
		switch {
		case w.kind == cue.NumberKind && w.whole:
			return "-t gives strings unless the tag says otherwise: @tag(" + t.name + ",type=int)"
		case w.kind == cue.NumberKind:
			return "-t gives strings unless the tag says otherwise: @tag(" + t.name + ",type=number)"
		case w.kind == cue.BoolKind:
			return "-t gives strings unless the tag says otherwise: @tag(" + t.name + ",type=bool)"
		}
	}
	return ""
}
