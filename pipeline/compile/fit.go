package compile

import (
	"strconv"

	"cuelang.org/go/cue"
	"cuelang.org/go/cue/ast"
	"cuelang.org/go/cue/token"
)

// fits reports whether got is one of the alternatives, as far as they say.
func fits(ws []want, got cue.Value) bool {
	for _, w := range ws {
		if w.fits(got) {
			return true
		}
	}
	return len(ws) == 0
}

func (w want) fits(got cue.Value) bool {
	kind := got.Kind()
	text, _ := got.String()
	switch {
	case w.isText:
		return kind == cue.StringKind && text == w.text
	case w.kind == cue.NumberKind:
		return w.fitsNumber(got)
	case w.literal != "":
		return show(got) == w.literal
	case w.kind == 0:
		return true
	case w.kind != kind:
		return false
	}
	for _, re := range w.patterns {
		if !re.MatchString(text) {
			return false
		}
	}
	return !w.nonEmpty || text != ""
}

func (w want) fitsNumber(got cue.Value) bool {
	if k := got.Kind(); k != cue.IntKind && (k != cue.FloatKind || w.whole) {
		return false
	}
	x, err := got.Float64()
	if err != nil && got.Kind() == cue.FloatKind {
		return true // too small or large for a double: let CUE compare it
	}
	bound := func(s string) (float64, bool) {
		b, err := strconv.ParseFloat(s, 64)
		return b, err == nil
	}
	if w.literal != "" {
		b, ok := bound(w.literal)
		return !ok || x == b
	}
	if lo, ok := bound(w.lo); ok && (x < lo || w.loOpen && x == lo) {
		return false
	}
	hi, ok := bound(w.hi)
	return !ok || x < hi || !w.hiOpen && x == hi
}

// diagnoseParts looks into a struct of which CUE only says that none of the
// alternatives of its field fits, and holds each part against the schema.
func (c *compiler) diagnoseParts(step, path string, sh *shape, us []conjunct) {
	given := map[string]bool{}
	for _, u := range us {
		for it := arcs(u.value); it.Next(); {
			name := it.Selector().Unquoted()
			f := sh.at(name)
			if f == nil {
				continue
			}
			given[name] = true
			parts := c.userConjuncts(it.Value())
			if len(parts) == 0 || c.isBlamed(parts) {
				continue
			}
			if f.shape != nil && isStruct(parts) {
				c.diagnoseParts(step, join(path, name), f.shape, parts)
				continue
			}
			c.refuse(step, join(path, name), parts[0].pos(), it.Value(), f)
		}
	}
	if names := sh.names(); len(names) == 1 && !given[names[0]] && len(us) > 0 {
		c.add(us[0].label(), "it must be "+nouns(c.lang.wants(sh.fields[names[0]])), "%s is missing", of(step, join(path, names[0])))
	}
}

// diagnoseElements holds each element of a list against the schema.
func (c *compiler) diagnoseElements(step, path string, f *field, u conjunct) {
	it, err := u.value.List()
	if err != nil {
		return
	}
	list, _ := u.expr().(*ast.ListLit)
	for n := 0; it.Next(); n++ {
		pos := u.pos()
		if list != nil && n < len(list.Elts) {
			pos = list.Elts[n].Pos()
		}
		c.refuse(step, join(path, strconv.Itoa(n)), pos, it.Value(), f.elem)
	}
}

// refuse says that a value is none that the schema wants, if so.
func (c *compiler) refuse(step, path string, pos token.Pos, got cue.Value, f *field) {
	ws := c.lang.wants(f)
	if got.Err() == nil && got.IsConcrete() && !fits(ws, got) {
		msg, hint := complain(ws, got)
		c.add(pos, hint, "%s %s", of(step, path), msg)
	}
}

// misnamedKey says that the schema wants other names in the struct at path.
func (c *compiler) misnamedKey(step, path, name string, pos token.Pos, sh *shape) bool {
	if sh.key == nil || sh.fields[name] != nil {
		return false
	}
	ws := c.lang.wants(sh.key)
	got := c.world.ctx.Encode(name)
	if fits(ws, got) {
		return false
	}
	msg, hint := complain(ws, got)
	c.add(pos, hint, "%s: a name %s", of(step, path), msg)
	return true
}
