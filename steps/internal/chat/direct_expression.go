package chat

import "github.com/nikolalohinski/gonja/v2/nodes"

// evaluate returns a value. It returns false to give up.
type evaluate func(m *machine) (value, bool)

// giveUp is what is not known here.
func giveUp(*machine) (value, bool) { return value{}, false }

func constant(v value) evaluate {
	return func(*machine) (value, bool) { return v, true }
}

func (c *compiler) expression(s *scope, node nodes.Node) evaluate {
	switch n := node.(type) {
	case *nodes.None:
		return constant(value{})
	case *nodes.String:
		return constant(textOf(n.Val))
	case *nodes.Integer:
		return constant(integerOf(n.Val))
	case *nodes.Bool:
		return constant(truthOf(n.Val))
	case *nodes.List:
		return c.list(s, n.Val)
	case *nodes.Tuple:
		return c.list(s, n.Val)
	case *nodes.Name:
		return c.name(s, n.Name.Val)
	case *nodes.GetAttribute:
		return c.attribute(s, n.Node, n.Attribute)
	case *nodes.GetItem:
		return c.item(s, n)
	case *nodes.GetSlice:
		return c.slice(s, n)
	case *nodes.Negation:
		return c.negation(s, n)
	case *nodes.UnaryExpression:
		return c.unary(s, n)
	case *nodes.BinaryExpression:
		return c.binary(s, n)
	case *nodes.FilteredExpression:
		return c.filtered(s, n)
	case *nodes.TestExpression:
		return c.test(s, n)
	case *nodes.Call:
		return c.call(s, n)
	}
	return giveUp
}

func (c *compiler) expressions(s *scope, list []nodes.Expression) []evaluate {
	all := make([]evaluate, len(list))
	for i, n := range list {
		all[i] = c.expression(s, n)
	}
	return all
}

// values evaluates each.
func (m *machine) values(list []evaluate) ([]value, bool) {
	all := make([]value, len(list))
	for i, eval := range list {
		var ok bool
		if all[i], ok = eval(m); !ok {
			return nil, false
		}
	}
	return all, true
}

func (c *compiler) list(s *scope, list []nodes.Expression) evaluate {
	all := c.expressions(s, list)
	return func(m *machine) (value, bool) {
		values, ok := m.values(all)
		return value{form: many, list: values}, ok
	}
}

// name looks a name up in the scopes around it: of the variables that could be
// meant, the innermost that is set.
func (c *compiler) name(s *scope, name string) evaluate {
	if name != noValue && (c.environment.Context.Has(name) || name == "self" || name == "range") {
		return giveUp
	}
	var at []int
	for ; s != nil; s = s.outer {
		if i, ok := s.names[name]; ok {
			at = append(at, i)
		}
	}
	switch {
	case name == noValue && len(at) == 0:
		return constant(value{form: absent})
	case len(at) == 1:
		i := at[0]
		return func(m *machine) (value, bool) {
			if m.set[i] {
				return m.vars[i], true
			}
			return value{}, true
		}
	}
	return func(m *machine) (value, bool) {
		for _, i := range at {
			if m.set[i] {
				return m.vars[i], true
			}
		}
		return value{}, true
	}
}
