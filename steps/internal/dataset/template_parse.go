package dataset

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// fieldPath leads to a value of a row: names of fields and places in lists.
type fieldPath []pathStep

// pathStep is a field's name, or, with an empty name, a place in a list.
type pathStep struct {
	name  string
	index int
}

// String writes the path as templates do.
func (p fieldPath) String() string {
	var b strings.Builder
	for i, s := range p {
		switch {
		case s.name == "":
			fmt.Fprintf(&b, "[%d]", s.index)
		case i > 0 && plainName(s.name):
			b.WriteString("." + s.name)
		case i == 0:
			b.WriteString(s.name)
		default:
			fmt.Fprintf(&b, "[%q]", s.name)
		}
	}
	return b.String()
}

// filter changes a value: trim, json, or default with its argument.
type filter struct{ name, argument string }

// maxTemplate bounds a template's text.
const maxTemplate = 1 << 20

// parseTemplate cuts a template at its {{ … }}. Within stand a path, such as
// question, answers.text[0] or ["sepal length"], or a "text", and filters after
// bars.
func parseTemplate(source string) (pieces []piece, err error) {
	if len(source) > maxTemplate {
		return nil, fmt.Errorf("is longer than %d bytes", maxTemplate)
	}
	for rest := source; rest != ""; {
		literal, after, found := strings.Cut(rest, "{{")
		if strings.Contains(literal, "}}") {
			return nil, fmt.Errorf(`}} without {{ before %s; {{"}}"}} writes it`, snippet(rest))
		}
		if literal != "" {
			pieces = append(pieces, piece{literal: literal})
		}
		if !found {
			return pieces, nil
		}
		p := templateParser{text: after}
		expression, err := p.expression()
		if err != nil {
			return nil, fmt.Errorf("{{%s: %w", clip(after), err)
		}
		pieces = append(pieces, expression)
		rest = p.text
	}
	return pieces, nil
}

// clip is the beginning of a text, for an error.
func clip(s string) string {
	if end := strings.Index(s, "}}"); end >= 0 && end < maxSnippet {
		return s[:end+2]
	}
	if len(s) > maxSnippet {
		return strings.ToValidUTF8(s[:maxSnippet], "") + "…"
	}
	return s
}

type templateParser struct{ text string }

func (p *templateParser) space() { p.text = strings.TrimLeft(p.text, " \t\r\n") }

// take takes a word off the text if it begins so, white space first.
func (p *templateParser) take(word string) bool {
	p.space()
	rest, ok := strings.CutPrefix(p.text, word)
	if ok {
		p.text = rest
	}
	return ok
}

func (p *templateParser) expression() (e piece, err error) {
	p.space()
	if strings.HasPrefix(p.text, `"`) {
		e.literal, err = p.quoted()
	} else {
		e.at, err = p.path()
	}
	for err == nil && p.take("|") {
		if e.at == nil {
			return e, fmt.Errorf("filters are for fields, not for text")
		}
		var f filter
		f, err = p.filter()
		e.filters = append(e.filters, f)
	}
	if err == nil && !p.take("}}") {
		if p.text == "" {
			return e, fmt.Errorf("never ends: }} is missing")
		}
		return e, fmt.Errorf("wanted a field, | or }} before %s", snippet(p.text))
	}
	return e, err
}

func (p *templateParser) path() (all fieldPath, err error) {
	if name := p.name(); name != "" {
		all = fieldPath{{name: name}}
	}
	for {
		switch {
		case strings.HasPrefix(p.text, "["):
			p.text = p.text[1:]
			s, err := p.bracket()
			if err != nil {
				return nil, err
			}
			all = append(all, s)
		case len(all) > 0 && strings.HasPrefix(p.text, "."):
			p.text = p.text[1:]
			name := p.name()
			if name == "" {
				return nil, fmt.Errorf("wanted a field's name after the dot")
			}
			all = append(all, pathStep{name: name})
		case len(all) == 0:
			return nil, fmt.Errorf(`wanted a field's name, such as question, or ["sepal length"]`)
		case all[0].name == "":
			return nil, fmt.Errorf("a row's columns have names, not numbers")
		default:
			return all, nil
		}
	}
}

// bracket reads what stands in [ ]: a number, or a name in quotes.
func (p *templateParser) bracket() (s pathStep, err error) {
	p.space()
	if strings.HasPrefix(p.text, `"`) {
		if s.name, err = p.quoted(); err == nil && s.name == "" {
			err = fmt.Errorf("a field's name is empty")
		}
	} else {
		digits := p.text[:len(p.text)-len(strings.TrimLeft(p.text, "0123456789"))]
		p.text = p.text[len(digits):]
		if s.index, err = strconv.Atoi(digits); err != nil {
			err = fmt.Errorf("wanted a number or a name in quotes within [ ]")
		}
	}
	if err == nil && !p.take("]") {
		err = fmt.Errorf("a [ never closes")
	}
	return s, err
}

// quoted reads a text in quotes, as in JSON.
func (p *templateParser) quoted() (string, error) {
	for end := 1; end < len(p.text); end++ {
		switch p.text[end] {
		case '\\':
			end++
		case '"':
			v, err := ParseJSON([]byte(p.text[:end+1]))
			p.text = p.text[end+1:]
			return v.Text, err
		}
	}
	return "", fmt.Errorf("a text in quotes never ends")
}

func (p *templateParser) name() string {
	p.space()
	end := 0
	for end < len(p.text) {
		r, size := utf8.DecodeRuneInString(p.text[end:])
		if !nameRune(r) {
			break
		}
		end += size
	}
	name := p.text[:end]
	p.text = p.text[end:]
	return name
}

// nameRune tells what names without quotes are made of.
func nameRune(r rune) bool {
	return r == '_' || r == '-' || unicode.IsLetter(r) || unicode.IsDigit(r) || unicode.IsMark(r)
}

func plainName(name string) bool {
	return !strings.ContainsFunc(name, func(r rune) bool { return !nameRune(r) })
}

func (p *templateParser) filter() (f filter, err error) {
	f.name = p.name()
	switch f.name {
	case "trim", "json":
		return f, nil
	case "default":
	default:
		return f, fmt.Errorf("%s is no filter; there are trim, json and default(\"…\")", snippet(f.name))
	}
	if !p.take("(") {
		return f, fmt.Errorf(`default needs a text: default("…")`)
	}
	p.space()
	if !strings.HasPrefix(p.text, `"`) {
		return f, fmt.Errorf(`default needs a text in quotes: default("…")`)
	}
	if f.argument, err = p.quoted(); err == nil && !p.take(")") {
		err = fmt.Errorf("the parenthesis of default never closes")
	}
	return f, err
}

// optional tells a field that may be missing.
func (p piece) optional() bool {
	for _, f := range p.filters {
		if f.name == "default" {
			return true
		}
	}
	return false
}

// value is the text of a field. A field that is missing or null is an error
// unless there is a default, which takes the place of empty text too.
func (p piece) value(row Value, labels map[string]string) (string, *badField) {
	v, bad := p.find(row)
	if bad != nil {
		if !p.optional() {
			return "", bad
		}
		v = Value{}
	}
	as := ""
	for _, f := range p.filters {
		switch {
		case f.name == "json":
			v = stringValue(v.JSON())
		case f.name == "trim" && v.Kind == String:
			v.Text = strings.TrimSpace(v.Text)
		case f.name == "default" && (v.Kind == Null || v.Kind == String && v.Text == ""):
			return f.argument, nil
		}
	}
	switch v.Kind {
	case String, Number:
		as = v.Text
	case Bool:
		as = strconv.FormatBool(v.Bool)
	case Null:
		return "", wrong(p.at.String(), `is null; default("…") gives it a value`)
	default:
		return "", wanted(p.at.String(), "text or a number (the filter json writes other values)", v)
	}
	if labels == nil {
		return as, nil
	}
	name, ok := labels[as]
	if !ok {
		return "", wrong(p.at.String(), "labels has no name for %s", snippet(as))
	}
	return name, nil
}

// find follows the path.
func (p piece) find(row Value) (Value, *badField) {
	v := row
	for i, s := range p.at {
		at := p.at[:i+1].String()
		if s.name == "" {
			if v.Kind != List {
				return v, wanted(p.at[:i].String(), "a list", v)
			}
			if s.index >= len(v.Items) {
				return v, wrong(at, "is missing; the list holds %d", len(v.Items))
			}
			v = v.Items[s.index]
			continue
		}
		next, ok := v.Get(s.name)
		if !ok {
			return v, wrong(at, "is missing; there %s", have(v))
		}
		v = next
	}
	return v, nil
}

// have says which fields an object has.
func have(v Value) string {
	if v.Kind != Object {
		return "is " + v.Kind.String()
	}
	return "are " + rowNames(v)
}
