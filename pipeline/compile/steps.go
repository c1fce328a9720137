package compile

import (
	"slices"
	"strings"

	"cuelang.org/go/cue"
	"cuelang.org/go/cue/ast"
	"cuelang.org/go/cue/errors"

	"github.com/pipe-run/pipe/pipeline"
)

// readName returns the name of the pipeline.
func (c *compiler) readName() string {
	v := c.root.LookupPath(cue.ParsePath("name"))
	name, err := v.String()
	if err != nil {
		if len(c.userConjuncts(v)) > 0 {
			c.diagnose("", "name", v, c.lang.pipeline.fields["name"])
		} else if !c.misnamed["name"] {
			c.add(c.start(), `for example name: "support-bot"`, "the pipeline has no name")
		}
	}
	return name
}

// readSteps finds the steps and their order, and checks the root.
func (c *compiler) readSteps() {
	c.steps = map[string]cue.Value{}
	c.nodes = map[string]*pipeline.Node{}
	c.bad = map[string]bool{}
	c.places = c.findPlaces()
	c.misnamed = map[string]bool{}
	c.checkRoot()
	v := c.root.LookupPath(cue.ParsePath("steps"))
	it, err := v.Fields()
	if err != nil {
		if us := c.userConjuncts(v); len(us) > 0 && !isStruct(us) {
			c.add(us[0].pos(), `write steps: {NAME: {kind: "…", …}, …}`, "steps must be a struct of steps by name, got %s", describe(us[0].value))
			return
		}
		c.stepsErr = append(c.stepsErr, v.Err())
		return
	}
	// A comprehension over what has no value makes no steps, silently.
	for _, e := range errors.Errors(v.Err()) {
		if p := e.Path(); len(p) > 0 && p[len(p)-1] == "steps" {
			c.stepsErr = append(c.stepsErr, e)
		}
	}
	for it.Next() {
		name := it.Selector().Unquoted()
		c.steps[name] = it.Value()
		c.names = append(c.names, name)
	}
	if len(c.names) == 0 && !c.misnamed["steps"] && !c.stray && v.Err() == nil {
		pos := c.start()
		if f := topField(c.file, "steps"); f != nil {
			pos = f.Pos()
		}
		c.add(pos, `add one, such as faq: {kind: "fetch", source: file: path: "data/faq.jsonl"}`, "the pipeline has no steps")
	}
}

// refuseValues refuses a file that is a list or a scalar.
func (c *compiler) refuseValues() {
	for _, d := range c.file.Decls {
		if e, ok := d.(*ast.EmbedDecl); ok {
			switch e.Expr.(type) {
			case *ast.BasicLit, *ast.ListLit, *ast.Interpolation:
				c.add(e.Pos(), `a pipeline file begins with name: "…" and steps: {…}`, "this is a value, not a field of a pipeline")
			}
		}
	}
}

// checkRoot refuses what is not a part of a pipeline.
func (c *compiler) checkRoot() {
	it, err := c.root.Fields()
	if err != nil {
		if c.root.IncompleteKind() != cue.StructKind {
			c.report(c.root.Err())
		}
		return
	}
	for it.Next() {
		name := it.Selector().Unquoted()
		if c.lang.pipeline.at(name) != nil {
			continue
		}
		meant := Nearest(name, c.lang.pipeline.names())
		hint := suggest(name, c.lang.pipeline.names())
		c.misnamed[meant] = true
		if c.lang.kinds[c.kindOf(it.Value())] != nil {
			c.stray, hint = true, "steps stand in steps: {"+name+": {…}}"
		} else if f := topField(c.file, name); hint == "" && f != nil && f.Label.Pos().Column() > 1 {
			hint = "indenting a line does not put it into the field above: braces do, as in steps: {NAME: {…}}"
		}
		if hint == "" {
			hint = "a pipeline has only name and steps; for values of your own write let " + ident(name) +
				" = …, or a name that begins with _ or #"
		}
		c.add(c.labelPos(it.Value()), hint, "unknown field %q of the pipeline", name)
	}
}

// ident returns s if it could be an identifier, else a stand-in.
func ident(s string) string {
	if s == "" || strings.ContainsAny(s, " -.\"") {
		return "x"
	}
	return s
}

// outputs returns the names of the outputs of a step, sorted, and whether
// they could be determined.
func (c *compiler) outputs(step string) ([]string, bool) {
	it, err := c.steps[step].LookupPath(outPath).Fields()
	if err != nil {
		return nil, false
	}
	var names []string
	for it.Next() {
		names = append(names, it.Selector().Unquoted())
	}
	slices.Sort(names)
	return names, true
}

var outPath = cue.ParsePath("out")
