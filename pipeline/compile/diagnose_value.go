package compile

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"cuelang.org/go/cue"
	"cuelang.org/go/cue/ast"
)

// What is wrong with a value that stands where no struct and no list does.

// leaf says what is wrong with a value that the user wrote.
func (c *compiler) leaf(step, path string, v cue.Value, us []conjunct, f *field) {
	if v.Validate(cue.Concrete(true)) == nil {
		return
	}
	var given []conjunct
	for _, u := range us {
		if err := u.value.Validate(); err != nil {
			c.wrongValue(step, path, u, f, err)
			return
		}
		if u.value.IsConcrete() {
			given = append(given, u)
		}
	}
	if len(given) == 0 {
		c.noValue(step, path, us, f)
		return
	}
	for _, u := range given[1:] {
		if given[0].value.Kind() != cue.StructKind && !u.value.Equals(given[0].value) {
			c.twoValues(step, path, given[0], u)
			return
		}
	}
	var ws []want
	if f != nil {
		ws = c.lang.wants(f)
	}
	msg, hint := complain(ws, given[0].value)
	if _, written := given[0].expr().(*ast.BasicLit); !written && strings.HasPrefix(hint, "write it without quotes") {
		hint = ""
	}
	if hint == "" {
		hint = c.shapeHint(path, f, given[0].value)
	}
	src, _ := given[0].src.(*ast.Field)
	if h := c.tagHint(src, ws); h != "" {
		hint = h
	}
	c.add(given[0].pos(), hint, "%s%s %s", c.byTag(src), of(step, path), msg)
}

// shapeHint shows how a struct or list is written for which something else is
// given.
func (c *compiler) shapeHint(path string, f *field, got cue.Value) string {
	name := path[strings.LastIndexByte(path, '.')+1:]
	if f != nil && f.shape == nil && f.elem != nil && got.Kind() == cue.StringKind && (name == "command" || fits(c.lang.wants(f.elem), got)) {
		return "write " + name + ": [" + quotedWords(name, got) + "]"
	}
	if f == nil || f.shape == nil || got.Kind() == cue.StructKind {
		return ""
	}
	names := f.shape.names()
	if len(names) == 0 {
		if f.shape.each != nil {
			return "write " + name + ": {NAME: …}"
		}
		return ""
	}
	ws := c.lang.wants(f)
	if sub := f.shape.fields[names[0]]; len(names) == 1 && len(sub.exprs) > 0 {
		text, _ := got.String()
		if share, ok := percent(c.lang.wants(sub), text); ok {
			return "write " + name + ": " + names[0] + ": " + share
		}
		if fits(c.lang.wants(sub), got) && !slices.ContainsFunc(ws, func(w want) bool { return w.isText }) {
			return "write " + name + ": " + names[0] + ": " + show(got)
		}
	}
	if len(ws) > 1 {
		return ""
	}
	return "write " + name + ": {…} with " + list(names, "or")
}

// quotedWords returns a string as the elements of a list: a command word by
// word, anything else whole.
func quotedWords(name string, got cue.Value) string {
	s, _ := got.String()
	if name != "command" || strings.ContainsAny(s, `"'\\`) {
		return show(got)
	}
	words := strings.Fields(s)
	for i, w := range words {
		words[i] = strconv.Quote(w)
	}
	return strings.Join(words, ", ")
}

// byTag names the -t that gave a field its value.
func (c *compiler) byTag(f *ast.Field) string {
	if t := c.tagged[f]; t != nil {
		return "-t " + t.name + "=" + t.given + ": "
	}
	return ""
}

func (c *compiler) incomplete(v cue.Value) bool {
	return v.Validate() == nil && v.Validate(cue.Concrete(true)) != nil
}

// wrongValue says why an expression of the user's has no value at all.
func (c *compiler) wrongValue(step, path string, u conjunct, f *field, err error) {
	if src, ok := u.src.(*ast.Field); ok {
		if t := c.tagged[src]; t != nil {
			c.refusedTag(t, of(step, path))
			return
		}
	}
	if err == nil {
		return
	}
	if strings.HasSuffix(strings.TrimSpace(err.Error()), "field not allowed") {
		c.later = append(c.later, func() {
			c.add(u.label(), "", "%s is not allowed here", of(step, path))
		})
		return
	}
	if c.use != nil && f != nil && c.use.fields[c.params[u.pos()]] != nil {
		given := c.use.fields[c.params[u.pos()]]
		if got, ok := c.given(given.Value); ok && !fits(c.lang.wants(f), got) {
			msg, hint := complain(c.lang.wants(f), got)
			c.add(u.pos(), hint, "%s %s", of(step, path), msg)
			return
		}
	}
	if c.tagRefused(u.expr(), of(step, path)) || c.followsFrom(u) || c.poisoned(u, err) {
		return
	}
	c.reportAt(u.pos(), of(step, path)+": ", err)
}

// refusedTag says that the field of a tag does not take what -t gave.
func (c *compiler) refusedTag(t *tag, name string) {
	x, err := t.parse(t.given)
	if err != nil {
		return
	}
	got := c.world.ctx.BuildExpr(x)
	ws := dropDefaults(c.lang.alternatives(t.old, 0))
	msg, hint := complain(ws, got)
	if h := c.tagHint(t.field, ws); h != "" {
		hint = h
	}
	c.add(fieldPos(&ast.Field{Label: t.field.Label, Value: t.old}), hint, "-t %s=%s: %s %s", t.name, t.given, name, msg)
}

func (c *compiler) noValue(step, path string, us []conjunct, f *field) {
	for _, p := range c.chainsIn(us[0].expr()) {
		if len(p) > 1 && p[0].name == step && joinParts(p[1:]) == path {
			c.add(us[0].pos(), "", "%s is defined by itself", of(step, path))
			return
		}
	}
	if pos, name, hint := c.absentField(us[0].expr()); name != "" {
		c.add(pos, hint, "%s: there is no field %s", of(step, path), name)
		return
	}
	if why := c.valueless(us[0].expr()); why != "" {
		c.add(us[0].pos(), "", "%s has no value, because %s", of(step, path), why)
		return
	}
	hint := "give it a value"
	if src, ok := us[0].src.(*ast.Field); ok {
		for _, a := range src.Attrs {
			if key, body := a.Split(); key == "tag" {
				hint = "give it a value with -t " + tagName(body) + "=…, or a default in the file"
			}
		}
	}
	c.add(us[0].pos(), hint, "%s has no value, only the constraint %s", of(step, path), source1(us[0].expr()))
}

func (c *compiler) twoValues(step, path string, a, b conjunct) {
	if a.pos() == b.pos() {
		c.add(b.pos(), `if a comprehension makes this step, put what varies into its name, as in "lora-\(rank)"`,
			"%s is given two values by the same line, %s and %s", of(step, path), show(a.value), show(b.value))
		return
	}
	hint := ""
	if p := c.places[step]; p != nil && p.again.IsValid() {
		hint = fmt.Sprintf("there are two steps %s, at %s and at %s: give one of them another name", step, c.pos(p.label), c.pos(p.again))
	}
	c.add(b.pos(), hint, "%s is %s here but %s at %s", of(step, path), show(b.value), show(a.value), c.pos(a.pos()))
}
