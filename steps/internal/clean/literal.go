package clean

import (
	"bytes"
	"encoding/json"
	"strings"
)

// mapJSON applies f to the strings and numbers of valid JSON and leaves all else
// as it is spelled. A number that f changes becomes a string.
func mapJSON(raw string, f func(string) string) string {
	if raw == "" {
		return raw
	}
	var b strings.Builder
	from := 0
	for at := 0; at < len(raw); {
		end := literalEnd(raw, at)
		if end == at {
			at++
			continue
		}
		if said, ok := spoken(raw[at:end]); ok {
			if now := f(said); now != said {
				b.WriteString(raw[from:at])
				b.WriteString(quote(now))
				from = end
			}
		}
		at = end
	}
	if from == 0 {
		return raw
	}
	b.WriteString(raw[from:])
	return b.String()
}

// literalEnd returns where the string or number at a place ends; the place
// itself where neither begins.
func literalEnd(raw string, at int) int {
	switch c := raw[at]; {
	case c == '"':
		for i := at + 1; i < len(raw); i++ {
			switch raw[i] {
			case '\\':
				i++
			case '"':
				return i + 1
			}
		}
		return len(raw)
	case c == '-' || '0' <= c && c <= '9':
		end := at + 1
		for end < len(raw) && strings.IndexByte("0123456789+-.eE", raw[end]) >= 0 {
			end++
		}
		return end
	}
	return at
}

// spoken returns what a literal stands for; false if it is malformed.
func spoken(literal string) (string, bool) {
	if literal[0] != '"' {
		return literal, true
	}
	var s string
	err := json.Unmarshal([]byte(literal), &s)
	return s, err == nil
}

func quote(s string) string {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(s); err != nil {
		panic("clean: a string has no JSON: " + err.Error())
	}
	return strings.TrimSuffix(b.String(), "\n")
}
