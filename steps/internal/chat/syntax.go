package chat

import (
	"errors"
	"fmt"
	"strings"

	"github.com/nikolalohinski/gonja/v2/exec"
	"github.com/nikolalohinski/gonja/v2/nodes"
	"github.com/nikolalohinski/gonja/v2/parser"
)

// What the engine's parser says of a template often has no line, or that of the
// end. So the statement that it stopped in is noted, and tags and brackets that
// are not closed, which it tells last, are looked for in the source.

// blame is the innermost statement that could not be parsed.
type blame struct {
	name string
	line int // 0: none
}

// watch has statements note where they fail.
func (b *blame) watch(statements *exec.ControlStructureSet) error {
	for _, name := range append(statementNames(), "generation") {
		if parse, ok := statements.Get(name); ok {
			if err := statements.Replace(name, b.noting(name, parse)); err != nil {
				return err
			}
		}
	}
	return nil
}

// noting returns a parser of the statement name that notes where it failed.
func (b *blame) noting(name string, parse parser.ControlStructureParser) parser.ControlStructureParser {
	return func(p, args *parser.Parser) (nodes.ControlStructure, error) {
		line := 0
		if t := args.Current(); t != nil && t.Line > 0 {
			line = t.Line
		} else if t := p.Current(); t != nil {
			line = t.Line
		}
		s, err := parse(p, args)
		if err != nil && b.line == 0 {
			*b = blame{name, line}
		}
		return s, err
	}
}

// syntax is an error of the engine's parser, which begins with the line of the
// template that it is about.
func syntax(source string, err error, b blame) error {
	source = strings.ReplaceAll(strings.ReplaceAll(source, "\r\n", "\n"), "\r", "\n")
	if found := unclosed(source); found != nil {
		return found
	}
	line, message := b.line, shorten(err, rewrite(source))
	var at *parser.SyntaxError
	if errors.As(err, &at) {
		message = at.Message
		if strings.HasPrefix(message, "Unexpected EOF") && b.line > 0 {
			message = fmt.Sprintf("{%% %s %%} has no end:%s", b.name, strings.TrimPrefix(message, "Unexpected EOF,"))
		} else if at.Line > 0 {
			line = at.Line
			message = near(strings.TrimSuffix(message, "."), at.Raw)
		}
	} else if i := strings.LastIndex(message, unparsed); i >= 0 {
		_, reason, _ := strings.Cut(message[i:], ": ")
		message = fmt.Sprintf("{%% %s %%}: %s", b.name, reason)
	}
	return fmt.Errorf("line %d: %s", max(line, 1), strings.TrimSuffix(message, "."))
}

// near adds what stands where the parser stopped. A bracket is the one that rewrite
// closes a tag with: those of the source are in balance.
func near(message, raw string) string {
	switch {
	case strings.HasPrefix(message, "ControlStructure "):
		return "{% " + tidy(raw) + " %} is no statement of templates, or what it would end or continue has not begun"
	case raw == "" || raw == ")":
		return message
	}
	return fmt.Sprintf("%s, near %q", message, tidy(raw))
}

// unparsed is how the engine names each statement around an error of syntax.
const unparsed = "Unable to parse controlStructure "

// tidy bounds what an error quotes.
func tidy(s string) string {
	if len(s) > 40 {
		s = strings.ToValidUTF8(s[:40], "") + "…"
	}
	return s
}

// unclosed looks for a tag, or a bracket in one, that is not closed.
func unclosed(source string) error {
	line := 1
	for source != "" {
		at := nextTag(source)
		if at < 0 {
			return nil
		}
		line += strings.Count(source[:at], "\n")
		t := readTag(source[at:])
		whole := source[at : at+t.size]
		source = source[at+t.size:]
		switch {
		case t.open:
			return fmt.Errorf("line %d: %s has no end: %s does not follow, or a string before it is not closed", line, whole[:2], map[byte]string{'{': "}}", '%': "%}", '#': "#}"}[t.kind])
		case t.kind != '#':
			if err := unbalanced(whole[2:len(whole)-2], line); err != nil {
				return err
			}
		}
		line += strings.Count(whole, "\n")
		if t.raw() {
			inside := source
			_, source, _ = readRaw(t, source)
			line += strings.Count(inside[:len(inside)-len(source)], "\n")
		}
	}
	return nil
}

// unbalanced looks for a bracket without another in the body of a tag that begins
// at a line.
func unbalanced(body string, line int) error {
	closing := map[byte]byte{'(': ')', '[': ']', '{': '}'}
	type bracket struct {
		c    byte
		line int
	}
	var open []bracket
	for i := 0; i < len(body); i++ {
		switch c := body[i]; c {
		case '\n':
			line++
		case '\'', '"':
			end := stringEnd(body, i)
			line += strings.Count(body[i:end], "\n")
			i = end - 1
		case '(', '[', '{':
			open = append(open, bracket{c, line})
		case ')', ']', '}':
			if len(open) == 0 {
				return fmt.Errorf("line %d: %c closes nothing", line, c)
			}
			last := open[len(open)-1]
			if closing[last.c] != c {
				return fmt.Errorf("line %d: %c stands where %c was expected", line, c, closing[last.c])
			}
			open = open[:len(open)-1]
		}
	}
	if len(open) > 0 {
		last := open[len(open)-1]
		return fmt.Errorf("line %d: %c is not closed", last.line, last.c)
	}
	return nil
}
