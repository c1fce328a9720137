package compile

import (
	"slices"
	"strconv"

	"cuelang.org/go/cue"
	"cuelang.org/go/cue/ast"
	"cuelang.org/go/cue/literal"
	"cuelang.org/go/cue/token"
)

// A condition says beside which values of another parameter of the step the
// schema has a field.
type condition struct {
	field  string
	values []string
	not    bool // beside all but those values
}

// readCondition reads the condition of a comprehension of the schema. What
// only asks whether the parameter is given says nothing more.
func readCondition(d *ast.Comprehension) (cond condition, ok bool) {
	n := 0
	for _, clause := range d.Clauses {
		clause, isIf := clause.(*ast.IfClause)
		if !isIf {
			return cond, false
		}
		if b, ok := clause.Condition.(*ast.BinaryExpr); ok {
			if _, ok := b.Y.(*ast.BottomLit); ok {
				continue
			}
		}
		n++
		if !cond.read(clause.Condition) {
			return cond, false
		}
	}
	return cond, n == 1
}

func (cond *condition) read(x ast.Expr) bool {
	b, ok := x.(*ast.BinaryExpr)
	if !ok {
		return false
	}
	if b.Op == token.LOR {
		return cond.read(b.X) && cond.read(b.Y) && !cond.not
	}
	id, isName := b.X.(*ast.Ident)
	lit, isLit := b.Y.(*ast.BasicLit)
	if !isName || !isLit || b.Op != token.EQL && b.Op != token.NEQ || cond.field != "" && cond.field != id.Name {
		return false
	}
	value, err := literal.Unquote(lit.Value)
	cond.field, cond.not = id.Name, b.Op == token.NEQ
	cond.values = append(cond.values, value)
	return err == nil && lit.Kind == token.STRING
}

// noteCondition remembers the condition of the fields that d makes. Such a
// field stands nowhere else in the schema without one.
func (s *shape) noteCondition(d *ast.Comprehension) {
	st, isStruct := d.Value.(*ast.StructLit)
	cond, ok := readCondition(d)
	if !isStruct || !ok {
		return
	}
	for _, d := range st.Elts {
		if d, ok := d.(*ast.Field); ok {
			if name, _, err := ast.LabelName(d.Label); err == nil && s.fields[name] != nil {
				s.fields[name].when = append(s.fields[name].when, cond)
			}
		}
	}
}

// misplaced says which fields of v clash with another parameter of the step,
// and returns their names.
func (c *compiler) misplaced(step, path string, v cue.Value, sh *shape) map[string]bool {
	clash := map[string]bool{}
	for it := arcs(v); it.Next(); {
		name := it.Selector().Unquoted()
		f := sh.fields[name]
		if f == nil || name == "out" || len(f.when) == 0 {
			continue
		}
		us := c.userConjuncts(it.Value())
		other, now, known := c.selects(step, f.when)
		if len(us) == 0 || !known || slices.ContainsFunc(f.when, func(w condition) bool { return slices.Contains(w.values, now) != w.not }) {
			continue
		}
		clash[name] = true
		pos := us[0].label()
		if p := c.places[step]; p != nil && p.fields[join(path, name)] != nil {
			pos = p.fields[join(path, name)].Label.Pos()
		}
		var for_ []string
		for _, w := range f.when {
			for _, value := range w.values {
				for_ = append(for_, strconv.Quote(value))
			}
		}
		slices.Sort(for_)
		for_ = slices.Compact(for_)
		hint := "it is for " + other + " " + list(for_, "or") + ": choose that, or leave out " + name
		if f.when[0].not {
			hint = "leave it out, or choose another " + other
		} else if path != "" && len(for_) == 1 || len(for_) > 1 {
			hint = "it is for " + other + " " + list(for_, "or")
			if names := c.besides(now, sh); len(names) > 0 {
				hint += "; beside " + strconv.Quote(now) + " the fields are " + list(names, "and")
			}
		}
		if now == "" {
			c.add(pos, "give "+other+": "+list(for_, "or")+", or leave out "+name, "%s needs %s %s, which is not given", of(step, join(path, name)), other, list(for_, "or"))
			continue
		}
		c.add(pos, hint, "%s does not go with %s %q", of(step, join(path, name)), other, now)
	}
	return clash
}

// besides returns the fields that sh has beside a value of the parameter that
// selects them.
func (c *compiler) besides(now string, sh *shape) []string {
	var names []string
	for _, name := range sh.names() {
		for _, w := range sh.fields[name].when {
			if name != "out" && slices.Contains(w.values, now) != w.not {
				names = append(names, name)
				break
			}
		}
	}
	return names
}

// selects returns the parameter that the conditions ask for and its value in a
// step, "" when there is none; known is false when that is a mistake itself.
func (c *compiler) selects(step string, when []condition) (other, now string, known bool) {
	other = when[0].field
	kind := c.lang.kinds[c.kindOf(c.steps[step])]
	if kind == nil || kind.fields[other] == nil {
		return other, "", false
	}
	v := c.steps[step].LookupPath(cue.MakePath(cue.Str(other)))
	if !v.Exists() || len(c.userConjuncts(v)) == 0 && v.Err() != nil {
		return other, "", kind.fields[other].optional
	}
	if d, ok := v.Default(); ok {
		v = d
	}
	now, err := v.String()
	return other, now, err == nil && fits(c.lang.wants(kind.fields[other]), v)
}
