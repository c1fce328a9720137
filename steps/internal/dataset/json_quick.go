package dataset

import (
	"encoding/binary"
	"math/bits"
	"unicode/utf16"
	"unicode/utf8"
)

// maxQuickDepth bounds how deep what quickJSON passes over may nest.
const maxQuickDepth = 32

// quickJSON reads JSON without making Values of it. It knows nothing of errors:
// its methods return false for what is malformed, and may do so for what is rare.
// Whoever uses it then reads the value again with jsonParser, which decides. What
// it accepts, jsonParser does.
type quickJSON struct {
	b     []byte
	i     int
	lines bool // line ends are no white space: they end the value
	waste []byte
}

// quoted is the extent of a string in b, without its quotes.
type quoted struct {
	from, to int
	escaped  bool // escapes stand in it
}

// peek returns the next byte that is not white space; 0 when there is none.
func (q *quickJSON) peek() byte {
	for q.i < len(q.b) {
		c := q.b[q.i]
		if c > ' ' {
			return c
		}
		if c != ' ' && c != '\t' && (q.lines || c != '\n' && c != '\r') {
			return 0
		}
		q.i++
	}
	return 0
}

// is consumes a byte if it comes next.
func (q *quickJSON) is(c byte) bool {
	if q.peek() != c {
		return false
	}
	q.i++
	return true
}

// Words of eight equal bytes, for looking at eight bytes together ("Bit Twiddling
// Hacks", "Determine if a word has a byte less than n").
const (
	ones   = 0x0101010101010101
	highs  = 0x80 * ones
	quotes = '"' * ones
	slants = '\\' * ones
	spaces = ' ' * ones
)

// special has the highest bit of the first byte of w that is a quote, a backslash
// or a control character, perhaps bits above it, and none below.
func special(w uint64) uint64 {
	quote, slant := w^quotes, w^slants
	return (((quote - ones) &^ quote) | ((slant - ones) &^ slant) | ((w - spaces) &^ w)) & highs
}

// str reads the string that comes next. Its escapes are not looked at.
func (q *quickJSON) str() (s quoted, ok bool) {
	if q.peek() != '"' {
		return s, false
	}
	b, i, high := q.b, q.i+1, uint64(0)
	s.from = i
	for {
		for ; i+8 <= len(b); i += 8 {
			w := binary.LittleEndian.Uint64(b[i:])
			if found := special(w); found != 0 {
				n := bits.TrailingZeros64(found)
				high |= w & (1<<(n&^7) - 1)
				i += n / 8
				break
			}
			high |= w
		}
		for ; i < len(b) && b[i] != '"' && b[i] != '\\' && b[i] >= ' '; i++ {
			high |= uint64(b[i])
		}
		if i >= len(b) || b[i] < ' ' {
			return s, false
		}
		if b[i] == '"' {
			break
		}
		s.escaped = true
		i += 2 // an escaped quote ends nothing
		if i > len(b) {
			return s, false
		}
		if b[i-1] >= utf8.RuneSelf {
			return s, false
		}
	}
	s.to, q.i = i, i+1
	return s, high&highs == 0 || utf8.Valid(b[s.from:i])
}

// text appends what a string says.
func (q *quickJSON) text(to []byte, s quoted) ([]byte, bool) {
	raw := q.b[s.from:s.to]
	if !s.escaped {
		return append(to, raw...), true
	}
	for i := 0; ; {
		n := beforeSlant(raw[i:])
		to = append(to, raw[i:i+n]...)
		if i += n; i == len(raw) {
			return to, true
		}
		if c := plainEscapes[raw[i+1]]; c != 0 {
			to = append(to, c)
			i += 2
			continue
		}
		if r, ok := unicodeEscape(raw[i:]); ok {
			to = utf8.AppendRune(to, r)
			i += len(`\u0000`)
			continue
		}
		p := jsonParser{b: raw, i: i}
		r, err := p.escape()
		if err != nil {
			return to, false
		}
		to = utf8.AppendRune(to, r)
		i = p.i
	}
}

// plainEscapes are what follows a backslash and stands for one character.
var plainEscapes = [256]byte{'"': '"', '\\': '\\', '/': '/', 'b': '\b', 'f': '\f', 'n': '\n', 'r': '\r', 't': '\t'}

// unicodeEscape reads \u and four digits that are no surrogate.
func unicodeEscape(b []byte) (rune, bool) {
	if len(b) < len(`\u0000`) || b[1] != 'u' {
		return 0, false
	}
	r := rune(hexDigits[b[2]])<<12 | rune(hexDigits[b[3]])<<8 | rune(hexDigits[b[4]])<<4 | rune(hexDigits[b[5]])
	return r, r >= 0 && !utf16.IsSurrogate(r)
}

// hexDigits are the values of hexadecimal digits, -1 for what is none.
var hexDigits = func() (digits [256]int8) {
	for c := range digits {
		digits[c] = -1
	}
	for c := range 10 {
		digits['0'+c] = int8(c)
	}
	for c := range 6 {
		digits['a'+c], digits['A'+c] = int8(10+c), int8(10+c)
	}
	return digits
}()

// beforeSlant returns how many bytes come before the first backslash.
func beforeSlant(b []byte) int {
	i := 0
	for ; i+8 <= len(b); i += 8 {
		slant := binary.LittleEndian.Uint64(b[i:]) ^ slants
		if found := (slant - ones) &^ slant & highs; found != 0 {
			return i + bits.TrailingZeros64(found)/8
		}
	}
	for ; i < len(b) && b[i] != '\\'; i++ {
	}
	return i
}

// key reads the name of a field and the colon after it. A name with escapes is
// not read.
func (q *quickJSON) key() (name []byte, ok bool) {
	s, ok := q.str()
	if !ok || s.escaped || !q.is(':') {
		return nil, false
	}
	return q.b[s.from:s.to], true
}

// more tells whether another field or item follows the one that was read, or,
// with false, the end of the object or list has come.
func (q *quickJSON) more(end byte) (more, ok bool) {
	switch q.peek() {
	case ',':
		q.i++
		return true, true
	case end:
		q.i++
		return false, true
	}
	return false, false
}

// begun consumes the beginning of an object or list and tells whether it holds
// anything.
func (q *quickJSON) begun(open, end byte) (more, ok bool) {
	if !q.is(open) {
		return false, false
	}
	return !q.is(end), true
}

// null consumes null if it comes next.
func (q *quickJSON) null() bool { return q.peek() == 'n' && q.word("null") }

func (q *quickJSON) word(word string) bool {
	end := q.i + len(word)
	if end > len(q.b) || string(q.b[q.i:end]) != word {
		return false
	}
	q.i = end
	return true
}

// skip passes over a value.
func (q *quickJSON) skip(depth int) bool {
	switch c := q.peek(); {
	case c == '"':
		s, ok := q.str()
		if ok && s.escaped {
			q.waste, ok = q.text(q.waste[:0], s)
		}
		return ok
	case c == '{':
		return depth < maxQuickDepth && q.skipObject(depth+1)
	case c == '[':
		return depth < maxQuickDepth && q.skipList(depth+1)
	case c == 't':
		return q.word("true")
	case c == 'f':
		return q.word("false")
	case c == 'n':
		return q.word("null")
	case c == '-' || c >= '0' && c <= '9':
		var v Value
		p := jsonParser{b: q.b, i: q.i}
		err := p.number(&v)
		q.i = p.i
		return err == nil
	}
	return false
}

func (q *quickJSON) skipObject(depth int) bool {
	more, ok := q.begun('{', '}')
	for more && ok {
		s, isName := q.str()
		if isName && s.escaped {
			q.waste, isName = q.text(q.waste[:0], s)
		}
		if !isName || !q.is(':') || !q.skip(depth) {
			return false
		}
		more, ok = q.more('}')
	}
	return ok
}

func (q *quickJSON) skipList(depth int) bool {
	more, ok := q.begun('[', ']')
	for more && ok {
		if !q.skip(depth) {
			return false
		}
		more, ok = q.more(']')
	}
	return ok
}
