package dataset

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/bits"
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
func ParseJSON(b []byte) (Value, error) {
	p := jsonParser{b: bytes.Clone(b), valid: utf8.Valid(b)}
	return p.whole()
}

// jsonParser reads values whose strings are parts of b, which must not change
// afterwards.
type jsonParser struct {
	b     []byte
	i     int
	valid bool // all of b is UTF-8
	slab  slab

	fields []Field // of the objects being read, inner ones last
	items  []Value // of the lists being read
}

// slab hands out memory for fields and items from larger pieces, again after
// reset.
type slab struct {
	chunk  int // fields of a piece; 0 is none more than asked for
	fields []Field
	items  []Value

	allFields []Field // the piece that fields is the rest of
	allItems  []Value
}

// reset takes back what was handed out. A piece that was not enough was left to
// the rows; the next is larger.
func (s *slab) reset() {
	s.fields, s.items = s.allFields, s.allItems
}

// fieldsOf returns memory for n fields, whatever stands in it.
func (s *slab) fieldsOf(n int) []Field {
	if n > len(s.fields) {
		s.fields = make([]Field, max(n, min(s.chunk, 2*len(s.allFields)), min(s.chunk, leastFields)))
		s.allFields = s.fields
	}
	kept := s.fields[:n:n]
	s.fields = s.fields[n:]
	return kept
}

func (s *slab) keepFields(from []Field) []Field {
	kept := s.fieldsOf(len(from))
	copy(kept, from)
	return kept
}

func (s *slab) keepItems(from []Value) []Value {
	n := len(from)
	if n > len(s.items) {
		s.items = make([]Value, max(n, min(s.chunk, 2*len(s.allItems)), min(s.chunk, leastFields)))
		s.allItems = s.items
	}
	kept := s.items[:n:n]
	s.items = s.items[n:]
	copy(kept, from)
	return kept
}

// whole reads a value that fills b but for white space.
func (p *jsonParser) whole() (v Value, err error) {
	p.fields, p.items = p.fields[:0], p.items[:0]
	if err = p.value(&v, 0); err != nil {
		return Value{}, err
	}
	p.space()
	if p.i < len(p.b) {
		return Value{}, p.unexpected("the end")
	}
	return v, nil
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

func (p *jsonParser) value(v *Value, depth int) (err error) {
	switch c := p.peek(); {
	case c == '"':
		v.Kind = String
		v.Text, err = p.str()
		return err
	case c == '{' || c == '[':
		if depth == maxDepth {
			return p.fail(p.i, "nested more than %d deep", maxDepth)
		}
		if c == '{' {
			return p.object(v, depth+1)
		}
		return p.list(v, depth+1)
	case c == '-' || c >= '0' && c <= '9':
		return p.number(v)
	case c == 't' && p.word("true"):
		v.Kind, v.Bool = Bool, true
		return nil
	case c == 'f' && p.word("false"):
		v.Kind = Bool
		return nil
	case c == 'n' && p.word("null"):
		return nil
	}
	return p.unexpected("a value")
}

// word consumes a word if it comes next.
func (p *jsonParser) word(word string) bool {
	end := p.i + len(word)
	if end > len(p.b) || string(p.b[p.i:end]) != word {
		return false
	}
	p.i = end
	return true
}

func (p *jsonParser) list(v *Value, depth int) error {
	v.Kind = List
	p.i++
	if p.peek() == ']' {
		p.i++
		return nil
	}
	base := len(p.items)
	for {
		var item Value
		if err := p.value(&item, depth); err != nil {
			return err
		}
		p.items = append(p.items, item)
		switch p.peek() {
		case ',':
			p.i++
		case ']':
			p.i++
			v.Items = p.slab.keepItems(p.items[base:])
			p.items = p.items[:base]
			return nil
		default:
			return p.unexpected("',' or ']'")
		}
	}
}

func (p *jsonParser) object(v *Value, depth int) error {
	v.Kind = Object
	var index map[string]int // only for objects of many fields
	p.i++
	if p.peek() == '}' {
		p.i++
		return nil
	}
	base := len(p.fields)
	for {
		if p.peek() != '"' {
			return p.unexpected("a field's name in quotes")
		}
		name, err := p.str()
		if err != nil {
			return err
		}
		if p.peek() != ':' {
			return p.unexpected("':'")
		}
		p.i++
		var item Value
		if err := p.value(&item, depth); err != nil {
			return err
		}
		index = p.field(base, name, item, index)
		switch p.peek() {
		case ',':
			p.i++
		case '}':
			p.i++
			v.Fields = p.slab.keepFields(p.fields[base:])
			p.fields = p.fields[:base]
			return nil
		default:
			return p.unexpected("',' or '}'")
		}
	}
}

// field puts a field into the object whose fields start at base, as set does.
func (p *jsonParser) field(base int, name string, item Value, index map[string]int) map[string]int {
	own := Value{Fields: p.fields[base:]}
	index = own.set(name, item, index)
	if len(own.Fields) > len(p.fields)-base {
		p.fields = append(p.fields, Field{name, item})
	}
	return index
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

func (p *jsonParser) number(v *Value) error {
	start := p.i
	if p.b[p.i] == '-' {
		p.i++
	}
	if p.i < len(p.b) && p.b[p.i] == '0' {
		p.i++
	} else if p.digits() == 0 {
		return p.unexpected("a digit")
	}
	if p.i < len(p.b) && p.b[p.i] == '.' {
		p.i++
		if p.digits() == 0 {
			return p.unexpected("a digit")
		}
	}
	if p.i < len(p.b) && (p.b[p.i] == 'e' || p.b[p.i] == 'E') {
		p.i++
		if p.i < len(p.b) && (p.b[p.i] == '+' || p.b[p.i] == '-') {
			p.i++
		}
		if p.digits() == 0 {
			return p.unexpected("a digit")
		}
	}
	v.Kind, v.Text = Number, view(p.b[start:p.i])
	return nil
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
	begin, start := p.i, p.i
	var buf []byte // what came before start, once an escape was met
	for {
		p.i += plainText(p.b[p.i:])
		if p.i >= len(p.b) {
			return "", p.fail(p.i, "the JSON ends within a string")
		}
		switch c := p.b[p.i]; {
		case c == '"':
			s := p.b[start:p.i]
			p.i++
			if !p.valid {
				if bad := invalidUTF8(p.b[begin : p.i-1]); bad >= 0 {
					return "", p.fail(begin+bad, "invalid UTF-8 (byte 0x%02x)", p.b[begin+bad])
				}
			}
			if buf != nil {
				s = append(buf, s...)
			}
			return view(s), nil
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
		default:
			return "", p.fail(p.i, "control character 0x%02x in a string, which must be escaped", c)
		}
	}
}

// plainText returns how many bytes of b come before a quote, a backslash or a
// control character.
func plainText(b []byte) int {
	i := 0
	for ; i+8 <= len(b); i += 8 {
		w := binary.LittleEndian.Uint64(b[i:])
		if found := special(w); found != 0 {
			return i + bits.TrailingZeros64(found)/8
		}
	}
	for ; i < len(b); i++ {
		if c := b[i]; c == '"' || c == '\\' || c < 0x20 {
			return i
		}
	}
	return i
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
