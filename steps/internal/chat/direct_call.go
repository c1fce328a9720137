package chat

import (
	"strings"
	"unicode"

	"github.com/nikolalohinski/gonja/v2/exec"
	"github.com/nikolalohinski/gonja/v2/nodes"
)

// What the direct forms call: methods, macros, namespace() and what rewrite puts in.

// call compiles methods, the functions that rewrite puts in, and namespace().
func (c *compiler) call(s *scope, n *nodes.Call) evaluate {
	if of, ok := n.Func.(*nodes.GetAttribute); ok && n.Parent != nil {
		return c.method(s, n.Parent, of.Attribute, n)
	}
	name := nameOf(n.Func)
	for inner := s; inner != nil; inner = inner.outer {
		if _, ok := inner.names[name]; ok {
			return c.invoke(s, name, n)
		}
	}
	if name == "namespace" && len(n.Args) == 0 {
		return c.namespace(s, n)
	}
	if len(n.Args) != 2 || len(n.Kwargs) > 0 {
		return giveUp
	}
	args := c.expressions(s, n.Args)
	f := map[string]func(a, b *value) (value, bool){added: plus, taken: minus, joined: beside, modulo: remainder, indexed: elementOf}[name]
	if f == nil {
		return giveUp
	}
	return pairwise(args[0], args[1], f)
}

// named compiles arguments that are given by name.
func (c *compiler) named(s *scope, list map[string]nodes.Expression) func(*machine) (map[string]value, bool) {
	all := map[string]evaluate{}
	for name, node := range list {
		all[name] = c.expression(s, node)
	}
	return func(m *machine) (map[string]value, bool) {
		values := make(map[string]value, len(all))
		for name, eval := range all {
			v, ok := eval(m)
			if !ok {
				return nil, false
			}
			values[name] = v
		}
		return values, true
	}
}

// invoke compiles the call of a macro.
func (c *compiler) invoke(s *scope, name string, n *nodes.Call) evaluate {
	f, args, named := c.name(s, name), c.expressions(s, n.Args), c.named(s, n.Kwargs)
	return func(m *machine) (value, bool) {
		v, ok := f(m)
		given, fine := m.values(args)
		byName, known := named(m)
		if !ok || !fine || !known || v.form != callable {
			return value{}, false
		}
		return v.macro.call(m, given, byName)
	}
}

func (c *compiler) namespace(s *scope, n *nodes.Call) evaluate {
	named := c.named(s, n.Kwargs)
	return func(m *machine) (value, bool) {
		space, ok := named(m)
		return value{form: namespace, space: space}, ok
	}
}

// method compiles a.name(…) of texts, and get of messages.
func (c *compiler) method(s *scope, of nodes.Node, name string, n *nodes.Call) evaluate {
	eval := c.expression(s, of)
	args := c.expressions(s, n.Args)
	call, ok := c.environment.Methods.Str.Get(name)
	if len(n.Kwargs) > 0 || !ok && name != "get" {
		return giveUp
	}
	return func(m *machine) (value, bool) {
		v, fine := eval(m)
		given, known := m.values(args)
		switch {
		case !fine || !known:
		case v.form == turn && name == "get" && len(given) > 0 && len(given) <= 2 && given[0].form == text:
			found := v.turn.item(given[0].s)
			switch {
			case found.form == undefined && len(given) == 2:
				return given[1], true
			case found.form == undefined:
				return value{form: absent}, true
			}
			return found, true
		case v.form == text && ok:
			if r, ok := stringMethod(name, v.s, given); ok {
				return r, true
			}
			return engineMethod(call, v.s, given)
		}
		return value{}, false
	}
}

// stringMethod is what the methods that are called most do; strings.go has them.
func stringMethod(name, s string, args []value) (value, bool) {
	space := unicode.IsSpace
	switch {
	case len(args) == 0 && name == "strip":
		return textOf(strings.TrimFunc(s, space)), true
	case len(args) == 0 && name == "lstrip":
		return textOf(strings.TrimLeftFunc(s, space)), true
	case len(args) == 0 && name == "rstrip":
		return textOf(strings.TrimRightFunc(s, space)), true
	case len(args) != 1 || args[0].form != text:
	case name == "startswith":
		return truthOf(strings.HasPrefix(s, args[0].s)), true
	case name == "endswith":
		return truthOf(strings.HasSuffix(s, args[0].s)), true
	}
	return value{}, false
}

func engineMethod(call exec.Method[string], s string, given []value) (value, bool) {
	params := exec.NewVarArgs()
	for i := range given {
		e, ok := given[i].engine()
		if !ok {
			return value{}, false
		}
		params.Args = append(params.Args, e)
	}
	got, err := call(s, exec.AsValue(s), params)
	if err != nil {
		return value{}, false
	}
	return valueOf(exec.ToValue(got))
}
