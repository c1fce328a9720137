package chat

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/nikolalohinski/gonja/v2/exec"
)

// toJSON is the filter tojson as transformers defines it: Python's json.dumps
// with ensure_ascii=False. Keys keep their order, ", " and ": " stand between,
// or line breaks with indent, and no character is escaped but those JSON must.
func toJSON(_ *exec.Evaluator, in *exec.Value, params *exec.VarArgs) *exec.Value {
	if in.IsError() {
		return in
	}
	w := jsonWriter{indent: -1, item: ", ", key: ": "}
	separated := false
	for name, value := range params.KwArgs {
		switch {
		case name == "indent" && value.IsNil(), name == "separators" && value.IsNil():
		case name == "ensure_ascii":
			w.ascii = value.IsTrue()
		case name == "sort_keys":
			w.sorted = value.IsTrue()
		case name == "separators" && value.IsList() && value.Len() == 2:
			w.item, w.key = value.Index(0).String(), value.Index(1).String()
			separated = true
		case name == "indent" && value.IsInteger() && value.Integer() >= 0 && value.Integer() <= 16:
			w.indent = value.Integer()
		default:
			return exec.AsValue(fmt.Errorf("tojson: %s=%s is not supported", name, value.String()))
		}
	}
	if w.indent >= 0 && !separated {
		w.item = ","
	}
	if err := w.value(in, 0); err != nil {
		return exec.AsValue(fmt.Errorf("tojson: %w", err))
	}
	return exec.AsSafeValue(w.out.String())
}

// jsonWriter writes values as Python does.
type jsonWriter struct {
	out    strings.Builder
	indent int    // spaces of a level; -1: all on one line
	item   string // between elements
	key    string // between a key and its value
	ascii  bool   // other characters are escaped
	sorted bool   // by key
}

func (w *jsonWriter) value(v *exec.Value, depth int) error {
	switch {
	case depth > maxDepth:
		return fmt.Errorf("nested more than %d deep", maxDepth)
	case v.IsError():
		return errors.New(v.Error())
	case v.IsNil():
		w.out.WriteString("null")
	case v.IsBool():
		w.out.WriteString(strconv.FormatBool(v.Bool()))
	case v.IsInteger():
		w.out.WriteString(strconv.Itoa(v.Integer()))
	case v.IsFloat():
		w.out.WriteString(pythonFloat(v.Float()))
	case v.IsString():
		w.quote(v.String())
	case v.IsDict():
		return w.dict(v, depth)
	case v.IsList():
		return w.items("[]", v.Len(), depth, func(i int) error { return w.value(v.Index(i), depth+1) })
	default:
		return errors.New("the value is neither a number, a string, a list nor a dictionary")
	}
	return nil
}

func (w *jsonWriter) dict(v *exec.Value, depth int) error {
	pairs := dictItems(v)
	if w.sorted {
		slices.SortStableFunc(pairs, func(a, b any) int {
			return strings.Compare(exec.AsValue(a.(list)[0]).String(), exec.AsValue(b.(list)[0]).String())
		})
	}
	return w.items("{}", len(pairs), depth, func(i int) error {
		pair := pairs[i].(list)
		w.quote(exec.AsValue(pair[0]).String())
		w.out.WriteString(w.key)
		return w.value(exec.AsValue(pair[1]), depth+1)
	})
}

// items writes n elements between brackets.
func (w *jsonWriter) items(brackets string, n, depth int, element func(int) error) error {
	w.out.WriteByte(brackets[0])
	for i := range n {
		if i > 0 {
			w.out.WriteString(w.item)
		}
		w.line(depth + 1)
		if err := element(i); err != nil {
			return err
		}
		if w.out.Len() > maxOutput {
			return fmt.Errorf("more than %d MiB", maxOutput>>20)
		}
	}
	if n > 0 {
		w.line(depth)
	}
	w.out.WriteByte(brackets[1])
	return nil
}

func (w *jsonWriter) line(depth int) {
	if w.indent >= 0 {
		w.out.WriteString("\n" + strings.Repeat(" ", w.indent*depth))
	}
}

// quote writes a string, escaping quotes, backslashes and control characters.
func (w *jsonWriter) quote(s string) {
	w.out.WriteByte('"')
	for _, c := range s {
		if at := strings.IndexRune("\"\\\n\r\t\b\f", c); at >= 0 {
			w.out.WriteByte('\\')
			w.out.WriteByte(`"\nrtbf`[at])
		} else if c < ' ' {
			fmt.Fprintf(&w.out, `\u%04x`, c)
		} else if w.ascii && c >= utf8.RuneSelf {
			for _, u := range utf16.AppendRune(nil, c) {
				fmt.Fprintf(&w.out, `\u%04x`, u)
			}
		} else {
			w.out.WriteRune(c)
		}
	}
	w.out.WriteByte('"')
}

// pythonFloat is Python's repr of a float.
func pythonFloat(f float64) string {
	switch {
	case math.IsNaN(f):
		return "NaN"
	case math.IsInf(f, 1):
		return "Infinity"
	case math.IsInf(f, -1):
		return "-Infinity"
	}
	if a := math.Abs(f); a != 0 && (a < 1e-4 || a >= 1e16) {
		return strconv.FormatFloat(f, 'e', -1, 64)
	}
	s := strconv.FormatFloat(f, 'f', -1, 64)
	if !strings.Contains(s, ".") {
		s += ".0"
	}
	return s
}
