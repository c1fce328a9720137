package dataset

import (
	"fmt"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// maxDepth bounds how deep lists and objects of a row may nest.
const maxDepth = 256

// SyntaxError says where bytes are not what their format demands.
type SyntaxError struct {
	Offset int64  // of the offending byte
	What   string // is wrong
}

func (e *SyntaxError) Error() string { return fmt.Sprintf("%s at byte %d", e.What, e.Offset) }

// ParseJSON reads one JSON value (RFC 8259) that fills b but for white space.
// It refuses invalid UTF-8, lone surrogates and nesting deeper than maxDepth.
// When an object names a field twice, the last value counts, as in JavaScript,
// Python and Go. Errors are *SyntaxError.
func ParseJSON(b []byte) (v Value, err error) {
	p := jsonParser{b: b}
	if v, err = p.value(0); err != nil {
		return Value{}, err
	}
	p.space()
	if p.i < len(b) {
		return Value{}, p.unexpected("the end")
	}
	return v, nil
}

type jsonParser struct {
	b []byte
	i int
}

func (p *jsonParser) fail(at int, format string, args ...any) error {
	return &SyntaxError{Offset: int64(at), What: fmt.Sprintf(format, args...)}
}

// unexpected reports the byte at p.i, where something else was wanted.
func (p *jsonParser) unexpected(want string) error {
	if p.i >= len(p.b) {
		return p.fail(p.i, "the JSON ends where %s was wanted", want)
	}
	r, size := utf8.DecodeRune(p.b[p.i:])
	if r == utf8.RuneError && size <= 1 {
		return p.fail(p.i, "invalid UTF-8 (byte 0x%02x)", p.b[p.i])
	}
	return p.fail(p.i, "%s where %s was wanted", strconv.QuoteRune(r), want)
}

func (p *jsonParser) space() {
	for p.i < len(p.b) && isJSONSpace(p.b[p.i]) {
		p.i++
	}
}

func isJSONSpace(c byte) bool { return c == ' ' || c == '\t' || c == '\n' || c == '\r' }

// peek returns the next byte that is not white space, 0 at the end.
func (p *jsonParser) peek() byte {
	p.space()
	if p.i < len(p.b) {
		return p.b[p.i]
	}
	return 0
}

func (p *jsonParser) value(depth int) (Value, error) {
	switch c := p.peek(); {
	case c == '"':
		s, err := p.str()
		return Value{Kind: String, Text: s}, err
	case c == '{' || c == '[':
		if depth == maxDepth {
			return Value{}, p.fail(p.i, "nested more than %d deep", maxDepth)
		}
		if c == '{' {
			return p.object(depth + 1)
		}
		return p.list(depth + 1)
	case c == '-' || c >= '0' && c <= '9':
		return p.number()
	}
	for _, word := range []struct {
		text  string
		value Value
	}{{"true", Value{Kind: Bool, Bool: true}}, {"false", Value{Kind: Bool}}, {"null", Value{}}} {
		if end := p.i + len(word.text); end <= len(p.b) && string(p.b[p.i:end]) == word.text {
			p.i = end
			return word.value, nil
		}
	}
	return Value{}, p.unexpected("a value")
}

func (p *jsonParser) list(depth int) (Value, error) {
	v := Value{Kind: List}
	p.i++
	if p.peek() == ']' {
		p.i++
		return v, nil
	}
	for {
		item, err := p.value(depth)
		if err != nil {
			return Value{}, err
		}
		v.Items = append(v.Items, item)
		switch p.peek() {
		case ',':
			p.i++
		case ']':
			p.i++
			return v, nil
		default:
			return Value{}, p.unexpected("',' or ']'")
		}
	}
}

func (p *jsonParser) object(depth int) (Value, error) {
	v := Value{Kind: Object}
	var index map[string]int // only for objects of many fields
	p.i++
	if p.peek() == '}' {
		p.i++
		return v, nil
	}
	for {
		if p.peek() != '"' {
			return Value{}, p.unexpected("a field's name in quotes")
		}
		name, err := p.str()
		if err != nil {
			return Value{}, err
		}
		if p.peek() != ':' {
			return Value{}, p.unexpected("':'")
		}
		p.i++
		item, err := p.value(depth)
		if err != nil {
			return Value{}, err
		}
		index = v.set(name, item, index)
		switch p.peek() {
		case ',':
			p.i++
		case '}':
			p.i++
			return v, nil
		default:
			return Value{}, p.unexpected("',' or '}'")
		}
	}
}

// set puts a field into an object, replacing one of the same name. index is the
// fields by name once there are many of them.
func (v *Value) set(name string, item Value, index map[string]int) map[string]int {
	const many = 16
	at, found := 0, false
	if index != nil {
		at, found = index[name]
	} else {
		for i := range v.Fields {
			if v.Fields[i].Name == name {
				at, found = i, true
				break
			}
		}
	}
	if found {
		v.Fields[at].Value = item
		return index
	}
	v.Fields = append(v.Fields, Field{name, item})
	switch {
	case index != nil:
		index[name] = len(v.Fields) - 1
	case len(v.Fields) == many:
		index = make(map[string]int, 2*many)
		for i, f := range v.Fields {
			index[f.Name] = i
		}
	}
	return index
}

func (p *jsonParser) number() (Value, error) {
	start := p.i
	if p.b[p.i] == '-' {
		p.i++
	}
	if p.i < len(p.b) && p.b[p.i] == '0' {
		p.i++
	} else if p.digits() == 0 {
		return Value{}, p.unexpected("a digit")
	}
	if p.i < len(p.b) && p.b[p.i] == '.' {
		p.i++
		if p.digits() == 0 {
			return Value{}, p.unexpected("a digit")
		}
	}
	if p.i < len(p.b) && (p.b[p.i] == 'e' || p.b[p.i] == 'E') {
		p.i++
		if p.i < len(p.b) && (p.b[p.i] == '+' || p.b[p.i] == '-') {
			p.i++
		}
		if p.digits() == 0 {
			return Value{}, p.unexpected("a digit")
		}
	}
	return Value{Kind: Number, Text: string(p.b[start:p.i])}, nil
}

func (p *jsonParser) digits() (n int) {
	for p.i < len(p.b) && p.b[p.i] >= '0' && p.b[p.i] <= '9' {
		p.i++
		n++
	}
	return n
}

// str reads the string whose opening quote is at p.i.
func (p *jsonParser) str() (string, error) {
	p.i++
	start := p.i
	var buf []byte // what came before start, once an escape was met
	for p.i < len(p.b) {
		switch c := p.b[p.i]; {
		case c == '"':
			s := p.b[start:p.i]
			p.i++
			if buf != nil {
				return string(append(buf, s...)), nil
			}
			return string(s), nil
		case c == '\\':
			buf = append(buf, p.b[start:p.i]...)
			r, err := p.escape()
			if err != nil {
				return "", err
			}
			if buf = utf8.AppendRune(buf, r); buf == nil {
				buf = []byte{}
			}
			start = p.i
		case c < 0x20:
			return "", p.fail(p.i, "control character 0x%02x in a string, which must be escaped", c)
		case c < utf8.RuneSelf:
			p.i++
		default:
			r, size := utf8.DecodeRune(p.b[p.i:])
			if r == utf8.RuneError && size == 1 {
				return "", p.fail(p.i, "invalid UTF-8 (byte 0x%02x)", c)
			}
			p.i += size
		}
	}
	return "", p.fail(p.i, "the JSON ends within a string")
}

// escape reads the escape whose backslash is at p.i.
func (p *jsonParser) escape() (rune, error) {
	at := p.i
	p.i += 2
	if p.i > len(p.b) {
		return 0, p.fail(p.i-1, "the JSON ends within a string")
	}
	switch c := p.b[p.i-1]; c {
	case '"', '\\', '/':
		return rune(c), nil
	case 'b':
		return '\b', nil
	case 'f':
		return '\f', nil
	case 'n':
		return '\n', nil
	case 'r':
		return '\r', nil
	case 't':
		return '\t', nil
	case 'u':
	default:
		return 0, p.fail(at, "an escape that JSON does not have")
	}
	r, ok := p.hex4()
	if !ok {
		return 0, p.fail(at, `\u without four hexadecimal digits`)
	}
	if !utf16.IsSurrogate(r) {
		return r, nil
	}
	if p.i+6 <= len(p.b) && p.b[p.i] == '\\' && p.b[p.i+1] == 'u' {
		p.i += 2
		if low, ok := p.hex4(); ok {
			if r = utf16.DecodeRune(r, low); r != utf8.RuneError {
				return r, nil
			}
		}
	}
	return 0, p.fail(at, `\u%s is half of a surrogate pair and stands for no character`, p.b[at+2:at+6])
}

func (p *jsonParser) hex4() (rune, bool) {
	if p.i+4 > len(p.b) {
		return 0, false
	}
	var r rune
	for _, c := range p.b[p.i : p.i+4] {
		switch {
		case c >= '0' && c <= '9':
			r = r<<4 | rune(c-'0')
		case c >= 'a' && c <= 'f':
			r = r<<4 | rune(c-'a'+10)
		case c >= 'A' && c <= 'F':
			r = r<<4 | rune(c-'A'+10)
		default:
			return 0, false
		}
	}
	p.i += 4
	return r, true
}
