package compile

import (
	"slices"
	"strconv"
	"strings"

	"cuelang.org/go/cue"
	"cuelang.org/go/cue/ast"
)

// What is wrong with structs and lists: fields that the schema does not have, one too many or too few.

// diagnoseStruct looks into a struct that the user wrote as one.
func (c *compiler) diagnoseStruct(step, path string, v cue.Value, f *field, us []conjunct) {
	before := len(c.problems)
	defer func() {
		if len(c.problems) == before && v.Validate(cue.Concrete(true)) != nil {
			c.diagnoseParts(step, path, f.shape, us)
		}
	}()
	c.unknownFields(step, path, v, f)
	clash := c.misplaced(step, path, v, f.shape)
	if f.one {
		c.exactlyOne(step, path, v, f, us)
	}
	for _, name := range f.shape.names() {
		if clash[name] {
			continue
		}
		c.diagnose(step, join(path, name), v.LookupPath(cue.MakePath(cue.Str(name))), f.shape.fields[name])
	}
	if f.shape.each == nil {
		return
	}
	for it := arcs(v); it.Next(); {
		name := it.Selector().Unquoted()
		if f.shape.fields[name] == nil {
			c.diagnose(step, join(path, name), it.Value(), f.shape.each)
		}
	}
}

func (c *compiler) exactlyOne(step, path string, v cue.Value, f *field, us []conjunct) {
	var given []string
	for it := arcs(v); it.Next(); {
		if name := it.Selector().Unquoted(); f.shape.fields[name] != nil {
			given = append(given, name)
		}
	}
	if len(given) == 1 || len(given) == 0 && c.isBlamedWithin(us) {
		return
	}
	got := "has none"
	if len(given) > 1 {
		got = "has " + list(given, "and")
	}
	c.add(us[0].label(), "", "%s must have exactly one of %s; it %s", of(step, path), list(f.shape.names(), "or"), got)
}

// diagnoseList looks into a list that the user wrote as one.
func (c *compiler) diagnoseList(step, path string, v cue.Value, f *field, us []conjunct) {
	before := len(c.problems)
	n := 0
	it, err := us[0].value.List()
	if err != nil {
		c.wrongValue(step, path, us[0], f, us[0].value.Err())
		return
	}
	if err == nil {
		for it.Next() {
			ev := v.LookupPath(cue.MakePath(cue.Index(n)))
			if ev.Exists() && ev.Validate(cue.Concrete(true)) != nil {
				c.diagnose(step, path+"."+strconv.Itoa(n), ev, f.elem)
			}
			n++
		}
	}
	if len(c.problems) == before && v.Validate(cue.Concrete(true)) != nil {
		c.diagnoseElements(step, path, f, us[0])
	}
	if len(c.problems) == before && v.Validate(cue.Concrete(true)) != nil {
		low, high := listLen(f)
		switch {
		case n == 0:
			c.add(us[0].pos(), "", "%s must not be empty", of(step, path))
			return
		case low == high && n != low:
			c.add(us[0].pos(), "", "%s must have %d elements, got %d", of(step, path), low, n)
			return
		case n < low:
			c.add(us[0].pos(), "", "%s must have at least %d elements, got %d", of(step, path), low, n)
			return
		}
		c.leaf(step, path, v, us, f)
	}
}

// unknownFields refuses what the kind does not know.
func (c *compiler) unknownFields(step, path string, v cue.Value, f *field) {
	it := arcs(v)
	where := path
	if path == "" {
		where = "kind " + c.kindOf(c.steps[step])
	}
	for it.Next() {
		name := it.Selector().Unquoted()
		pos := c.labelPos(it.Value())
		if p := c.places[step]; p != nil && p.fields[join(path, name)] != nil {
			pos = p.fields[join(path, name)].Label.Pos()
		}
		if f.shape.at(name) != nil {
			c.misnamedKey(step, path, name, pos, f.shape)
			continue
		}
		if !pos.IsValid() {
			continue
		}
		c.add(pos, c.otherField(step, path, name, f.shape), "unknown field %q of %s, in step %s", name, where, step)
	}
}

// otherField guesses which field was meant by an unknown one.
func (c *compiler) otherField(step, path, name string, sh *shape) string {
	if s := Nearest(name, sh.names()); s != "" {
		return "did you mean " + strconv.Quote(s) + "?"
	}
	kind := c.lang.kinds[c.kindOf(c.steps[step])]
	if kind == nil {
		return ""
	}
	if other := findField(kind, "", name, 0); other != "" && (path == "" || !strings.Contains(other, ".") || strings.HasPrefix(other, path+".")) {
		return "did you mean " + strconv.Quote(other) + "?"
	}
	if path == "" {
		var kinds []string
		for _, k := range c.lang.kindNames() {
			if c.lang.kinds[k].fields[name] != nil {
				kinds = append(kinds, k)
			}
		}
		if len(kinds) > 0 {
			return "it is a field of " + list(kinds, "and")
		}
	}
	return choose("field", name, userFields(sh))
}

// findField returns the path of a field called name somewhere below sh.
func findField(sh *shape, prefix, name string, depth int) string {
	if sh == nil || depth > 3 {
		return ""
	}
	if f := sh.fields[name]; f != nil {
		return join(prefix, name)
	}
	for _, n := range sh.names() {
		if n == "out" {
			continue
		}
		if s := findField(sh.fields[n].shape, join(prefix, n), name, depth+1); s != "" {
			return s
		}
	}
	return ""
}

// userFields returns the fields of sh that a user writes.
func userFields(sh *shape) []string {
	return slices.DeleteFunc(sh.names(), func(s string) bool { return s == "out" })
}

func isStruct(us []conjunct) bool {
	for _, u := range us {
		if _, ok := u.expr().(*ast.StructLit); ok {
			continue
		}
		if u.value.IncompleteKind() != cue.StructKind && !childError(u.value) {
			return false
		}
	}
	return true
}

func isList(us []conjunct) bool {
	for _, u := range us {
		if _, ok := u.expr().(*ast.ListLit); ok {
			continue
		}
		if u.value.IncompleteKind() != cue.ListKind {
			return false
		}
	}
	return true
}

// childError reports whether v is a struct that only holds something wrong.
func childError(v cue.Value) bool {
	it, err := v.Fields()
	return err == nil && it.Next()
}
