package token

import (
	"encoding/json"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Most of a tokenizer.json is its vocab and its merges, hundreds of thousands of
// strings. A tableReader reads these two by themselves, as slices of the file's
// text, and leaves the rest to encoding/json. Whatever is out of the ordinary
// makes it give up, and then encoding/json reads all and says what is wrong.

// readTables decodes a tokenizer.json whose model has a vocab that is an object
// into v. It returns false, and v is to be thrown away, where the file is to be
// decoded in the ordinary way.
func readTables(data []byte, v *tokenizerFile) bool {
	r := tableReader{s: string(data)}
	if !r.object(r.member) || r.space() != 0 || r.vocab == nil {
		return false
	}
	r.rest.WriteString(r.s[r.copied:])
	if json.Unmarshal([]byte(r.rest.String()), v) != nil || v.Model.Type == nil {
		return false
	}
	v.Model.vocab, v.Model.merges = r.vocab, r.merges
	return true
}

// tableReader is at byte i of s.
type tableReader struct {
	s      string
	i      int
	rest   strings.Builder // s up to copied, with null for what was read
	copied int

	vocab  map[string]int32
	merges [][2]string // nil: none were there
	model  bool        // the model was seen
}

// member reads a member of the file.
func (r *tableReader) member(name string) bool {
	if !strings.EqualFold(name, "model") {
		return r.skip()
	}
	if r.model || name != "model" { // encoding/json takes both
		return false
	}
	r.model = true
	return r.space() == '{' && r.object(r.modelMember)
}

// modelMember reads a member of the model.
func (r *tableReader) modelMember(name string) bool {
	switch c := r.space(); {
	case strings.EqualFold(name, "vocab"):
		return name == "vocab" && r.vocab == nil && c == '{' && r.cut(r.readVocab)
	case strings.EqualFold(name, "merges"):
		return name == "merges" && r.merges == nil && c == '[' && r.cut(r.readMerges)
	}
	return r.skip()
}

// cut reads a value and leaves it out of the rest.
func (r *tableReader) cut(read func() bool) bool {
	r.rest.WriteString(r.s[r.copied:r.i])
	r.rest.WriteString("null")
	ok := read()
	r.copied = r.i
	return ok
}

// tableHint is about as many entries as large tables have.
const tableHint = 1 << 17

// readVocab reads {"piece": id, …}.
func (r *tableReader) readVocab() bool {
	type entry struct {
		piece string
		id    int32
	}
	entries := make([]entry, 0, tableHint)
	ok := r.object(func(piece string) bool {
		r.space()
		id, ok := r.id()
		entries = append(entries, entry{piece, id})
		return ok
	})
	r.vocab = make(map[string]int32, len(entries))
	for _, e := range entries {
		r.vocab[e.piece] = e.id
	}
	return ok
}

// readMerges reads ["a b", …] or [["a", "b"], …].
func (r *tableReader) readMerges() bool {
	r.merges = make([][2]string, 0, tableHint)
	lines := false // the first is one
	return r.array(func() bool {
		var pair [2]string
		line := r.space() == '"'
		if len(r.merges) == 0 {
			lines = line
		}
		if line != lines {
			return false
		}
		if line {
			text, ok := r.string()
			pair, err := splitMerge(text)
			r.merges = append(r.merges, pair)
			return ok && err == nil
		}
		n := 0
		ok := r.array(func() bool {
			part, ok := r.string()
			if n < len(pair) {
				pair[n] = part
			}
			n++
			return ok
		})
		r.merges = append(r.merges, pair)
		return ok && n == len(pair)
	})
}

// object reads an object, the value of each member by value.
func (r *tableReader) object(value func(name string) bool) bool {
	return r.list('{', '}', func() bool {
		name, ok := r.string()
		if !ok || r.space() != ':' {
			return false
		}
		r.i++
		return value(name)
	})
}

// array reads a list, each of its values by value.
func (r *tableReader) array(value func() bool) bool { return r.list('[', ']', value) }

// list reads what stands between first and last, with commas between.
func (r *tableReader) list(first, last byte, value func() bool) bool {
	if r.space() != first {
		return false
	}
	r.i++
	if r.space() == last {
		r.i++
		return true
	}
	for {
		if r.space(); !value() {
			return false
		}
		switch r.space() {
		case ',':
			r.i++
		case last:
			r.i++
			return true
		default:
			return false
		}
	}
}

// space passes over white space and returns the byte after it; 0 at the end.
func (r *tableReader) space() byte {
	for ; r.i < len(r.s); r.i++ {
		switch c := r.s[r.i]; c {
		case ' ', '\t', '\n', '\r':
		default:
			return c
		}
	}
	return 0
}

// string reads a string.
func (r *tableReader) string() (string, bool) {
	if r.i >= len(r.s) || r.s[r.i] != '"' {
		return "", false
	}
	from, ascii, plain := r.i+1, true, true
	for i := from; i < len(r.s); i++ {
		switch c := r.s[i]; {
		case c == '"':
			r.i = i + 1
			if !plain {
				return unquoted(r.s[from-1 : r.i])
			}
			text := r.s[from:i]
			return text, ascii || utf8.ValidString(text)
		case c == '\\':
			plain = false
			i++
		case c < ' ':
			return "", false
		case c >= utf8.RuneSelf:
			ascii = false
		}
	}
	return "", false
}

// unquoted is a string with escapes.
func unquoted(quoted string) (text string, ok bool) {
	err := json.Unmarshal([]byte(quoted), &text)
	return text, err == nil
}

// id reads a whole number that an id can be.
func (r *tableReader) id() (int32, bool) {
	from := r.i
	for r.i < len(r.s) && '0' <= r.s[r.i] && r.s[r.i] <= '9' {
		r.i++
	}
	digits := r.s[from:r.i]
	n, err := strconv.ParseInt(digits, 10, 32)
	return int32(n), err == nil && (digits == "0" || digits[0] != '0')
}

// skip passes over a value, which is checked with the rest.
func (r *tableReader) skip() bool {
	for depth := 0; ; {
		switch c := r.space(); c {
		case 0:
			return false
		case '"':
			if _, ok := r.string(); !ok {
				return false
			}
		case '{', '[':
			depth++
			r.i++
		case '}', ']':
			if depth == 0 {
				return true
			}
			depth--
			r.i++
		case ',':
			if depth == 0 {
				return true
			}
			r.i++
		default:
			r.i++
		}
		if next := r.space(); depth == 0 && (next == ',' || next == '}' || next == ']') {
			return true
		}
	}
}
