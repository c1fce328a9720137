package pipeline

import "unicode/utf8"

// maxPlainDepth bounds how deep isPlain looks.
const maxPlainDepth = 64

// isPlain reports whether raw is JSON that CanonicalJSON would surely leave as
// it is: ASCII without escapes, whole numbers of few digits, members in
// order. It is a fraction of the cost, and what compilers make is nearly
// always plain; false says nothing.
func isPlain(raw []byte) bool {
	rest, ok := plainValue(raw, maxPlainDepth)
	return ok && len(rest) == 0
}

// plainValue returns what follows the value that b begins with.
func plainValue(b []byte, depth int) (rest []byte, ok bool) {
	if len(b) == 0 || depth == 0 {
		return nil, false
	}
	switch c := b[0]; {
	case c == '{':
		return plainObject(b[1:], depth-1)
	case c == '[':
		return plainArray(b[1:], depth-1)
	case c == '"':
		_, rest, ok = plainString(b)
		return rest, ok
	case c == '-' || c >= '0' && c <= '9':
		return plainNumber(b)
	}
	for _, word := range []string{"true", "false", "null"} {
		if len(b) >= len(word) && string(b[:len(word)]) == word {
			return b[len(word):], true
		}
	}
	return nil, false
}

func plainObject(b []byte, depth int) (rest []byte, ok bool) {
	if len(b) > 0 && b[0] == '}' {
		return b[1:], true
	}
	var last []byte
	for first := true; ; first = false {
		name, rest, ok := plainString(b)
		if !ok || !first && string(last) >= string(name) || len(rest) == 0 || rest[0] != ':' {
			return nil, false
		}
		last = name
		if b, ok = plainValue(rest[1:], depth); !ok || len(b) == 0 {
			return nil, false
		}
		switch b[0] {
		case '}':
			return b[1:], true
		case ',':
			b = b[1:]
		default:
			return nil, false
		}
	}
}

func plainArray(b []byte, depth int) (rest []byte, ok bool) {
	if len(b) > 0 && b[0] == ']' {
		return b[1:], true
	}
	for {
		if b, ok = plainValue(b, depth); !ok || len(b) == 0 {
			return nil, false
		}
		switch b[0] {
		case ']':
			return b[1:], true
		case ',':
			b = b[1:]
		default:
			return nil, false
		}
	}
}

// plainString returns what stands between the quotes.
func plainString(b []byte) (s, rest []byte, ok bool) {
	if len(b) == 0 || b[0] != '"' {
		return nil, nil, false
	}
	for i := 1; i < len(b); i++ {
		switch c := b[i]; {
		case c == '"':
			return b[1:i], b[i+1:], true
		case c < ' ' || c == '\\' || c >= utf8.RuneSelf:
			return nil, nil, false
		}
	}
	return nil, nil, false
}

// plainNumber accepts whole numbers of at most 15 digits.
func plainNumber(b []byte) (rest []byte, ok bool) {
	digits := b
	if b[0] == '-' {
		digits = b[1:]
	}
	n := 0
	for n < len(digits) && digits[n] >= '0' && digits[n] <= '9' {
		n++
	}
	switch {
	case n == 0 || n > 15, digits[0] == '0' && (n > 1 || b[0] == '-'):
		return nil, false
	case n < len(digits) && (digits[n] == '.' || digits[n] == 'e' || digits[n] == 'E'):
		return nil, false
	}
	return digits[n:], true
}

// isASCII reports whether s has only ASCII characters.
func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}
