package compile

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"cuelang.org/go/cue"
	"cuelang.org/go/cue/ast"
	"cuelang.org/go/cue/token"
)

// arcs iterates over the regular fields of v even when something in v is
// wrong.
func arcs(v cue.Value) *arcIterator {
	it, err := v.Fields(cue.Hidden(true))
	if err != nil {
		return &arcIterator{}
	}
	return &arcIterator{it}
}

type arcIterator struct{ it *cue.Iterator }

func (a *arcIterator) Next() bool {
	for a.it != nil && a.it.Next() {
		if s := a.it.Selector(); s.LabelType() == cue.StringLabel && !s.IsDefinition() {
			return true
		}
	}
	return false
}

func (a *arcIterator) Selector() cue.Selector { return a.it.Selector() }
func (a *arcIterator) Value() cue.Value       { return a.it.Value() }

// diagnoseStep says everything that is wrong with a step of a known kind.
func (c *compiler) diagnoseStep(step string, v cue.Value, kind *shape) {
	c.checkRefs()
	before := len(c.problems)
	c.later = nil
	defer func() {
		if len(c.problems) == before {
			each(c.later, func(complain func()) { complain() })
		}
	}()
	c.unknownFields(step, "", v, &field{shape: kind})
	clash := c.misplaced(step, "", v, kind)
	for _, name := range kind.names() {
		if clash[name] {
			continue
		}
		f, fv := kind.fields[name], v.LookupPath(cue.MakePath(cue.Str(name)))
		switch name {
		case "kind":
		case "in":
			c.diagnoseInputs(step, fv, f)
		case "out":
			if us := c.userConjuncts(fv); len(us) > 0 {
				c.add(us[0].label(), "", "step %s: out is filled in by pipe and cannot be written", step)
			}
		case "needs":
			c.diagnoseNeeds(step, fv)
		case "gate":
			c.diagnoseGate(step, fv, f)
		default:
			before := len(c.problems)
			c.diagnose(step, name, fv, f)
			if !fv.Exists() || len(c.problems) > before {
				continue
			}
			switch name {
			case "timeout":
				_, err := readDuration(fv)
				c.diagnoseLimit(step, name, fv, err)
			case "resources":
				_, err := readMemory(fv)
				c.diagnoseLimit(step, "resources.memory", fv.LookupPath(cue.ParsePath("memory")), err)
			}
		}
	}
}

// of names a field in a message; the elements of lists are counted from 0.
func of(step, path string) string {
	parts := strings.Split(path, ".")
	path = parts[0]
	for _, p := range parts[1:] {
		if _, err := strconv.ParseUint(p, 10, 32); err == nil {
			path += "[" + p + "]"
		} else {
			path += "." + p
		}
	}
	if step == "" {
		return path
	}
	return path + " of step " + step
}

// diagnose says what is wrong with the field at path of a step, or of the
// pipeline when step is empty.
func (c *compiler) diagnose(step, path string, v cue.Value, f *field) {
	if !v.Exists() && (f == nil || f.optional) {
		return
	}
	us := c.userConjuncts(v)
	if len(us) == 0 {
		if f != nil && f.one && !f.optional {
			c.add(c.enclosing(step, path), "give it exactly one of "+list(f.shape.names(), "or"), "%s is missing", of(step, path))
			return
		}
		c.missing(step, path, v, f)
		return
	}
	if c.isBlamed(us) {
		return
	}
	if f != nil && f.shape != nil && isStruct(us) {
		c.diagnoseStruct(step, path, v, f, us)
		return
	}
	if f != nil && f.elem != nil && isList(us) && f.shape == nil {
		c.diagnoseList(step, path, v, f, us)
		return
	}
	c.leaf(step, path, v, us, f)
}

// missing says that the user must write a field that has no value yet.
func (c *compiler) missing(step, path string, v cue.Value, f *field) {
	if f != nil && (f.optional || c.lang.hasDefault(f)) || v.Exists() && v.Validate(cue.Concrete(true)) == nil {
		return
	}
	if v.Exists() && v.Validate() != nil {
		return // follows from another mistake
	}
	hint := ""
	if f != nil {
		switch ws := c.lang.wants(f); {
		case len(ws) == 1 && len(ws[0].said) > 0 && ws[0].phrase == "":
			hint = "it must " + ws[0].said[0]
		case len(ws) > 0 && !vagueWant(ws):
			hint = "it must be " + nouns(ws)
		}
	}
	c.add(c.enclosing(step, path), hint, "%s is missing", of(step, path))
}

func nouns(ws []want) string {
	var all []string
	for _, w := range ws {
		if s := w.String(); !slices.Contains(all, s) {
			all = append(all, s)
		}
	}
	return list(all, "or")
}

func vagueWant(ws []want) bool {
	return len(ws) == 1 && (ws[0].kind == 0 || ws[0].kind == cue.StructKind || ws[0].kind == cue.ListKind) &&
		ws[0].phrase == "" && ws[0].literal == ""
}

// enclosing is where the nearest thing around path is written.
func (c *compiler) enclosing(step, path string) token.Pos {
	if step == "" {
		return token.NoPos
	}
	v := c.steps[step]
	for i := len(path) - 1; i > 0; i-- {
		if path[i] == '.' {
			if p := c.places[step]; p != nil && p.fields[path[:i]] != nil {
				return p.fields[path[:i]].Label.Pos()
			}
			if pos := c.labelPos(lookup(v, path[:i])); pos.IsValid() {
				return pos
			}
		}
	}
	return c.stepPos(step, v)
}

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

// childError reports whether v is a struct that only holds something wrong.
func childError(v cue.Value) bool {
	it, err := v.Fields()
	return err == nil && it.Next()
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
