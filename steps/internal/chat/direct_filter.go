package chat

import (
	"strings"
	"unicode/utf8"

	"github.com/nikolalohinski/gonja/v2/exec"
	"github.com/nikolalohinski/gonja/v2/nodes"
)

// The filters of the direct forms.

// filtered compiles a|name(…).
func (c *compiler) filtered(s *scope, n *nodes.FilteredExpression) evaluate {
	eval := c.expression(s, n.Expression)
	for _, f := range n.Filters {
		eval = c.filter(s, eval, f)
	}
	return eval
}

// pureFilters are those of the engine that are functions of their arguments.
func pureFilters() []string {
	return strings.Fields("capitalize d default first int items last list lower replace reverse safe string title tojson upper")
}

func (c *compiler) filter(s *scope, in evaluate, n *nodes.FilterCall) evaluate {
	args := c.expressions(s, n.Args)
	bare, named := len(n.Args)+len(n.Kwargs) == 0, c.named(s, n.Kwargs)
	switch {
	case n.Name == "trim" && bare:
		return func(m *machine) (value, bool) {
			v, ok := in(m)
			return textOf(strings.TrimSpace(v.s)), ok && v.form == text
		}
	case (n.Name == "length" || n.Name == "count") && bare:
		return func(m *machine) (value, bool) {
			v, ok := in(m)
			if v.form == text {
				return integerOf(utf8.RuneCountInString(v.s)), ok
			}
			return integerOf(len(v.list)), ok && v.form == many
		}
	}
	f, ok := c.environment.Filters.Get(n.Name)
	for _, name := range pureFilters() {
		if ok && name == n.Name {
			return throughEngine(f, in, args, named)
		}
	}
	return giveUp
}

// throughEngine applies a filter of the engine.
func throughEngine(f exec.FilterFunction, in evaluate, args []evaluate, named func(*machine) (map[string]value, bool)) evaluate {
	return func(m *machine) (value, bool) {
		v, ok := in(m)
		given, fine := m.values(args)
		byName, known := named(m)
		if !ok || !fine || !known {
			return value{}, false
		}
		e, ok := v.engine()
		params := exec.NewVarArgs()
		for i := range given {
			arg, fine := given[i].engine()
			params.Args, ok = append(params.Args, arg), ok && fine
		}
		for name, given := range byName {
			arg, fine := given.engine()
			params.KwArgs[name], ok = arg, ok && fine
		}
		if !ok {
			return value{}, false
		}
		return valueOf(f(nil, e, params))
	}
}
