package compile

import (
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

// diagnoseInputs says what is wrong with the wires that end in a step.
func (c *compiler) diagnoseInputs(step string, v cue.Value, f *field) {
	us := c.userConjuncts(v)
	if len(us) > 0 {
		if parts := c.chain(us[0].expr()); len(parts) == 3 {
			c.add(us[0].pos(), "write in: "+firstInput(f)+": "+source1(us[0].expr()),
				"in of step %s must name its inputs, got an output of step %s", step, parts[0].name)
			return
		}
	}
	if len(us) > 0 && !isStruct(us) {
		c.add(us[0].pos(), "write in: {"+firstInput(f)+": steps.NAME.out.OUTPUT}",
			"in of step %s must name its inputs, got %s", step, describe(us[0].value))
		return
	}
	if f.shape == nil {
		return
	}
	if len(us) > 0 {
		if _, ok := us[0].expr().(*ast.ListLit); ok {
			c.add(us[0].pos(), "write in: {"+firstInput(f)+": steps.NAME.out.OUTPUT}", "in of step %s must name its inputs, got a list", step)
			return
		}
	}
	c.diagnoseWires(step, "", v, f.shape)
}

// diagnoseWires says what is wrong with the inputs of a shape, whose names begin
// with prefix.
func (c *compiler) diagnoseWires(step, prefix string, v cue.Value, sh *shape) {
	meant := map[string]bool{}
	for it := arcs(v); it.Next(); {
		name := it.Selector().Unquoted()
		if sh.fields[name] != nil {
			continue
		}
		path := join(prefix, name)
		if sh.each != nil {
			if c.misnamedKey(step, strings.TrimSuffix("in."+prefix, "."), name, c.inputPos(step, path, it.Value()), sh) {
				continue
			}
			c.diagnoseInput(step, path, it.Value(), sh.each)
			continue
		}
		meant[Nearest(name, sh.names())] = true
		if prefix != "" {
			c.add(c.inputPos(step, path, it.Value()), "its parts are "+list(sh.names(), "and"), "input %s of step %s has no %q", prefix, step, name)
			continue
		}
		c.add(c.inputPos(step, path, it.Value()), choose("input", name, sh.names()),
			"kind %s has no input %q, in step %s", c.kindOf(c.steps[step]), name, step)
	}
	for _, name := range sh.names() {
		if meant[name] {
			continue
		}
		c.diagnoseInput(step, join(prefix, name), v.LookupPath(cue.MakePath(cue.Str(name))), sh.fields[name])
	}
}

// isGroup reports whether an input is a struct of several, such as a candidate of
// select: its parts are then the inputs, by dotted names.
func (f *field) isGroup() bool { return f != nil && f.shape != nil && f.shape.fields["$step"] == nil }

// input returns the field of an input by its dotted name, or nil.
func (s *shape) input(name string) *field {
	group, part, ok := strings.Cut(name, ".")
	f := s.at(group)
	if ok && f.isGroup() {
		return f.shape.input(part)
	}
	return f
}

// diagnoseGroup says what is wrong with an input that consists of several.
func (c *compiler) diagnoseGroup(step, name string, v cue.Value, us []conjunct, f *field) {
	if !isStruct(us) || c.chain(us[0].expr()) != nil {
		c.add(us[0].pos(), "write in: "+asField(name)+": {"+strings.Join(f.shape.names(), ": …, ")+": …}",
			"input %s of step %s has parts, %s; got %s", name, step, list(f.shape.names(), "and"), source1(us[0].expr()))
		return
	}
	c.misplaced(step, "in."+name, v, f.shape)
	c.diagnoseWires(step, name, v, f.shape)
}

// asField writes the dotted name of an input as CUE does.
func asField(name string) string { return strings.ReplaceAll(name, ".", ": ") }

// inputPos is where an input is named.
func (c *compiler) inputPos(step, name string, v cue.Value) token.Pos {
	if p := c.places[step]; p != nil && p.fields["in."+name] != nil {
		return p.fields["in."+name].Label.Pos()
	}
	return c.labelPos(v)
}

func firstInput(f *field) string {
	if f.shape == nil || len(f.shape.fields) == 0 {
		return "NAME"
	}
	return f.shape.names()[0]
}

// diagnoseInput says what is wrong with one wire.
func (c *compiler) diagnoseInput(step, name string, v cue.Value, f *field) {
	us := c.userConjuncts(v)
	types := inputTypes(f)
	if f.isGroup() && len(us) > 0 {
		c.diagnoseGroup(step, name, v, us, f)
		return
	}
	if len(us) == 0 {
		if !f.optional {
			c.add(c.enclosing(step, "in."+name), c.candidates(step, name, types),
				"input %s of step %s is missing: it wants %s", name, step, article(types))
		}
		return
	}
	if c.isBlamed(us) {
		return
	}
	if len(us) > 1 {
		a, b := c.chain(us[0].expr()), c.chain(us[1].expr())
		if a != nil && b != nil && joinParts(a) != joinParts(b) {
			c.add(us[1].pos(), "", "input %s of step %s is %s here but %s at %s", name, step,
				source1(us[1].expr()), source1(us[0].expr()), c.pos(us[0].pos()))
			return
		}
	}
	c.diagnoseWire(step, name, v, us[0], types)
}

// diagnoseWire says what is wrong with one value of an input, if anything.
func (c *compiler) diagnoseWire(step, name string, unified cue.Value, u conjunct, types []string) {
	ref, typ, ok := c.wire(unified, u)
	if ok {
		if len(types) == 0 || slices.Contains(types, typ) {
			return
		}
		what := "steps." + ref.Step + ".out." + ref.Output
		if parts := c.chain(u.expr()); parts != nil {
			what = source1(u.expr())
		}
		c.add(u.pos(), c.candidates(step, name, types),
			"input %s of step %s wants %s, but %s is %s", name, step, article(types), what, noun(typ))
		return
	}
	wants := "input " + name + " of step " + step + " wants " + article(types)
	v := u.value
	if s := c.wholeStep(u); s != "" {
		c.add(u.pos(), c.pickOutput(s, types), "%s, but this is the whole step %s", wants, s)
		return
	}
	if s := c.wholeOut(u); s != "" {
		c.add(u.pos(), c.pickOutput(s, types), "%s, but this is all the outputs of step %s", wants, s)
		return
	}
	if s, err := v.String(); err == nil {
		c.add(u.pos(), c.unquote(s, types), "%s, got the string %q", wants, s)
		return
	}
	if l, ok := u.expr().(*ast.ListLit); ok && !c.followsFrom(u) {
		hint := ""
		if len(l.Elts) == 1 && c.chain(l.Elts[0]) != nil {
			hint = "write it without brackets: " + source1(l.Elts[0])
		}
		c.add(u.pos(), hint, "%s, got a list", wants)
		return
	}
	if err := v.Err(); err != nil && !c.incomplete(v) {
		if !c.followsFrom(u) && !c.poisoned(u, err) {
			c.reportAt(u.pos(), "input "+name+" of step "+step+": ", err)
		}
		return
	}
	if c.followsFrom(u) {
		return
	}
	c.add(u.pos(), c.candidates(step, name, types), "%s, got %s", wants, describe(v))
}

// wire returns the output that an input refers to. The wire's own type is not
// to be trusted when it conflicts with what is wanted; the output's is.
func (c *compiler) wire(v cue.Value, u conjunct) (ref pipeline.Ref, typ string, ok bool) {
	if parts := c.chain(u.expr()); len(parts) == 3 && parts[1].name == "out" {
		ref = pipeline.Ref{Step: parts[0].name, Output: parts[2].name}
	} else {
		var err, err2 error
		ref.Step, err = v.LookupPath(stepPath).String()
		ref.Output, err2 = v.LookupPath(outName).String()
		if err != nil || err2 != nil {
			return ref, "", false
		}
	}
	_, typ, err := readRef(c.steps[ref.Step].LookupPath(cue.MakePath(cue.Str("out"), cue.Str(ref.Output))))
	return ref, typ, err == nil
}

// wholeStep returns the step that u is all of, or "".
func (c *compiler) wholeStep(u conjunct) string {
	if parts := c.chain(u.expr()); len(parts) == 1 {
		return parts[0].name
	}
	s, err := u.value.LookupPath(cue.MakePath(c.world.hidName)).String()
	if err != nil {
		return ""
	}
	return s
}

// wholeOut returns the step whose out u is, or "".
func (c *compiler) wholeOut(u conjunct) string {
	if parts := c.chain(u.expr()); len(parts) == 2 && parts[1].name == "out" {
		return parts[0].name
	}
	it, err := u.value.Fields()
	if err != nil {
		return ""
	}
	step := ""
	for it.Next() {
		ref, _, err := readRef(it.Value())
		if err != nil || step != "" && step != ref.Step {
			return ""
		}
		step = ref.Step
	}
	return step
}

// pickOutput names the output of a step that fits one of the types.
func (c *compiler) pickOutput(step string, types []string) string {
	var fit []string
	it, err := c.steps[step].LookupPath(outPath).Fields()
	for err == nil && it.Next() {
		if ref, typ, err := readRef(it.Value()); err == nil && (len(types) == 0 || slices.Contains(types, typ)) {
			fit = append(fit, "steps."+ref.Step+".out."+ref.Output)
		}
	}
	switch len(fit) {
	case 0:
		return ""
	case 1:
		return "write " + fit[0]
	}
	return "write one of " + list(fit, "or")
}

// unquote reads a reference that stands in quotes.
func (c *compiler) unquote(s string, types []string) string {
	parts := strings.Split(strings.TrimPrefix(s, "steps."), ".")
	if _, ok := c.steps[parts[0]]; !ok {
		return "write an output of a step without quotes, such as steps.NAME.out.OUTPUT"
	}
	if len(parts) == 3 && parts[1] == "out" {
		return "write it without quotes: steps." + strings.Join(parts, ".")
	}
	return c.pickOutput(parts[0], types)
}

// candidates suggests outputs of other steps that an input would take.
func (c *compiler) candidates(step, input string, types []string) string {
	var fit []string
	for _, name := range c.names {
		if name == step {
			continue
		}
		it, err := c.steps[name].LookupPath(outPath).Fields()
		for err == nil && it.Next() {
			if ref, typ, err := readRef(it.Value()); err == nil && slices.Contains(types, typ) {
				fit = append(fit, "steps."+ref.Step+".out."+ref.Output)
			}
		}
		if len(fit) > 4 {
			return ""
		}
	}
	switch len(fit) {
	case 0:
		if len(types) > 0 {
			return "no other step makes " + article(types)
		}
		return ""
	case 1:
		return "for example " + asField(input) + ": " + fit[0]
	}
	return "steps that make one: " + list(fit, "and")
}

// inputTypes reads the types that an input takes from the schema's syntax.
func inputTypes(f *field) []string {
	types := map[string]bool{}
	for _, x := range f.exprs {
		ast.Walk(x, func(n ast.Node) bool {
			d, ok := n.(*ast.Field)
			if !ok {
				return true
			}
			if name, _, err := ast.LabelName(d.Label); err == nil && name == "type" {
				ast.Walk(d.Value, func(n ast.Node) bool {
					if lit, ok := n.(*ast.BasicLit); ok && lit.Kind == token.STRING {
						if s, err := literal.Unquote(lit.Value); err == nil {
							types[s] = true
						}
					}
					return true
				}, nil)
			}
			return false
		}, nil)
	}
	return slices.Sorted(maps.Keys(types))
}

// article says types as what an input wants: a model, records.
func article(types []string) string {
	if len(types) == 0 {
		return "an output of another step"
	}
	var all []string
	for _, t := range types {
		all = append(all, noun(t))
	}
	return list(all, "or")
}

func noun(typ string) string {
	switch typ {
	case "model", "report":
		return "a " + typ
	case "adapter":
		return "an adapter"
	case "gguf":
		return "a GGUF file"
	}
	return typ
}

func describe(v cue.Value) string {
	if ref, _, err := readRef(v); err == nil {
		return "an output of step " + ref.Step
	}
	if v.Err() != nil {
		return "something without a value"
	}
	return show(v)
}

// diagnoseNeeds says what is wrong with a list of steps to wait for.
func (c *compiler) diagnoseNeeds(step string, v cue.Value) {
	us := c.userConjuncts(v)
	if len(us) == 0 || c.isBlamedWithin(us) {
		return
	}
	l, ok := us[0].expr().(*ast.ListLit)
	if !ok && v.IncompleteKind() != cue.ListKind {
		hint := "write needs: [steps.NAME]"
		if parts := c.chain(us[0].expr()); len(parts) > 0 {
			hint = "write needs: [steps." + parts[0].name + "]"
		}
		c.add(us[0].pos(), hint, "needs of step %s must be a list of steps", step)
		return
	}
	told := map[int]bool{}
	for i := 0; ok && i < len(l.Elts); i++ {
		if parts := c.chain(l.Elts[i]); len(parts) > 1 {
			c.add(l.Elts[i].Pos(), "write steps."+parts[0].name, "needs of step %s lists whole steps, not %s", step, source1(l.Elts[i]))
			told[i] = true
		}
	}
	it, err := us[0].value.List()
	for i := 0; err == nil && it.Next(); i++ {
		pos := us[0].pos()
		if ok && i < len(l.Elts) {
			pos = l.Elts[i].Pos()
		}
		if told[i] {
			continue
		}
		c.diagnoseNeed(step, it.Value(), pos)
	}
}

func (c *compiler) diagnoseNeed(step string, v cue.Value, pos token.Pos) {
	if out, err := v.LookupPath(outName).String(); err == nil {
		name, _ := v.LookupPath(stepPath).String()
		c.add(pos, "write steps."+name, "needs of step %s lists whole steps, but this is output %s of step %s", step, out, name)
		return
	}
	name, err := c.neededStep(v)
	if err == nil {
		if !c.steps[name].Exists() {
			c.add(pos, choose("step", name, c.names), "unknown step %q", name)
		}
		return
	}
	if s, err := v.String(); err == nil {
		hint := "write steps.NAME, without quotes"
		if n := Nearest(strings.TrimPrefix(s, "steps."), c.names); n != "" {
			hint = "write steps." + n + ", without quotes"
			if _, err := parser.ParseExpr("", "steps."+n); err != nil || strings.Contains(n, "-") {
				hint = `write steps["` + n + `"]`
			}
		}
		c.add(pos, hint, "needs of step %s lists steps, got the string %q", step, s)
		return
	}
	c.add(pos, "write steps.NAME", "needs of step %s lists steps, got %s", step, describe(v))
}

// measures reports whether a step has an output of metrics, or one that is not
// known.
func (c *compiler) measures(step string) bool {
	it, err := c.steps[step].LookupPath(outPath).Fields()
	if err != nil {
		return true
	}
	for it.Next() {
		if _, typ, err := readRef(it.Value()); err != nil || typ == pipeline.TypeMetrics {
			return true
		}
	}
	return false
}

// diagnoseGate says which bounds on metrics cannot be understood, or name
// metrics that the step does not make.
func (c *compiler) diagnoseGate(step string, v cue.Value, f *field) {
	us := c.userConjuncts(v)
	if len(us) == 0 {
		return
	}
	if !isStruct(us) {
		c.add(us[0].pos(), "write gate: perplexity: <20",
			"gate of step %s must name metrics and their bounds, got %s", step, describe(us[0].value))
		return
	}
	if !c.measures(step) {
		c.add(us[0].label(), `give it an output for metrics.json, such as outputs: metrics: "metrics"`,
			"step %s has a gate but no output of type metrics", step)
	}
	for it := arcs(v); it.Next(); {
		name, fv := it.Selector().Unquoted(), it.Value()
		us := c.userConjuncts(fv)
		if f != nil && f.shape != nil && f.shape.each == nil && f.shape.at(name) == nil && len(us) > 0 {
			c.add(us[0].label(), choose("metric", name, f.shape.names()), "step %s does not measure %q, which its gate names", step, name)
			continue
		}
		if _, err := c.bounds(name, fv); err == nil {
			continue
		}
		if len(us) == 0 || c.isBlamed(us) {
			continue
		}
		hint := "a bound is a number behind <, <=, >, >=, == or !=, such as " + name + ": <20; several are joined with &"
		val := us[0].value
		got := source1(us[0].expr())
		if s, err := val.String(); err == nil {
			if _, err := parser.ParseExpr("", s); err == nil && strings.ContainsAny(s, "<>0123456789") {
				hint = "write it without quotes: " + name + ": " + s
			}
		} else if b, ok := us[0].expr().(*ast.BinaryExpr); ok && b.Op == token.AND && val.Err() != nil {
			c.add(us[0].pos(), "", "no number satisfies the gate on %s of step %s: %s", name, step, got)
			continue
		}
		c.add(us[0].pos(), hint, "the gate on %s of step %s is not a bound: %s", name, step, got)
	}
}

// checkWires says which inputs come from steps or outputs that there are not,
// or hold something else than they say: the schema fills in what steps.X.out.Y
// is, but a template states what it expects.
func (c *compiler) checkWires() {
	wanted := map[*field][]string{}
	for _, name := range c.names {
		n := c.nodes[name]
		if n == nil {
			continue
		}
		c.use = c.useOf(name)
		inputs := c.lang.kinds[n.Kind].fields["in"]
		for _, in := range slices.Sorted(maps.Keys(n.Inputs)) {
			f := inputs.shape.input(in)
			types, ok := wanted[f]
			if !ok {
				types = inputTypes(f)
				wanted[f] = types
			}
			c.checkWire(n, in, types)
		}
	}
	c.use = nil
}

func (c *compiler) checkWire(n *pipeline.Node, in string, types []string) {
	ref := n.Inputs[in]
	up := c.nodes[ref.Step]
	at := func() token.Pos { return c.at(n.Name, c.steps[n.Name], "in."+in) }
	if !c.steps[ref.Step].Exists() {
		c.add(at(), choose("step", ref.Step, c.names), "unknown step %q, which feeds input %s of step %s", ref.Step, in, n.Name)
		return
	}
	if up == nil {
		return // it has mistakes of its own
	}
	typ, ok := up.Outputs[ref.Output]
	if !ok {
		c.add(at(), choose("output", ref.Output, slices.Sorted(maps.Keys(up.Outputs))),
			"step %s has no output %q, which feeds input %s of step %s", ref.Step, ref.Output, in, n.Name)
		return
	}
	if len(types) > 0 && !slices.Contains(types, typ) {
		c.add(at(), c.candidates(n.Name, in, types), "input %s of step %s wants %s, but steps[%q].out.%s is %s",
			in, n.Name, article(types), ref.Step, ref.Output, noun(typ))
	}
}
