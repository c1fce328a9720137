package chat

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/nikolalohinski/gonja/v2/exec"
)

// toJSON is the filter tojson as transformers defines it: Python's json.dumps
// with ensure_ascii=False, so ", " and ": " between, or line breaks with
// indent; no character is escaped but those JSON must.
func toJSON(_ *exec.Evaluator, in *exec.Value, params *exec.VarArgs) *exec.Value {
	if in.IsError() {
		return in
	}
	indent := ""
	for name, value := range params.KwArgs {
		switch name {
		case "indent":
			if value.IsNil() {
				continue
			}
			if !value.IsInteger() || value.Integer() < 0 || value.Integer() > 16 {
				return exec.AsValue(errors.New("tojson: indent is not a small number"))
			}
			indent = "\n" + strings.Repeat(" ", value.Integer())
		case "ensure_ascii":
			if value.IsTrue() {
				return exec.AsValue(errors.New("tojson: ensure_ascii=true is not supported"))
			}
		default:
			return exec.AsValue(fmt.Errorf("tojson: argument %s is not supported", name))
		}
	}
	simple := in.ToGoSimpleType(false)
	if err, ok := simple.(error); ok {
		return exec.AsValue(err)
	}
	plain, err := json.Marshal(simple)
	if err != nil {
		return exec.AsValue(fmt.Errorf("tojson: %w", err))
	}
	return exec.AsSafeValue(pythonJSON(plain, indent))
}

// pythonJSON spaces compact JSON as Python does. indent is "", or a line break
// and the spaces of one level.
func pythonJSON(plain []byte, indent string) string {
	var out strings.Builder
	depth, quoted := 0, false
	line := func() {
		if indent != "" {
			out.WriteString("\n" + strings.Repeat(indent[1:], depth))
		}
	}
	plain = unescapeHTML(plain)
	for i := 0; i < len(plain); i++ {
		c := plain[i]
		if quoted {
			out.WriteByte(c)
			if c == '\\' && i+1 < len(plain) {
				i++
				out.WriteByte(plain[i])
			}
			quoted = c != '"'
			continue
		}
		switch c {
		case '"':
			quoted = true
			out.WriteByte(c)
		case '{', '[':
			out.WriteByte(c)
			if i+1 < len(plain) && plain[i+1] == c+2 { // empty
				i++
				out.WriteByte(plain[i])
				continue
			}
			depth++
			line()
		case '}', ']':
			depth--
			line()
			out.WriteByte(c)
		case ',':
			out.WriteByte(c)
			if indent == "" {
				out.WriteByte(' ')
			}
			line()
		case ':':
			out.WriteString(": ")
		default:
			out.WriteByte(c)
		}
	}
	return out.String()
}

// unescapeHTML undoes the escapes that encoding/json adds to what JSON demands.
func unescapeHTML(plain []byte) []byte {
	if !bytes.Contains(plain, []byte(`\u`)) {
		return plain
	}
	out := make([]byte, 0, len(plain))
	for i := 0; i < len(plain); i++ {
		if plain[i] != '\\' || i+1 >= len(plain) {
			out = append(out, plain[i])
			continue
		}
		if i+6 <= len(plain) {
			if c, ok := map[string]string{`\u003c`: "<", `\u003e`: ">", `\u0026`: "&", `\u2028`: "\u2028", `\u2029`: "\u2029"}[string(plain[i:i+6])]; ok {
				out = append(out, c...)
				i += 5
				continue
			}
		}
		out = append(out, plain[i], plain[i+1])
		i++
	}
	return out
}
