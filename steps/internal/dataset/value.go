package dataset

import (
	"encoding/base64"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Kind is what a Value holds.
type Kind uint8

const (
	Null Kind = iota
	Bool
	Number
	String
	List
	Object
	Binary // bytes that are no text; only Arrow and Parquet have them
)

// String returns the kind with its article, for error messages.
func (k Kind) String() string {
	return [...]string{"null", "a boolean", "a number", "a string", "a list", "an object", "binary data"}[k]
}

// Value is one value of a row, as in JSON.
type Value struct {
	Kind   Kind
	Bool   bool
	Text   string // of a String, valid UTF-8; of a Number, its literal; of a Binary, its bytes
	Items  []Value
	Fields []Field // in order of first appearance, names unique
}

// Field is one field of an Object.
type Field struct {
	Name  string
	Value Value
}

// Get returns the field of an object by name; false when v has none of it.
func (v Value) Get(name string) (Value, bool) {
	for _, f := range v.Fields {
		if f.Name == name {
			return f.Value, true
		}
	}
	return Value{}, false
}

// Size estimates the bytes of memory that v takes.
func (v Value) Size() int {
	n := 96 + len(v.Text)
	for _, item := range v.Items {
		n += item.Size()
	}
	for _, f := range v.Fields {
		n += len(f.Name) + 16 + f.Value.Size()
	}
	return n
}

// clone returns v in memory of its own.
func (v Value) clone() Value {
	v.Text = strings.Clone(v.Text)
	v.Items, v.Fields = slices.Clone(v.Items), slices.Clone(v.Fields)
	for i := range v.Items {
		v.Items[i] = v.Items[i].clone()
	}
	for i := range v.Fields {
		v.Fields[i] = Field{strings.Clone(v.Fields[i].Name), v.Fields[i].Value.clone()}
	}
	return v
}

// JSON returns v as compact JSON, binary data in base64. Only what JSON demands
// is escaped, so that equal values have equal text.
func (v Value) JSON() string {
	return string(v.appendJSON(nil))
}

func (v Value) appendJSON(b []byte) []byte {
	switch v.Kind {
	case Bool:
		return strconv.AppendBool(b, v.Bool)
	case Number:
		return append(b, v.Text...)
	case String:
		return appendJSONString(b, v.Text)
	case Binary:
		return appendJSONString(b, base64.StdEncoding.EncodeToString([]byte(v.Text)))
	case List:
		b = append(b, '[')
		for i, item := range v.Items {
			if i > 0 {
				b = append(b, ',')
			}
			b = item.appendJSON(b)
		}
		return append(b, ']')
	case Object:
		b = append(b, '{')
		for i, f := range v.Fields {
			if i > 0 {
				b = append(b, ',')
			}
			b = appendJSONString(b, f.Name)
			b = append(b, ':')
			b = f.Value.appendJSON(b)
		}
		return append(b, '}')
	}
	return append(b, "null"...)
}

func appendJSONString(b []byte, s string) []byte {
	b = append(b, '"')
	for i := range len(s) {
		switch c := s[i]; {
		case c == '"' || c == '\\':
			b = append(b, '\\', c)
		case c == '\n':
			b = append(b, '\\', 'n')
		case c == '\r':
			b = append(b, '\\', 'r')
		case c == '\t':
			b = append(b, '\\', 't')
		case c < 0x20:
			b = append(b, `\u00`...)
			b = append(b, "0123456789abcdef"[c>>4], "0123456789abcdef"[c&15])
		default:
			b = append(b, c)
		}
	}
	return append(b, '"')
}

// show returns v for an error message, cut to a snippet.
func (v Value) show() string {
	if v.Kind == String {
		return snippet(v.Text)
	}
	s := v.JSON()
	if len(s) > maxSnippet {
		cut := maxSnippet
		for cut > 0 && !utf8.RuneStart(s[cut]) {
			cut--
		}
		return strings.ToValidUTF8(s[:cut], "") + "…"
	}
	return s
}

// Constructors of values that are not read from JSON.

// bytesValue is a string when b is UTF-8.
func bytesValue(b []byte) Value {
	if utf8.Valid(b) {
		return stringValue(string(b))
	}
	return Value{Kind: Binary, Text: string(b)}
}

func stringValue(s string) Value { return Value{Kind: String, Text: s} }

func intValue(i int64) Value { return Value{Kind: Number, Text: strconv.FormatInt(i, 10)} }

// floatValue is a number; JSON has none for NaN and the infinities, which become
// strings.
func floatValue(f float64, bits int) Value {
	s := strconv.FormatFloat(f, 'g', -1, bits)
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return stringValue(s)
	}
	return Value{Kind: Number, Text: s}
}
