package compile

import (
	"fmt"
	"regexp"
	"strings"

	"cuelang.org/go/cue"
	"cuelang.org/go/cue/ast"
	"cuelang.org/go/cue/errors"
	"cuelang.org/go/cue/token"

	"github.com/pipe-run/pipe/pipeline"
)

// report notes every error of CUE that err holds, at the best place it names.
func (c *compiler) report(err error) { c.reportAt(token.NoPos, "", err) }

// reportAt notes the errors of err that name no place of the user's at pos.
func (c *compiler) reportAt(pos token.Pos, prefix string, err error) {
	seen := map[token.Pos]bool{}
	for _, e := range errors.Errors(err) {
		at := pos
		for _, p := range errors.Positions(e) {
			if isUser(p) {
				at = p
				break
			}
		}
		if seen[at] {
			continue // alternatives of one disjunction
		}
		seen[at] = true
		msg, hint := c.words(e)
		c.add(at, hint, "%s%s", prefix, msg)
	}
}

// words says an error of CUE's for people.
func (c *compiler) words(e errors.Error) (msg, hint string) {
	format, args := e.Msg()
	msg = plain(fmt.Sprintf(format, args...))
	if msg == "" {
		msg = plain(e.Error())
	}
	for _, t := range translations {
		m := t.match.FindStringSubmatch(msg)
		if m == nil {
			continue
		}
		return t.match.ReplaceAllString(msg, t.msg), c.hint(t, m)
	}
	return msg, ""
}

func (c *compiler) hint(t translation, m []string) string {
	if t.names && c.file != nil {
		if hint := suggest(m[1], scope(c.file)); hint != "" {
			return hint
		}
	}
	for i := 1; i < len(m); i++ {
		t.hint = strings.ReplaceAll(t.hint, fmt.Sprintf("$%d", i), m[i])
	}
	return t.hint
}

// plain takes what only the schema's author understands out of a message.
func plain(s string) string {
	s = strings.ReplaceAll(s, "#Pipeline.", "")
	s, _, _ = strings.Cut(s, "\n")
	return strings.TrimSuffix(strings.TrimSpace(s), ":")
}

// A translation turns an error of CUE into words.
type translation struct {
	match *regexp.Regexp
	msg   string
	hint  string
	names bool // the first group is a name that the file may know otherwise
}

var translations = []translation{
	{match: regexp.MustCompile(`^reference "([^"]*)" not found$`), names: true,
		msg: `unknown name $1`, hint: `text stands in quotes: "$1"`},
	{match: regexp.MustCompile(`^undefined field: (.*)$`), msg: `there is no field $1`},
	{match: regexp.MustCompile(`^expected '([A-Z]+)', found (.*)$`), msg: `expected $1, found $2`},
	{match: regexp.MustCompile(`^string literal not terminated$`),
		msg: `the string is not closed on its line`, hint: `add the missing ", or use """ for text of several lines`},
	{match: regexp.MustCompile(`^missing ',' (?:before newline )?in struct literal$`),
		msg: `a comma or a new line is missing between two fields`},
	{match: regexp.MustCompile(`^missing ',' (?:before newline )?in list literal$`),
		msg:  `a comma is missing between two elements of the list`,
		hint: `every element but the last ends with a comma, also at the end of a line`},
	{match: regexp.MustCompile(`^imported and not used: (.*)$`), msg: `the import $1 is not used`, hint: `remove it`},
	{match: regexp.MustCompile(`^unreferenced alias or let clause (.*)$`), msg: `$1 is defined but not used`, hint: `remove it, or use it`},
	{match: regexp.MustCompile(`^structural cycle$`), msg: `a value that contains itself`},
	{match: regexp.MustCompile(`^cycle error$`), msg: `a value that is defined by itself`},
	{match: regexp.MustCompile(`^builtin package "(.*)" undefined$`), msg: `there is no package "$1" in CUE's library`},
	{match: regexp.MustCompile(`^division by zero$`), msg: `division by zero`},
}

// scope returns the names that the file defines at its top, with steps.
func scope(f *ast.File) []string {
	names := []string{"string", "number", "int", "true", "false", "null"}
	for _, d := range f.Decls {
		switch d := d.(type) {
		case *ast.Field:
			if name, _, err := ast.LabelName(d.Label); err == nil {
				names = append(names, name)
			}
		case *ast.LetClause:
			names = append(names, d.Ident.Name)
		}
	}
	return names
}

// fallback reports a step that nothing else could be said about.
func (c *compiler) fallback(step string, v cue.Value) {
	for _, w := range c.names {
		if w != step && c.bad[w] {
			return
		}
	}
	if err := v.Validate(cue.Concrete(true)); err != nil {
		c.reportAt(c.stepPos(step, v), "step "+step+": ", err)
		return
	}
	c.add(c.stepPos(step, v), "", "step %s cannot be understood", step)
}

var stepName = regexp.MustCompile(`^[a-zA-Z][a-zA-Z0-9_-]*$`)

// badKind reports a step whose kind cannot be read.
func (c *compiler) badKind(step string, v, kv cue.Value) {
	pos := c.stepPos(step, v)
	c.checkRefs()
	us := c.userConjuncts(v)
	switch {
	case !stepName.MatchString(step):
		c.add(pos, "", "%q cannot name a step: names consist of letters, digits, '_' and '-', and begin with a letter", step)
	case len(us) > 0 && !isStruct(us):
		if u := us[0]; !c.isBlamed(us) {
			if parts := c.chain(u.expr()); len(parts) == 3 && parts[1].name == "out" {
				c.add(u.pos(), `write `+step+`: {kind: "…", …}`, "step %s must be a struct, got an output of step %s", step, parts[0].name)
				return
			}
			if err := u.value.Err(); err != nil && !c.incomplete(u.value) {
				c.reportAt(u.pos(), "step "+step+": ", err)
				return
			}
			c.add(u.pos(), `write `+step+`: {kind: "…", …}`, "step %s must be a struct, got %s", step, describe(u.value))
		}
	case len(c.userConjuncts(kv)) == 0:
		c.add(pos, "the kinds are "+list(c.lang.kindNames(), "and"), "kind of step %s is missing", step)
	default:
		f := &field{name: "kind", exprs: []ast.Expr{ast.NewIdent("string")}}
		before := len(c.problems)
		c.diagnose(step, "kind", kv, f)
		if len(c.problems) == before && !c.isBlamed(c.userConjuncts(kv)) {
			c.add(c.valuePos(kv), "", "kind of step %s is no string", step)
		}
	}
}

// unknownKind reports a kind that pipe does not have.
func (c *compiler) unknownKind(step, kind string, kv cue.Value) {
	if !stepName.MatchString(step) {
		c.badKind(step, c.steps[step], kv)
		return
	}
	c.add(c.valuePos(kv), choose("kind", kind, c.lang.kindNames()), "unknown kind %q of step %s", kind, step)
}

// tooBig reports an evaluation that the watchdog ended.
func (c *compiler) tooBig(why string) error {
	return fmt.Errorf("%w: %w", ErrTooBig, pipeline.Problems{{
		Pos: pipeline.Pos{File: c.source.name}, Message: "evaluating the file " + why,
		Hint: "look for comprehensions inside comprehensions, and for definitions that multiply one another",
	}})
}

func tagName(body string) string {
	name, _, _ := strings.Cut(body, ",")
	return strings.TrimSpace(name)
}
