package compile

import (
	"slices"
	"strconv"
	"strings"

	"cuelang.org/go/cue"
	"cuelang.org/go/cue/ast"
)

// checkUses says what is wrong with the templates that the file uses, before
// their steps are looked at: those of a template used wrongly are not.
func (c *compiler) checkUses() {
	c.checkDefinitions()
	all := c.instances()
	c.fromUse = map[string]*instance{}
	shapes := map[*use]*shape{}
	for _, in := range all {
		before := len(c.problems)
		sh := shapes[in.use]
		if sh == nil {
			sh = &shape{fields: map[string]*field{}}
			if st := c.declaration(in.use); st != nil {
				c.lang.read(sh, st, false, 0)
			}
			shapes[in.use] = sh
		}
		if len(sh.fields) > 0 {
			c.use = in.use
			c.checkUse(in, sh)
		}
		c.claim(in, len(c.problems) > before)
	}
	c.use = nil
}

// checkDefinitions refuses templates that their package does not have.
func (c *compiler) checkDefinitions() {
	for _, u := range c.uses {
		files := c.packageFiles(u.path)
		if len(files) == 0 {
			continue
		}
		var names []string
		for _, f := range files {
			for _, d := range f.Decls {
				if d, ok := d.(*ast.Field); ok {
					if name, _, err := ast.LabelName(d.Label); err == nil && isDefinition(name) {
						names = append(names, name)
					}
				}
			}
		}
		if slices.Contains(names, u.def) {
			continue
		}
		c.use = nil
		c.add(u.pos, choose("definition", u.def, names), "package %s has no template %s", u.path, u.def)
		for _, name := range c.names {
			c.bad[name] = c.bad[name] || c.useOf(name) == u
		}
	}
}

// claim notes that the steps of in are its own, and refuses names that the
// file or another template has given already.
func (c *compiler) claim(in *instance, bad bool) {
	for _, name := range c.names {
		c.bad[name] = c.bad[name] || bad && c.places[name] == nil && c.useOf(name) == in.use
	}
	c.place(in)
	said := false
	for it := arcs(in.value.LookupPath(cue.ParsePath("steps"))); it.Next(); {
		name := it.Selector().Unquoted()
		if bad {
			c.bad[name] = true
		}
		switch other := c.fromUse[name]; {
		case other == nil:
			c.fromUse[name] = in
		case other.use != in.use:
			c.bad[name] = true
			if said {
				continue
			}
			said = true
			c.add(in.use.at("prefix"), "give each use a prefix of its own", "the prefix %q of template %s makes the step %s, which the template %s at %s makes too",
				in.prefix, in.use.template, name, other.use.template, c.source.pos(other.use.at("prefix")))
		}
		if p := c.places[name]; p != nil && p.fields["kind"] != nil {
			c.bad[name] = true
			c.add(p.label, "give the step or the template's prefix another name", "step %s is also one of template %s with prefix %q, at %s",
				name, in.use.template, in.prefix, c.source.pos(in.use.at("prefix")))
		}
	}
}

// place notes where the template of in writes its steps: asking CUE takes a
// third of the time of a compilation.
func (c *compiler) place(in *instance) {
	if c.inner == nil {
		c.inner, c.written = map[string]*place{}, map[*use]map[string]*place{}
	}
	written, ok := c.written[in.use]
	if !ok {
		written = map[string]*place{}
		if st := c.declaration(in.use); st != nil {
			placeSteps(written, fieldOf(st, "steps"))
		}
		c.written[in.use] = written
	}
	for label, p := range written {
		begin, rest, ok := strings.Cut(strings.Trim(label, `"`), `\(`)
		path, rest, closed := strings.Cut(rest, ")")
		if ok && closed && begin == "" && (path == "prefix" || strings.HasSuffix(path, ".prefix")) && !strings.ContainsAny(rest, `\"`) {
			c.inner[in.prefix+rest] = p
		}
	}
}

// placeSteps finds the steps that a template writes as literals, by the text of
// their labels.
func placeSteps(places map[string]*place, x ast.Expr) {
	switch x := x.(type) {
	case *ast.BinaryExpr:
		placeSteps(places, x.X)
		placeSteps(places, x.Y)
	case *ast.StructLit:
		for _, d := range x.Elts {
			if f, ok := d.(*ast.Field); ok {
				p := &place{label: f.Label.Pos(), fields: map[string]*ast.Field{}}
				p.read("", f.Value, 0)
				places[labelText(f.Label)] = p
			}
		}
	}
}

// templateParts are the fields of a template that are no parameters.
var templateParts = map[string]bool{"prefix": true, "in": true, "steps": true, "out": true}

func (c *compiler) checkUse(in *instance, sh *shape) {
	u := in.use
	if in.prefix == "" {
		if u.fields["prefix"] == nil {
			c.add(u.pos, `for example prefix: "a"; it begins the names of the template's steps`, "template %s needs a prefix", u.template)
		} else {
			c.add(u.at("prefix"), "it begins the names of the template's steps", "prefix of template %s must be a name: letters, digits, '_' and '-', beginning with a letter", u.template)
		}
		return
	}
	c.checkNames(in, sh)
	for _, name := range sh.names() {
		f := sh.fields[name]
		if !templateParts[name] {
			c.checkParameter(in, name, in.value.LookupPath(f.sel), f)
		}
	}
	if f := sh.fields["in"]; f != nil && f.shape != nil {
		for _, name := range f.shape.names() {
			c.checkInput(in, name, f.shape.fields[name])
		}
	}
}

// checkNames refuses parameters and inputs that the template does not have.
func (c *compiler) checkNames(in *instance, sh *shape) {
	if sh.open {
		return
	}
	var params, inputs []string
	for _, name := range sh.names() {
		if !templateParts[name] {
			params = append(params, name)
		}
	}
	if f := sh.fields["in"]; f != nil && f.shape != nil {
		inputs = f.shape.names()
	}
	for path, f := range in.use.fields {
		name, isInput := strings.CutPrefix(path, "in.")
		switch {
		case strings.Contains(name, "."):
		case isInput && sh.fields["in"] != nil && !slices.Contains(inputs, name) && sh.fields["in"].shape != nil && sh.fields["in"].shape.each == nil:
			c.add(f.Label.Pos(), choose("input", name, inputs), "template %s has no input %q", in.use.template, name)
		case !isInput && sh.at(name) == nil:
			hint := choose("parameter", name, params)
			if slices.Contains(inputs, name) {
				hint = "it is an input: write in: " + name + ": …"
			}
			c.add(f.Label.Pos(), hint, "template %s has no parameter %q", in.use.template, name)
		}
	}
}

func (c *compiler) ofUse(in *instance, what string) string {
	return what + " of template " + in.use.template + " (prefix " + strconv.Quote(in.prefix) + ")"
}

// checkParameter says why a parameter has no value, or a wrong one.
func (c *compiler) checkParameter(in *instance, name string, v cue.Value, f *field) {
	given := in.use.fields[name]
	if !v.Exists() || v.IncompleteKind() == cue.StructKind && v.Validate() == nil || v.IsConcrete() && v.Err() == nil {
		return
	}
	if v.Err() == nil && v.Validate() == nil {
		if d, ok := v.Default(); given == nil && !f.optional && (!ok || !d.IsConcrete()) && v.IncompleteKind() != cue.ListKind && v.IncompleteKind() != cue.NumberKind|cue.StringKind {
			if c.constrains(f) {
				return
			}
			hint := ""
			if ws := c.lang.wants(f); len(ws) > 0 && !vagueWant(ws) {
				hint = "it must be " + nouns(ws)
			}
			c.add(in.use.pos, hint, "%s is missing", c.ofUse(in, name))
		}
		return
	}
	if given == nil || c.followsFrom(conjunct{src: given}) {
		return
	}
	got, ok := c.given(given.Value)
	for _, u := range c.userConjuncts(v) {
		if !ok && (u.pos().Filename() == c.abs || u.pos().Filename() == c.source.name) && u.value.Err() == nil && u.value.IsConcrete() {
			got, ok = u.value, true
		}
	}
	if !ok {
		c.reportAt(fieldPos(given), c.ofUse(in, name)+": ", v.Validate())
		return
	}
	msg, hint := complain(c.lang.wants(f), got)
	c.add(fieldPos(given), hint, "%s %s", c.ofUse(in, name), msg)
}

// constrains reports whether a parameter is a constraint rather than a value,
// as a bound of a gate is.
func (c *compiler) constrains(f *field) bool {
	return len(f.exprs) == 1 && isIdent(f.exprs[0], "_")
}

// given evaluates what the user gives a template, if that is a value by
// itself.
func (c *compiler) given(x ast.Expr) (cue.Value, bool) {
	switch x.(type) {
	case *ast.BasicLit, *ast.UnaryExpr, *ast.ListLit:
		v := c.world.ctx.BuildExpr(x)
		return v, v.Err() == nil && v.IsConcrete()
	}
	if v := c.evaluate(x); v.Exists() && v.Err() == nil && v.IsConcrete() {
		return v, true
	}
	return cue.Value{}, false
}

// evaluate looks up a reference to a field of the file, be it behind a let.
func (c *compiler) evaluate(x ast.Expr) cue.Value {
	switch x := x.(type) {
	case *ast.ParenExpr:
		return c.evaluate(x.X)
	case *ast.Ident:
		if _, isLet := x.Node.(*ast.LetClause); isLet {
			return c.root.LookupPath(cue.MakePath(c.selector(letField + x.Name)))
		}
		return c.root.LookupPath(cue.MakePath(c.selector(x.Name)))
	case *ast.SelectorExpr:
		if name, _, err := ast.LabelName(x.Sel); err == nil {
			return c.evaluate(x.X).LookupPath(cue.MakePath(c.selector(name)))
		}
	case *ast.IndexExpr:
		if s := stringLiteral(x.Index); s != "" {
			return c.evaluate(x.X).LookupPath(cue.MakePath(cue.Str(s)))
		}
	}
	return cue.Value{}
}

// checkInput says why an input of a template is none.
func (c *compiler) checkInput(in *instance, name string, f *field) {
	v := in.value.LookupPath(cue.MakePath(cue.Str("in"), cue.Str(name)))
	types := c.templateTypes(f)
	given := in.use.fields["in."+name]
	if given == nil {
		if !f.optional && in.use.fields["in"] == nil || !f.optional && isStructLit(in.use.fields["in"]) {
			pos := in.use.pos
			if g := in.use.fields["in"]; g != nil {
				pos = g.Label.Pos()
			}
			c.add(pos, c.candidates("", name, types), "%s is missing: it wants %s", c.ofUse(in, "input "+name), article(types))
		}
		return
	}
	wants := c.ofUse(in, "input "+name) + " wants " + article(types)
	x := given.Value
	ref, err := readWire(v)
	got := c.evaluate(x)
	if parts := c.chain(x); parts != nil {
		c.checkRef(parts)
		if len(parts) == 1 && c.steps[parts[0].name].Exists() {
			c.add(x.Pos(), c.pickOutput(parts[0].name, types), "%s, but this is the whole step %s", wants, parts[0].name)
		}
		if len(parts) != 3 {
			return
		}
		if !c.steps[parts[0].name].Exists() {
			return
		}
		got = c.steps[parts[0].name].LookupPath(cue.MakePath(cue.Str("out"), cue.Str(parts[2].name)))
	}
	if !got.Exists() && v.Err() == nil && err == nil {
		return
	}
	if _, typ, err := readRef(got); got.Exists() && err == nil && len(types) > 0 && !slices.Contains(types, typ) {
		c.add(x.Pos(), c.candidates("", name, types), "%s, but %s is %s", wants, source1(x), noun(typ))
		return
	}
	if err == nil && ref.Step != "" && v.Err() == nil {
		return
	}
	if !c.blamedIn(x) && v.Err() != nil && !got.Exists() {
		if lit := stringLiteral(x); lit != "" {
			c.add(x.Pos(), c.unquote(lit, types), "%s, got the string %q", wants, lit)
			return
		}
		c.add(x.Pos(), c.candidates("", name, types), "%s, and %s is none", wants, source1(x))
	}
}

func isStructLit(f *ast.Field) bool {
	if f == nil {
		return false
	}
	_, ok := f.Value.(*ast.StructLit)
	return ok
}

// refTypes are the definitions of the schema that stand for outputs.
var refTypes = map[string]string{
	"#Files": "files", "#Model": "model", "#Adapter": "adapter", "#Records": "records", "#Tokens": "tokens",
	"#Metrics": "metrics", "#GGUF": "gguf", "#Report": "report", "#Tokenizer": "tokenizer",
}

// templateTypes returns the types that an input of a template takes.
func (c *compiler) templateTypes(f *field) []string {
	types := inputTypes(f)
	for _, x := range f.exprs {
		ast.Walk(x, func(n ast.Node) bool {
			if sel, ok := n.(*ast.SelectorExpr); ok {
				if name, _, err := ast.LabelName(sel.Sel); err == nil && refTypes[name] != "" {
					types = append(types, refTypes[name])
				}
			}
			return true
		}, nil)
	}
	slices.Sort(types)
	return slices.Compact(types)
}
