package compile

import (
	"bytes"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"
	"sync"

	"cuelang.org/go/cue"
	"cuelang.org/go/cue/ast"
	"cuelang.org/go/cue/errors"
	"cuelang.org/go/cue/token"

	"github.com/pipe-run/pipe/pipeline/modules"
)

// report notes every error of CUE that err holds, at the best place it names.
func (c *compiler) report(err error) { c.reportAt(token.NoPos, "", err) }

// reportAt notes the errors of err that name no place of the user's at pos.
func (c *compiler) reportAt(pos token.Pos, prefix string, err error) {
	seen := map[token.Pos]bool{}
	for _, e := range worthSaying(errors.Errors(err)) {
		at := pos
		for _, p := range errors.Positions(e) {
			if isUser(p) {
				at = p
				break
			}
		}
		at = c.assignment(at)
		if seen[at] {
			continue // alternatives of one disjunction
		}
		seen[at] = true
		msg, hint := c.words(e)
		c.add(at, hint, "%s%s", prefix, msg)
	}
}

// worthSaying drops errors that follow from others of the same file: what
// comes after a string that is not closed, the missing end of a broken file,
// definitions that only a misspelt name leaves unused.
func worthSaying(all []errors.Error) []errors.Error {
	unclosed := map[int]bool{}
	unknown := false
	brackets, misspelt, encoding := 0, "", 0
	for _, e := range all {
		msg := e.Error()
		if strings.Contains(msg, "string literal not terminated") {
			unclosed[e.Position().Line()] = true
		}
		unknown = unknown || strings.Contains(msg, "reference \"")
		if m := builtinPackage().FindStringSubmatch(msg); m != nil {
			misspelt = Nearest(m[1], libraryPackages())
		}
	}
	var out []errors.Error
	for _, e := range all {
		msg := e.Error()
		follows := unclosed[e.Position().Line()] && !strings.Contains(msg, "string literal not terminated") ||
			len(all) > 1 && (strings.Contains(msg, "found 'EOF'") || strings.Contains(msg, "empty disjunction")) ||
			unknown && strings.Contains(msg, "unreferenced alias or let") ||
			misspelt != "" && strings.Contains(msg, `reference "`+path.Base(misspelt)+`" not found`)
		switch { // once said, the rest of the file follows from them
		case strings.Contains(msg, "missing ','") && strings.Contains(msg, "in list literal"):
			brackets++
			follows = follows || brackets > 1
		case strings.Contains(msg, "illegal UTF-8") || strings.Contains(msg, "illegal character"):
			encoding++
			follows = follows || encoding > 1
		}
		if !follows {
			out = append(out, e)
		}
	}
	if len(out) == 0 {
		return all
	}
	return out
}

// words says an error of CUE's for people.
func (c *compiler) words(e errors.Error) (msg, hint string) {
	format, args := e.Msg()
	msg = plain(fmt.Sprintf(format, args...))
	if msg == "import failed" {
		return c.importWords(e)
	}
	if msg == "" {
		msg = plain(e.Error())
	}
	for _, t := range translations() {
		m := t.match.FindStringSubmatch(msg)
		if m == nil {
			continue
		}
		hint := c.lineHint(e)
		if hint == "" {
			hint = c.hint(e, t, m)
		}
		if b := builtinPackage().FindStringSubmatch(msg); b != nil {
			hint = suggest(b[1], libraryPackages())
		}
		return t.match.ReplaceAllString(msg, t.msg), hint
	}
	return msg, ""
}

// missingPackage is how the loader says that there is no such package.
var missingPackage = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`cannot find package "([^"]*)"(?:: (.*))?$`)
})

// importWords says why an import failed.
func (c *compiler) importWords(e errors.Error) (msg, hint string) {
	why := plain(e.Error())
	m := missingPackage().FindStringSubmatch(why)
	switch {
	case m == nil:
		_, why, _ = strings.Cut(why, "import failed: ")
		return "the import failed: " + why, ""
	case strings.Contains(m[2], "cannot find module providing"):
		module := modules.FindFile(c.dir)
		if module == "" {
			return fmt.Sprintf("there is no package %q", m[1]),
				"packages of your own need a file cue.mod/module.cue in the pipeline's folder or above it"
		}
		return fmt.Sprintf("there is no package %q", m[1]),
			"it is neither a folder of this module nor of one that " + c.display(module) + " depends on"
	}
	return fmt.Sprintf("there is no package %q: %s", m[1], m[2]), ""
}

// dashed is a field whose name lacks quotes.
var dashed = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`^[\s{]*([A-Za-z_]\w*(?:-\w+)+)\s*:`)
})

// assigned is a field written as other languages do.
var assigned = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`\b([A-Za-z_]\w*)\s*=\s*["\d\[{]`)
})

// lineHint recognises mistakes in the line that the parser stumbled over.
func (c *compiler) lineHint(e errors.Error) string {
	format, _ := e.Msg()
	if c.file != nil || !strings.HasPrefix(format, "expected") && !strings.HasPrefix(format, "missing ','") {
		return ""
	}
	lines := bytes.Split(c.src, []byte("\n"))
	n := e.Position().Line() - 1
	if n < 0 || n >= len(lines) {
		return ""
	}
	line := bytes.TrimSpace(lines[n])
	switch {
	case bytes.HasPrefix(line, []byte("# ")):
		return "a comment begins with //"
	case bytes.HasPrefix(line, []byte("- ")):
		return `this is written as YAML has it; here steps have names: steps: {NAME: {kind: "…", …}}`
	case bytes.HasPrefix(line, []byte("import ")):
		return "imports stand above all fields"
	case bytes.HasPrefix(line, []byte("for ")) && bytes.HasSuffix(line, []byte(":")):
		return "what a for makes stands in braces: for x in list {…}"
	}
	if at := e.Position().Offset(); at >= 0 && at < len(c.src) {
		switch b := c.src[at]; {
		case b == ';':
			return "leave out the ;"
		case b == '}' && strings.Contains(e.Error(), "list"):
			return "a ] is missing before this }"
		}
	}
	if m := dashed().FindSubmatch(lines[n]); m != nil {
		return `a name with a dash stands in quotes: "` + string(m[1]) + `"`
	}
	if at := c.assignment(e.Position()); at != e.Position() {
		n = at.Line() - 1
	}
	if m := assigned().FindSubmatch(lines[n]); m != nil {
		return "a field has a colon between name and value: " + string(m[1]) + ": …"
	}
	return ""
}

// builtinPackage is how the loader says that CUE's library lacks a package.
var builtinPackage = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`builtin package "(.*)" undefined`)
})

// libraryPackages are the packages of CUE's library that pipelines may use.
func libraryPackages() []string {
	return []string{
		"crypto/sha256", "encoding/base64", "encoding/hex", "encoding/json", "encoding/yaml",
		"list", "math", "path", "regexp", "strconv", "strings", "struct", "text/template", "time",
	}
}

// isComputed reports whether pos stands in an interpolation, a comprehension's
// clause or in front of a dot: where a name is meant, not text.
func (c *compiler) isComputed(pos token.Pos) bool {
	found := false
	within := func(x ast.Node) bool {
		return x != nil && x.Pos().Offset() <= pos.Offset() && pos.Offset() < x.End().Offset()
	}
	ast.Walk(c.file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.Interpolation:
			found = found || within(n)
		case *ast.ForClause:
			found = found || within(n.Source)
		case *ast.IfClause:
			found = found || within(n.Condition)
		case *ast.SelectorExpr:
			found = found || within(n.X)
		case *ast.CallExpr:
			found = found || within(n.Fun)
		case *ast.BinaryExpr:
			found = found || within(n)
		}
		return !found
	}, nil)
	return found
}

// assignment returns the place of a line such as x = "y" when the parser, which
// reads that as the beginning of a field, only stumbles over the line below.
func (c *compiler) assignment(at token.Pos) token.Pos {
	if c.file != nil || !at.IsValid() || at.Column() != 1 || at.Offset() > len(c.src) {
		return at
	}
	above := bytes.TrimRight(c.src[:at.Offset()], " \t\r\n")
	begin := bytes.LastIndexByte(above, '\n') + 1
	m := assigned().FindIndex(above[begin:])
	if m == nil || len(bytes.TrimSpace(above[begin:begin+m[0]])) > 0 {
		return at
	}
	file := token.NewFile(c.abs, -1, len(c.src)+1)
	file.SetLinesForContent(c.src)
	return file.Pos(begin+m[0], token.NoRelPos)
}

func (c *compiler) hint(e errors.Error, t translation, m []string) string {
	if t.names && c.file != nil {
		if cue := map[string]string{"True": "true", "False": "false", "None": "null"}[m[1]]; cue != "" {
			return "write " + cue
		}
		if slices.Contains(libraryPackages(), m[1]) {
			return `write import "` + m[1] + `" at the top of the file`
		}
		if m[1] == "range" {
			return `import "list" and write list.Range(0, 3, 1)`
		}
		if hint := suggest(m[1], scope(c.file)); hint != "" {
			return hint
		}
		if e != nil && c.isComputed(e.Position()) {
			return "define it above: let " + m[1] + " = …"
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

// translations are made when something is wrong: every start of pipe would
// pay for them.
var translations = sync.OnceValue(func() []translation {
	return []translation{
		{match: regexp.MustCompile(`^reference "([^"]*)" not found$`), names: true,
			msg: `unknown name $1`, hint: `text stands in quotes: "$1"`},
		{match: regexp.MustCompile(`^undefined field: (.*)$`), msg: `there is no field $1`},
		{match: regexp.MustCompile(`^expected '([})\]])', found 'EOF'$`), msg: `the file ends, but a $1 is missing`,
			hint: `every { needs its }, every [ its ]`},
		{match: regexp.MustCompile(`^expected label or ':', found .*$`), msg: `a colon is missing between a name and its value`,
			hint: `write name: value`},
		{match: regexp.MustCompile(`^(?:failed arithmetic: )?division by zero$`), msg: `division by zero`},
		{match: regexp.MustCompile(`^invalid operands (.*) and (.*) to '(.*)' \(type (.*) and (.*)\)$`),
			msg: `$1 $3 $2 cannot be computed: one is $4, the other $5`, hint: `to put a value into text write "…\(value)…"`},
		{match: regexp.MustCompile(`^import failed: cannot find package "(.*)".*$`), msg: `there is no package "$1"`},
		{match: regexp.MustCompile(`^string literal not terminated$`),
			msg: `the string is not closed on its line`, hint: `a quote is missing on this line; text of several lines stands between """ and """`},
		{match: regexp.MustCompile(`^missing ',' (?:before newline )?in struct literal$`),
			msg: `a comma or a new line is missing between two fields`},
		{match: regexp.MustCompile(`^missing ',' (?:before newline )?in list literal$`),
			msg:  `a comma is missing between two elements of the list`,
			hint: `every element but the last ends with a comma, also at the end of a line`},
		{match: regexp.MustCompile(`^imported and not used: (.*)$`), msg: `the import $1 is not used`, hint: `remove it`},
		{match: regexp.MustCompile(`^unreferenced alias or let clause (.*)$`), msg: `$1 is defined but not used`, hint: `remove it, or use it`},
		{match: regexp.MustCompile(`^field not allowed$`), msg: `it is made from a definition that takes no other fields than its own`, hint: `a name that begins with # is closed to the fields of the kind: begin it with _, or end it with ...`},
		{match: regexp.MustCompile(`^cannot range over (.*) \(found (.*), want list or struct\)$`), msg: `for goes over a list or a struct, not over $1`},
		{match: regexp.MustCompile(`^cannot call non-function (\S+) \(type _\|_\)$`), msg: `there is no function $1`},
		{match: regexp.MustCompile(`^cannot use (.*) \(type .*\) as (\S+) in argument (\d+) to (\S+)$`), msg: `argument $3 of $4 must be a $2, got $1`},
		{match: regexp.MustCompile(`^(too many|not enough) arguments in call to (\S+) \(have (\d+), want (\d+)\)$`), msg: `$1 arguments for $2: it takes $4, got $3`},
		{match: regexp.MustCompile(`^expected 'EOF', found '?([^']*)'?$`), msg: `there is a $1 too many`, hint: `every { has one }, every [ one ]`},
		{match: regexp.MustCompile(`^expected '?([^' ]*)'?, found '?([^']*)'?$`), msg: `a $1 is missing before $2`},
		{match: regexp.MustCompile(`^illegal UTF-8 encoding$`), msg: `the file is not UTF-8 text`, hint: `save it as UTF-8`},
		{match: regexp.MustCompile(`^illegal character NUL$`), msg: `the file holds a byte that is no text (0)`, hint: `save it as UTF-8`},
		{match: regexp.MustCompile(`^illegal character U\+20(?:1[89A-F]) '(.*)'$`), msg: `$1 is no plain quote`, hint: `text stands between two "`},
		{match: regexp.MustCompile(`^illegal character U\+[0-9A-F]+ '(.*)'$`), msg: `$1 means nothing here`},
		{match: regexp.MustCompile(`^conflicting values (.*) and (.*) \(mismatched types (.*) and (.*)\)$`), msg: `$1 and $2 are given for one field, but one is $3, the other $4`},
		{match: regexp.MustCompile(`^conflicting values (.*) and (.*)$`), msg: `$1 and $2 are given for one field`},
		{match: regexp.MustCompile(`^incomplete value (.*)$`), msg: `there is no value, only the constraint $1`, hint: `give it a value`},
		{match: regexp.MustCompile(`^invalid value (.*) \(out of bound (.*)\)$`), msg: `$1 is out of bounds: it must be $2`},
		{match: regexp.MustCompile(`^(?:\d+ errors in )?empty disjunction.*$`), msg: `the value is none of those that are allowed`},
		{match: regexp.MustCompile(`^structural cycle$`), msg: `a value that contains itself`},
		{match: regexp.MustCompile(`^cycle error$`), msg: `a value that is defined by itself`},
		{match: regexp.MustCompile(`^builtin package "(.*)" undefined$`), msg: `there is no package "$1" in CUE's library`},
	}
})

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

// isStepName reports whether s is a letter, then letters, digits, '_' and '-'.
func isStepName(s string) bool {
	for i := range len(s) {
		c := s[i]
		letter := 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
		if !letter && (i == 0 || c != '_' && c != '-' && (c < '0' || c > '9')) {
			return false
		}
	}
	return s != ""
}

// badKind reports a step whose kind cannot be read.
func (c *compiler) badKind(step string, v, kv cue.Value) {
	pos := c.stepPos(step, v)
	c.checkRefs()
	us := c.userConjuncts(v)
	switch {
	case !isStepName(step):
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
	if !isStepName(step) {
		c.badKind(step, c.steps[step], kv)
		return
	}
	c.add(c.valuePos(kv), choose("kind", kind, c.lang.kindNames()), "unknown kind %q of step %s", kind, step)
}

func tagName(body string) string {
	name, _, _ := strings.Cut(body, ",")
	return strings.TrimSpace(name)
}
