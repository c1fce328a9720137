package pipeline

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// CanonicalJSON rewrites one JSON value in the canonical form of RFC 8785:
// no white space, members sorted by UTF-16 code units, shortest escapes,
// numbers as ECMAScript prints a double. It refuses invalid UTF-8, duplicate
// member names, and integers beyond ±(2^53−1), which a double cannot hold.
func CanonicalJSON(raw []byte) ([]byte, error) {
	if !utf8.Valid(raw) {
		return nil, errors.New("canonical JSON: invalid UTF-8")
	}
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	out, err := appendCanonical(nil, dec)
	if err != nil {
		return nil, fmt.Errorf("canonical JSON: %w", err)
	}
	if _, err := dec.Token(); err != io.EOF {
		return nil, errors.New("canonical JSON: more than one value")
	}
	return out, nil
}

func appendCanonical(out []byte, dec *json.Decoder) ([]byte, error) {
	tok, err := dec.Token()
	if err != nil {
		return nil, err
	}
	switch tok := tok.(type) {
	case json.Delim:
		if tok == '[' {
			return appendArray(out, dec)
		}
		return appendObject(out, dec)
	case string:
		return appendString(out, tok), nil
	case json.Number:
		return appendNumber(out, tok)
	case bool:
		return strconv.AppendBool(out, tok), nil
	default:
		return append(out, "null"...), nil
	}
}

func appendArray(out []byte, dec *json.Decoder) (_ []byte, err error) {
	out = append(out, '[')
	for i := 0; dec.More(); i++ {
		if i > 0 {
			out = append(out, ',')
		}
		if out, err = appendCanonical(out, dec); err != nil {
			return nil, err
		}
	}
	_, err = dec.Token()
	return append(out, ']'), err
}

func appendObject(out []byte, dec *json.Decoder) ([]byte, error) {
	type member struct {
		name  string
		order []uint16
		value []byte
	}
	var members []member
	for dec.More() {
		tok, err := dec.Token()
		if err != nil {
			return nil, err
		}
		name := tok.(string)
		value, err := appendCanonical(nil, dec)
		if err != nil {
			return nil, err
		}
		members = append(members, member{name, utf16.Encode([]rune(name)), value})
	}
	if _, err := dec.Token(); err != nil {
		return nil, err
	}
	slices.SortFunc(members, func(a, b member) int { return slices.Compare(a.order, b.order) })
	out = append(out, '{')
	for i, m := range members {
		if i > 0 {
			if members[i-1].name == m.name {
				return nil, fmt.Errorf("duplicate member %q", m.name)
			}
			out = append(out, ',')
		}
		out = append(appendString(out, m.name), ':')
		out = append(out, m.value...)
	}
	return append(out, '}'), nil
}

// appendString escapes only what RFC 8785 §3.2.2.2 demands.
func appendString(out []byte, s string) []byte {
	out = append(out, '"')
	for i := range len(s) {
		switch c := s[i]; {
		case c == '"' || c == '\\':
			out = append(out, '\\', c)
		case c == '\b':
			out = append(out, `\b`...)
		case c == '\t':
			out = append(out, `\t`...)
		case c == '\n':
			out = append(out, `\n`...)
		case c == '\f':
			out = append(out, `\f`...)
		case c == '\r':
			out = append(out, `\r`...)
		case c < 0x20:
			out = fmt.Appendf(out, `\u%04x`, c)
		default:
			out = append(out, c)
		}
	}
	return append(out, '"')
}

// maxSafeInteger is the largest integer n such that n and n+1 are doubles.
const maxSafeInteger = 1<<53 - 1

// appendNumber refuses what would print as an integer beyond ±(2^53−1),
// however it is spelled, so that canonical JSON is accepted again.
func appendNumber(out []byte, n json.Number) ([]byte, error) {
	f, err := n.Float64()
	if err != nil {
		return nil, fmt.Errorf("number %s is out of range", n)
	}
	if f == 0 {
		return append(out, '0'), nil // −0 prints as 0
	}
	b, err := json.Marshal(f) // encoding/json prints doubles as ECMAScript does
	if (f > maxSafeInteger || f < -maxSafeInteger) && (isInteger(string(b)) || isInteger(string(n))) {
		return nil, fmt.Errorf("integer %s is beyond ±(2^53−1)", n)
	}
	return append(out, b...), err
}

// isInteger reports whether the JSON number s has neither fraction nor
// exponent.
func isInteger(s string) bool { return !strings.ContainsAny(s, ".eE") }
