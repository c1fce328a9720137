package chat

import (
	"reflect"
	"strconv"
	"strings"

	"github.com/nikolalohinski/gonja/v2/exec"
)

// form says what a value of the direct path is.
type form uint8

const (
	undefined form = iota
	absent         // None
	truth
	integer
	text
	many      // a list
	turn      // a message
	namespace // what namespace() makes
	position  // loop, within {% for %}
	callable  // a macro
	foreign   // of the engine: numbers with a fraction, dictionaries of JSON
)

// A value of the direct path. Which fields are used follows from its form.
type value struct {
	form  form
	n     int // integer; truth: 0 or 1
	s     string
	list  []value
	turn  *turnValue
	space map[string]value
	loop  *loopValue
	macro *macroValue
	other *exec.Value
}

// isOpaque says whether nothing but what it is for is known of a value.
func (v *value) isOpaque() bool { return v.form == position || v.form == callable }

// turnValue is a message: what its keys are follows from Message.dict.
type turnValue struct {
	message *Message
	calls   value // tool_calls
}

// loopValue is the variable loop.
type loopValue struct {
	index  int
	length int
	items  []value
}

func textOf(s string) value { return value{form: text, s: s} }

func integerOf(n int) value { return value{form: integer, n: n} }

func truthOf(b bool) value {
	if b {
		return value{form: truth, n: 1}
	}
	return value{form: truth}
}

// isTrue is exec.Value.IsTrue. It is not asked of what is opaque.
func (v *value) isTrue() bool {
	switch v.form {
	case truth, integer:
		return v.n != 0
	case text:
		return v.s != ""
	case many:
		return len(v.list) > 0
	case turn:
		return true
	case namespace:
		return len(v.space) > 0
	case foreign:
		return v.other.IsTrue()
	}
	return false
}

// print appends what an output writes of a value.
func (v *value) print(to []byte) ([]byte, bool) {
	switch v.form {
	case undefined:
		return to, true
	case absent:
		return append(to, "None"...), true
	case truth:
		if v.n != 0 {
			return append(to, "True"...), true
		}
		return append(to, "False"...), true
	case integer:
		return strconv.AppendInt(to, int64(v.n), 10), true
	case text:
		return append(to, v.s...), true
	}
	e, ok := v.engine()
	if !ok {
		return to, false
	}
	shown := show(e)
	return append(to, shown.String()...), !shown.IsError()
}

// item is what a.key and a["key"] are.
func (v *value) item(key string) (value, bool) {
	switch v.form {
	case text:
		return value{}, true
	case turn:
		return v.turn.item(key), true
	case namespace:
		return v.space[key], true
	case position:
		return v.loop.item(key)
	case foreign:
		if !v.other.IsDict() {
			return value{}, false
		}
		if found, ok := v.other.GetItem(key); ok {
			return valueOf(found)
		}
		return value{}, true
	}
	return value{}, false
}

func (t *turnValue) item(key string) value {
	m := t.message
	switch key {
	case "role":
		return textOf(m.Role)
	case "content":
		return textOf(m.Content)
	case "name":
		return named(m.Name)
	case "reasoning_content":
		return named(m.Reasoning)
	case "tool_call_id":
		return named(m.ToolCallID)
	case "tool_calls":
		return t.calls
	}
	return value{}
}

func (l *loopValue) item(key string) (value, bool) {
	switch key {
	case "index":
		return integerOf(l.index + 1), true
	case "index0":
		return integerOf(l.index), true
	case "revindex":
		return integerOf(l.length - l.index), true
	case "revindex0":
		return integerOf(l.length - l.index - 1), true
	case "first":
		return truthOf(l.index == 0), true
	case "last":
		return truthOf(l.index+1 == l.length), true
	case "length":
		return integerOf(l.length), true
	case "previtem":
		if l.index == 0 {
			return value{}, true
		}
		return l.items[l.index-1], true
	case "nextitem":
		if l.index+1 == l.length {
			return value{}, true
		}
		return l.items[l.index+1], true
	}
	return value{}, false
}

// element is a[i], from the end where i is negative.
func (v *value) element(i int) (value, bool) {
	if v.form != many {
		return value{}, false
	}
	if i < 0 {
		i += len(v.list)
	}
	if i < 0 || i >= len(v.list) {
		return value{}, true
	}
	return v.list[i], true
}

// isScalar says whether equal knows a value.
func (v *value) isScalar() bool { return v.form <= text }

// equal is a == b.
func equal(a, b *value) (same, ok bool) {
	if !a.isScalar() || !b.isScalar() {
		return false, (a.form <= absent || b.form <= absent) && !a.isOpaque() && !b.isOpaque() // nothing else equals None
	}
	if a.form <= absent || b.form <= absent {
		return a.form <= absent && b.form <= absent, true
	}
	return a.form == b.form && a.n == b.n && a.s == b.s, true
}

// contains is b in a.
func contains(a, b *value) (found, ok bool) {
	switch {
	case a.form == text && b.form == text:
		return strings.Contains(a.s, b.s), true
	case a.form == many:
		for i := range a.list {
			same, ok := equal(b, &a.list[i])
			if !ok {
				return false, false
			}
			if same {
				return true, true
			}
		}
		return false, true
	case a.form == turn && b.form == text:
		item := a.turn.item(b.s)
		return item.form != undefined, true
	case a.form == namespace && b.form == text:
		_, found := a.space[b.s]
		return found, true
	case a.form == foreign && b.form == text && a.other.IsDict():
		return a.other.Contains(exec.AsValue(b.s)), true
	}
	return false, false
}

// engine is the value as the engine has it.
func (v *value) engine() (*exec.Value, bool) {
	switch v.form {
	case undefined:
		return exec.AsValue(nil), true
	case absent:
		return exec.AsValue(pyNone()), true
	case truth:
		return exec.AsValue(v.n != 0), true
	case integer:
		return exec.AsValue(v.n), true
	case text:
		return exec.AsValue(v.s), true
	case many:
		all := make(list, len(v.list))
		for i := range v.list {
			e, ok := v.list[i].engine()
			if !ok {
				return nil, false
			}
			all[i] = e
		}
		return exec.AsValue(all), true
	case turn:
		d, err := v.turn.message.dict()
		return exec.AsValue(d), err == nil
	case foreign:
		return v.other, true
	}
	return nil, false
}

// valueOf is what the engine's value is here.
func valueOf(e *exec.Value) (value, bool) {
	switch {
	case e == nil || e.IsError():
		return value{}, false
	case isNone(e):
		return value{form: absent}, true
	case e.IsNil():
		return value{}, true
	case e.IsBool():
		return truthOf(e.Bool()), true
	case e.IsString():
		return textOf(e.String()), true
	case e.Val.IsValid() && e.Val.Kind() == reflect.Int:
		return integerOf(e.Integer()), true
	case e.IsList():
		all := make([]value, e.Len())
		for i := range all {
			var ok bool
			if all[i], ok = valueOf(e.Index(i)); !ok {
				return value{}, false
			}
		}
		return value{form: many, list: all}, true
	case e.IsFloat(), e.IsDict():
		return value{form: foreign, other: e}, true
	}
	return value{}, false
}
