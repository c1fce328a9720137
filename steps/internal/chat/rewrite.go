package chat

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// The template engine differs from Jinja in its syntax: it parses "a if c else b"
// only at the top of an output or a set, reads string literals by Go's rules,
// and strips the space before a block wherever that stands. rewrite respells a
// template so that it means there what it means in Jinja with trim_blocks and
// lstrip_blocks: white space is settled here and the engine strips none,
// conditional expressions become (((c) and [a]) or [b])[0], which evaluates the
// same operands, and strings are written with escapes that both languages share.
// Arithmetic and what an output prints become calls of our own functions
// (operators.go), since the engine adds and prints what Python would refuse.

// rewrite returns the respelled source. What it cannot make out it leaves for
// the engine to complain about. Tags stay on their lines: breaks that are stripped
// before a tag stand within a comment.
func rewrite(source string) string {
	source = strings.ReplaceAll(strings.ReplaceAll(source, "\r\n", "\n"), "\r", "\n")
	source = strings.TrimSuffix(source, "\n")
	var out strings.Builder
	owed := 0 // line breaks of the source that are not in out
	write := func(text, instead string) {
		out.WriteString(text)
		owed += strings.Count(instead, "\n") - strings.Count(text, "\n")
	}
	for lineStart := true; source != ""; {
		at := nextTag(source)
		if at < 0 {
			out.WriteString(source)
			break
		}
		data := source[:at]
		t := readTag(source[at:])
		whole := source[at : at+t.size]
		source = source[at+t.size:]
		kept := t.before(data, lineStart)
		if open := strings.TrimRight(kept, "{"); open != kept { // would make a tag of the next
			write(open+`{{ `+quote(kept[len(open):])+` }}`, data)
		} else {
			write(kept, data)
		}
		if t.raw() {
			inside := source
			var text string
			text, source, t = readRaw(t, source)
			write(`{{ `+quote(text)+` }}`, whole+inside[:len(inside)-len(source)])
		} else {
			if owed > 0 {
				write("{#"+strings.Repeat("\n", owed)+"#}", "")
			}
			write(t.text(), whole)
		}
		rest := source
		source, lineStart = t.after(rest)
		owed += strings.Count(rest[:len(rest)-len(source)], "\n")
	}
	return out.String()
}

// tag is an output {{ }}, a block {% %} or a comment {# #}.
type tag struct {
	kind        byte // '{', '%' or '#'
	left, right byte // '-' or '+' inside the brackets, or 0
	body        string
	size        int  // in the source
	open        bool // it has no end
}

// nextTag returns where the next tag begins, or -1.
func nextTag(s string) int {
	for i := 0; i+1 < len(s); i++ {
		if s[i] == '{' && (s[i+1] == '{' || s[i+1] == '%' || s[i+1] == '#') {
			return i
		}
	}
	return -1
}

// readTag reads the tag that s begins with.
func readTag(s string) tag {
	t := tag{kind: s[1], size: -1}
	switch t.kind {
	case '{':
		t.size = tagEnd(s, "}}")
	case '%':
		t.size = tagEnd(s, "%}")
	default:
		if end := strings.Index(s[2:], "#}"); end >= 0 {
			t.size = 2 + end + 2
		}
	}
	if t.size < 0 {
		return tag{kind: t.kind, body: s[2:], size: len(s), open: true}
	}
	t.body = s[2 : t.size-2]
	if n := len(t.body); n > 0 && (t.body[0] == '-' || t.body[0] == '+') {
		t.left, t.body = t.body[0], t.body[1:]
	}
	if n := len(t.body); n > 0 && (t.body[n-1] == '-' || t.body[n-1] == '+') {
		t.right, t.body = t.body[n-1], t.body[:n-1]
	}
	return t
}

// before returns the text in front of the tag less what the tag strips:
// everything blank for a minus; for blocks and comments, else, what is blank
// on its own line.
func (t tag) before(data string, lineStart bool) string {
	if t.left == '-' {
		return strings.TrimRightFunc(data, unicode.IsSpace)
	}
	line := strings.LastIndexByte(data, '\n') + 1
	if t.kind != '{' && t.left == 0 && (line > 0 || lineStart) && strings.TrimSpace(data[line:]) == "" {
		return data[:line]
	}
	return data
}

// after strips from the text behind the tag: everything blank for a minus; for
// blocks and comments, else, one line break. It tells whether that reaches the
// beginning of a line.
func (t tag) after(rest string) (string, bool) {
	stripped := rest
	switch {
	case t.right == '-':
		stripped = strings.TrimLeftFunc(rest, unicode.IsSpace)
	case t.kind != '{' && t.right == 0:
		stripped = strings.TrimPrefix(rest, "\n")
	}
	gone := rest[:len(rest)-len(stripped)]
	return stripped, strings.HasSuffix(gone, "\n")
}

// text respells the tag.
func (t tag) text() string {
	switch {
	case t.open:
		return "{" + string(t.kind) + t.body
	case t.kind == '#':
		return "{# #}"
	}
	if text, ok := t.unpacking(); ok {
		return text
	}
	e := expression{s: t.body, top: t.kind == '{' || t.name() == "set"}
	if t.kind == '{' {
		return "{{ " + printed + "(" + e.group(0) + ") }}"
	}
	return "{% " + e.group(0) + " %}"
}

// unpacking respells {% set a, b = x %}, which the engine does not know.
func (t tag) unpacking() (string, bool) {
	left, right, ok := strings.Cut(t.body, "=")
	names := strings.Split(strings.TrimPrefix(strings.TrimSpace(left), "set "), ",")
	if t.kind != '%' || t.name() != "set" || !ok || len(names) < 2 || strings.ContainsAny(left, "([{") {
		return "", false
	}
	e := expression{s: right, top: true}
	var out strings.Builder
	out.WriteString("{% set pipe_parts = [" + e.group(0) + "] %}{% if pipe_parts|length == 1 %}{% set pipe_parts = pipe_parts[0] %}{% endif %}")
	for i, name := range names {
		out.WriteString("{% set " + strings.TrimSpace(name) + " = pipe_parts[" + strconv.Itoa(i) + "] %}")
	}
	return out.String(), true
}

// name is the first word of a block.
func (t tag) name() string {
	if fields := strings.Fields(t.body); len(fields) > 0 {
		return fields[0]
	}
	return ""
}

func (t tag) raw() bool { return t.kind == '%' && t.name() == "raw" && !t.open }

// readRaw returns the text from the raw block t to its end, what follows, and
// the tag at the end.
func readRaw(t tag, s string) (text, rest string, end tag) {
	if t.right == '-' {
		s = strings.TrimLeftFunc(s, unicode.IsSpace)
	}
	for i := 0; i < len(s); i++ {
		if !strings.HasPrefix(s[i:], "{%") {
			continue
		}
		if end = readTag(s[i:]); end.name() == "endraw" && !end.open {
			return end.before(s[:i], false), s[i+end.size:], end
		}
	}
	return s, "", tag{kind: '%'}
}

// tagEnd returns the length of the tag, up to its end outside of strings, or
// -1.
func tagEnd(source, end string) int {
	for i := 2; i < len(source); i++ {
		switch c := source[i]; {
		case c == '\'' || c == '"':
			i = stringEnd(source, i) - 1
		case strings.HasPrefix(source[i:], end):
			return i + len(end)
		}
	}
	return -1
}

// stringEnd returns the end of the literal that begins at i.
func stringEnd(s string, i int) int {
	quote := s[i]
	for i++; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case quote:
			return i + 1
		}
	}
	return len(s)
}

// expression rewrites one tag's body.
type expression struct {
	s     string
	i     int
	top   bool // "if" at the top is a conditional expression
	depth int
}

// operand is a part of an expression: text, or the words if and else.
type operand struct {
	text string
	word bool
}

// group rewrites up to the closing bracket, or to the end for 0.
func (e *expression) group(closing byte) string {
	var out strings.Builder
	var item []operand
	flush := func() {
		out.WriteString(conditional(item))
		item = item[:0]
	}
	add := func(text string) { item = append(item, operand{text: text}) }
	for e.i < len(e.s) {
		c := e.s[e.i]
		switch {
		case c == closing && closing != 0:
			flush()
			return out.String()
		case c == '\'' || c == '"':
			end := stringEnd(e.s, e.i)
			add(respell(e.s[e.i:end]))
			e.i = end
		case (c == '(' || c == '[' || c == '{') && e.depth < maxDepth:
			follows := calls(item)
			text := e.bracket(c, follows)
			switch {
			case len(text) < 2: // it is not closed
				add(text)
			case c == '[' && follows:
				item = index(item, text)
			case c == '(' && follows && unpacks(text):
				item = spread(item, text)
			default:
				add(text)
			}
		case c == ',' || c == ':' || c == '=' && e.assigns():
			flush()
			out.WriteByte(c)
			e.i++
		case isNameByte(c):
			word := e.word()
			is := (word == "if" || word == "else") && (closing != 0 || e.top)
			if (word == "none" || word == "None") && !tested(item) {
				word = noValue
			}
			item = append(item, operand{word, is})
		default:
			add(string(c))
			e.i++
		}
	}
	flush()
	return out.String()
}

// calls says whether a bracket after the operands calls or indexes the last.
func calls(item []operand) bool {
	if len(item) == 0 {
		return false
	}
	last := item[len(item)-1]
	switch c := last.text[len(last.text)-1]; {
	case boundary(last.text):
		return false
	case isNameByte(c), c == ')', c == ']', c == '"', c == '\'':
		return true
	}
	return false
}

// bracket rewrites a bracketed group, brackets included. A group of which
// something is asked becomes the element of a list, since the engine knows no
// methods of groups.
func (e *expression) bracket(open byte, called bool) string {
	closing := map[byte]byte{'(': ')', '[': ']', '{': '}'}[open]
	e.i++
	e.depth++
	inner := e.group(closing)
	e.depth--
	if e.i == len(e.s) {
		return string(open) + inner
	}
	e.i++
	if open == '(' && !called && e.i < len(e.s) && (e.s[e.i] == '.' || e.s[e.i] == '[') && strings.TrimSpace(inner) != "" {
		return "[(" + inner + ")][0]"
	}
	if open == '{' && blank(inner) {
		return nothing
	}
	if open == '{' && strings.HasSuffix(inner, "}") {
		inner += " " // which would end the tag
	}
	return string(open) + inner + string(closing)
}

// tested says whether the operands end in "is" or "is not".
func tested(item []operand) bool {
	for i := len(item) - 1; i >= 0; i-- {
		switch text := item[i].text; {
		case text == "is":
			return true
		case text != "not" && !blank(text):
			return false
		}
	}
	return false
}

// index appends an index to the operands: one by a computed key becomes a call of
// our own; slices, and keys spelled out, are the engine's.
func index(item []operand, bracket string) []operand {
	key := bracket[1 : len(bracket)-1]
	if strings.Contains(key, ":") || strings.HasPrefix(strings.TrimSpace(key), `"`) {
		return append(item, operand{text: bracket})
	}
	rest, of := last(item)
	return append(rest, operand{text: "[" + indexed + "(" + of + ", " + key + ")][0]"})
}

// unpacks says whether a call has one argument, and that is *list.
func unpacks(bracket string) bool {
	inner := strings.TrimSpace(bracket[1 : len(bracket)-1])
	return strings.HasPrefix(inner, "*") && !strings.HasPrefix(inner, "**") && bracket[len(bracket)-1] == ')'
}

// spread appends a call with the elements of a list, f(*x), as one of our own.
func spread(item []operand, bracket string) []operand {
	rest, of := last(item)
	_, list, _ := strings.Cut(bracket[:len(bracket)-1], "*")
	return append(rest, operand{text: called + "(" + of + ", " + list + ")"})
}

// last splits off the value that the operands end with.
func last(item []operand) (rest []operand, value string) {
	from := len(item)
	for from > 0 {
		text := item[from-1].text
		c := text[len(text)-1]
		if boundary(text) || !(isNameByte(c) || strings.IndexByte(`)]".`, c) >= 0) {
			break
		}
		from--
	}
	var of strings.Builder
	for _, o := range item[from:] {
		of.WriteString(o.text)
	}
	return item[:from], of.String()
}

// assigns tells whether the = at e.i is not part of a comparison.
func (e *expression) assigns() bool {
	if e.i+1 < len(e.s) && e.s[e.i+1] == '=' {
		return false
	}
	return e.i == 0 || !strings.ContainsRune("=!<>", rune(e.s[e.i-1]))
}

func (e *expression) word() string {
	from := e.i
	for e.i < len(e.s) && isNameByte(e.s[e.i]) {
		e.i++
	}
	return e.s[from:e.i]
}

func isNameByte(c byte) bool {
	return c == '_' || '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || c >= utf8.RuneSelf
}

// conditional joins operands, respelling "a if c else b".
func conditional(item []operand) string {
	first := -1
	for i, o := range item {
		if o.word && o.text == "if" {
			first = i
			break
		}
	}
	if first < 0 {
		return join(item)
	}
	second := len(item)
	for i := first + 1; i < len(item); i++ {
		if item[i].word && item[i].text == "else" {
			second = i
			break
		}
	}
	otherwise := "''"
	if second < len(item) {
		otherwise = conditional(item[second+1:])
	}
	return fmt.Sprintf(" (((%s) and [%s]) or [%s])[0] ", join(item[first+1:second]), join(item[:first]), otherwise)
}

// respell writes a Python string literal as one of the engine: with
// hexadecimal escapes for all that has a meaning to it.
func respell(literal string) string {
	if len(literal) < 2 || literal[len(literal)-1] != literal[0] {
		return literal
	}
	return quote(unescape(literal[1 : len(literal)-1]))
}

// quote writes a string as a literal of the engine.
func quote(s string) string {
	var out strings.Builder
	out.WriteByte('"')
	for _, c := range s {
		switch {
		case c == '\n':
			out.WriteString(`\n`)
		case c < ' ' || strings.ContainsRune(`\"'{}%#`, c):
			fmt.Fprintf(&out, `\x%02x`, c)
		default:
			out.WriteRune(c)
		}
	}
	out.WriteByte('"')
	return out.String()
}

// unescape decodes Python's escapes; one it does not know stands for itself.
func unescape(s string) string {
	if !strings.Contains(s, `\`) {
		return s
	}
	var out strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' || i+1 == len(s) {
			out.WriteByte(s[i])
			continue
		}
		i++
		if at := strings.IndexByte(`ntrabfv0\'"`, s[i]); at >= 0 {
			out.WriteByte("\n\t\r\a\b\f\v\x00\\'\""[at])
			continue
		}
		digits := map[byte]int{'x': 2, 'u': 4, 'U': 8}[s[i]]
		if digits > 0 && i+digits < len(s) {
			if code, err := strconv.ParseUint(s[i+1:i+1+digits], 16, 32); err == nil && utf8.ValidRune(rune(code)) {
				out.WriteRune(rune(code))
				i += digits
				continue
			}
		}
		if s[i] != '\n' { // an escaped line break is none
			out.WriteByte('\\')
			out.WriteByte(s[i])
		}
	}
	return out.String()
}
