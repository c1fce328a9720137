package chat

import (
	"errors"
	"fmt"
	"math"
	"strings"

	"github.com/nikolalohinski/gonja/v2/exec"
)

// Names of the functions that rewrite puts into templates.
const (
	printed = "pipe_print"
	added   = "pipe_add"
	taken   = "pipe_sub"
	joined  = "pipe_join"
	times   = "pipe_mul"
	over    = "pipe_div"
	floored = "pipe_floor"
	modulo  = "pipe_mod"
	power   = "pipe_pow"
	indexed = "pipe_item"
	called  = "pipe_call"
	noValue = "pipe_none"
	nothing = "pipe_empty"
)

// operators are what these names call: Python's operators on the values that
// templates have, and what Jinja prints.
func operators() map[string]any {
	two := func(name string, f func(a, b *exec.Value) (any, error)) func(*exec.Evaluator, *exec.VarArgs) *exec.Value {
		return func(_ *exec.Evaluator, p *exec.VarArgs) *exec.Value {
			for _, a := range p.Args {
				if a.IsError() {
					return a
				}
			}
			if len(p.Args) != 2 || len(p.KwArgs) > 0 {
				return exec.AsValue(fmt.Errorf("%s takes two values", name))
			}
			v, err := f(p.Args[0], p.Args[1])
			if err != nil {
				return exec.AsValue(err)
			}
			return exec.AsValue(v)
		}
	}
	return map[string]any{
		added: two("+", add), joined: two("~", concat), times: two("*", multiply),
		taken:   two("-", numeric("-", func(a, b int) int { return a - b }, func(a, b float64) float64 { return a - b })),
		floored: two("//", numeric("//", floorDiv, func(a, b float64) float64 { return math.Floor(a / b) })),
		modulo:  two("%", numeric("%", func(a, b int) int { return a - b*floorDiv(a, b) }, func(a, b float64) float64 { return a - float64(b*math.Floor(a/b)) })),
		power: two("**", func(a, b *exec.Value) (any, error) {
			if !a.IsInteger() || !b.IsInteger() || b.Integer() < 0 || b.Integer() > 62 {
				return nil, unfit("**", a, b)
			}
			n := 1
			for range b.Integer() {
				n *= a.Integer()
			}
			return n, nil
		}),
		indexed: item, called: call, noValue: pyNone(), nothing: map[string]any{},
		over: two("/", func(a, b *exec.Value) (any, error) {
			if !a.IsNumber() || !b.IsNumber() || b.Float() == 0 {
				return nil, unfit("/", a, b)
			}
			return a.Float() / b.Float(), nil
		}),
		printed: func(_ *exec.Evaluator, p *exec.VarArgs) *exec.Value {
			if len(p.Args) != 1 {
				return exec.AsValue(errors.New("an output holds one value"))
			}
			return show(p.Args[0])
		},
	}
}

// add is a + b.
func add(a, b *exec.Value) (any, error) {
	switch {
	case a.IsString() && b.IsString():
		return a.String() + b.String(), nil
	case a.IsList() && b.IsList():
		return append(append(list{}, asList(a).Interface().(list)...), asList(b).Interface().(list)...), nil
	}
	return numeric("+", func(a, b int) int { return a + b }, func(a, b float64) float64 { return a + b })(a, b)
}

// concat is a ~ b, which joins what both print as.
func concat(a, b *exec.Value) (any, error) {
	a, b = show(a), show(b)
	for _, v := range []*exec.Value{a, b} {
		if v.IsError() {
			return nil, errors.New(v.Error())
		}
	}
	return a.String() + b.String(), nil
}

// multiply is a * b, where one may be a string.
func multiply(a, b *exec.Value) (any, error) {
	if b.IsString() {
		a, b = b, a
	}
	if a.IsString() && b.IsInteger() {
		n := max(b.Integer(), 0)
		if n > 0 && len(a.String()) > maxOutput/n {
			return nil, fmt.Errorf("a text of more than %d MiB", maxOutput>>20)
		}
		return strings.Repeat(a.String(), n), nil
	}
	return numeric("*", func(a, b int) int { return a * b }, func(a, b float64) float64 { return a * b })(a, b)
}

// numeric applies one of two functions to numbers and refuses all else, as
// Python does.
func numeric(name string, whole func(a, b int) int, real func(a, b float64) float64) func(a, b *exec.Value) (any, error) {
	return func(a, b *exec.Value) (any, error) {
		switch {
		case !a.IsNumber() || !b.IsNumber():
			return nil, unfit(name, a, b)
		case (name == "//" || name == "%") && b.Float() == 0:
			return nil, fmt.Errorf("%s by zero", name)
		case a.IsInteger() && b.IsInteger():
			return whole(a.Integer(), b.Integer()), nil
		}
		return real(a.Float(), b.Float()), nil
	}
}

func floorDiv(a, b int) int {
	q := a / b
	if a%b != 0 && (a < 0) != (b < 0) {
		q--
	}
	return q
}

func unfit(name string, a, b *exec.Value) error {
	return fmt.Errorf("%s of %s and %s", name, kindOf(a), kindOf(b))
}

// kindOf names what a value is.
func kindOf(v *exec.Value) string {
	switch {
	case v.IsNil():
		return "an undefined value or None"
	case v.IsBool():
		return "a truth value"
	case v.IsNumber():
		return "a number"
	case v.IsString():
		return "a text"
	case v.IsList():
		return "a list"
	case v.IsDict():
		return "a dictionary"
	}
	return "another kind of value"
}

// show returns what an output prints of a value: a list or a dictionary as Python
// writes it. An undefined value prints as nothing.
func show(v *exec.Value) *exec.Value {
	switch {
	case isNone(v):
		return exec.AsValue("None")
	case v.IsError(), v.IsNil(), v.IsString(), v.IsInteger():
		return v
	case v.IsFloat():
		return exec.AsValue(pythonFloat(v.Float()))
	case v.IsList(), v.IsDict():
		w := reprWriter{}
		if err := w.value(v, 0); err != nil {
			return exec.AsValue(err)
		}
		return exec.AsValue(w.out.String())
	}
	return v
}

// reprWriter writes values as Python's repr.
type reprWriter struct{ out strings.Builder }

func (w *reprWriter) value(v *exec.Value, depth int) error {
	if depth > maxDepth || w.out.Len() > maxOutput {
		return fmt.Errorf("a value nested more than %d deep, or too large", maxDepth)
	}
	switch {
	case v.IsError():
		return errors.New(v.Error())
	case v.IsNil():
		w.out.WriteString("None")
	case v.IsString():
		w.quote(v.String())
	case v.IsDict():
		w.out.WriteByte('{')
		for i, pair := range dictItems(v) {
			if i > 0 {
				w.out.WriteString(", ")
			}
			w.quote(exec.AsValue(pair.(list)[0]).String())
			w.out.WriteString(": ")
			if err := w.value(exec.AsValue(pair.(list)[1]), depth+1); err != nil {
				return err
			}
		}
		w.out.WriteByte('}')
	case v.IsList():
		w.out.WriteByte('[')
		for i := range v.Len() {
			if i > 0 {
				w.out.WriteString(", ")
			}
			if err := w.value(v.Index(i), depth+1); err != nil {
				return err
			}
		}
		w.out.WriteByte(']')
	default:
		w.out.WriteString(show(v).String())
	}
	return nil
}

// quote writes a text between single quotes, or double ones where it holds only
// single ones.
func (w *reprWriter) quote(s string) {
	q := '\''
	if strings.Contains(s, "'") && !strings.Contains(s, `"`) {
		q = '"'
	}
	w.out.WriteRune(q)
	for _, c := range s {
		switch {
		case c == q || c == '\\':
			w.out.WriteRune('\\')
			w.out.WriteRune(c)
		case c == '\n':
			w.out.WriteString(`\n`)
		case c == '\r':
			w.out.WriteString(`\r`)
		case c == '\t':
			w.out.WriteString(`\t`)
		case c < ' ' || c >= 0x7f && c <= 0xa0 || c == 0xad:
			fmt.Fprintf(&w.out, `\x%02x`, c)
		case c >= 0x2028 && c <= 0x2029:
			fmt.Fprintf(&w.out, `\u%04x`, c)
		default:
			w.out.WriteRune(c)
		}
	}
	w.out.WriteRune(q)
}
