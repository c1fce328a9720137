package compile

import (
	"slices"
	"strconv"
	"strings"

	"cuelang.org/go/cue"
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

func (a *arcIterator) Value() cue.Value { return a.it.Value() }

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
