package chat

import "github.com/nikolalohinski/gonja/v2/nodes"

// How the direct forms reach into values: attributes, elements and slices.

// attribute compiles a.name. Names that Go might take for those of fields and
// methods are the engine's.
func (c *compiler) attribute(s *scope, of nodes.Node, name string) evaluate {
	if name == "" || name[0] < 'a' || name[0] > 'z' {
		return giveUp
	}
	eval := c.expression(s, of)
	return func(m *machine) (value, bool) {
		v, ok := eval(m)
		if !ok {
			return v, false
		}
		return v.item(name)
	}
}

// item compiles a["name"], a[0], and what rewrite makes of conditions.
func (c *compiler) item(s *scope, n *nodes.GetItem) evaluate {
	switch key := n.Arg.(type) {
	case *nodes.String:
		return c.attribute(s, n.Node, key.Val)
	case *nodes.Integer:
		if list, ok := n.Node.(*nodes.List); ok && key.Val == 0 && len(list.Val) == 1 {
			return c.expression(s, list.Val[0])
		}
		if a, b, otherwise, ok := conditionOf(n.Node); ok && key.Val == 0 {
			return c.conditional(s, a, b, otherwise)
		}
		of := c.expression(s, n.Node)
		return func(m *machine) (value, bool) {
			v, ok := of(m)
			if !ok {
				return v, false
			}
			return v.element(key.Val)
		}
	}
	return giveUp
}

// slice compiles a[i:j] and a[::-1] of lists.
func (c *compiler) slice(s *scope, n *nodes.GetSlice) evaluate {
	of := c.expression(s, n.Node)
	bounds := make([]evaluate, 3)
	for i, node := range []nodes.Node{n.Start, n.End, n.Step} {
		if node != nil {
			bounds[i] = c.expression(s, node)
		}
	}
	return func(m *machine) (value, bool) {
		v, ok := of(m)
		at := [3]int{0, len(v.list), 1}
		for i, bound := range bounds {
			if bound == nil {
				continue
			}
			b, fine := bound(m)
			ok = ok && fine && b.form == integer
			at[i] = b.n
			if i < 2 && b.n < 0 {
				at[i] += len(v.list)
			}
		}
		switch {
		case !ok || v.form != many:
		case at[2] == 1:
			i := max(0, min(at[0], len(v.list)))
			return value{form: many, list: v.list[i:max(i, min(at[1], len(v.list)))]}, true
		case at[2] == -1 && bounds[0] == nil && bounds[1] == nil:
			turned := make([]value, len(v.list))
			for i := range turned {
				turned[i] = v.list[len(v.list)-1-i]
			}
			return value{form: many, list: turned}, true
		}
		return value{}, false
	}
}
