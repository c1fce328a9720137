package chat

import (
	"github.com/nikolalohinski/gonja/v2/nodes"
	"github.com/nikolalohinski/gonja/v2/tokens"
)

// The operators of the direct forms, and the functions that rewrite makes of some.

// conditionOf takes ((c) and [a]) or [b] apart, the first element of which rewrite
// makes of "a if c else b".
func conditionOf(node nodes.Node) (condition, then, otherwise nodes.Expression, ok bool) {
	or, ok := node.(*nodes.BinaryExpression)
	if !ok || or.Operator.Token.Type != tokens.Or {
		return nil, nil, nil, false
	}
	and, ok := or.Left.(*nodes.BinaryExpression)
	if !ok || and.Operator.Token.Type != tokens.And {
		return nil, nil, nil, false
	}
	a, isList := and.Right.(*nodes.List)
	b, areLists := or.Right.(*nodes.List)
	if !isList || !areLists || len(a.Val) != 1 || len(b.Val) != 1 {
		return nil, nil, nil, false
	}
	return and.Left, a.Val[0], b.Val[0], true
}

func (c *compiler) conditional(s *scope, condition, then, otherwise nodes.Expression) evaluate {
	all := c.expressions(s, []nodes.Expression{condition, then, otherwise})
	return func(m *machine) (value, bool) {
		v, ok := all[0](m)
		switch {
		case !ok || v.isOpaque():
			return v, false
		case v.isTrue():
			return all[1](m)
		}
		return all[2](m)
	}
}

// negation compiles not a, of which the engine makes a number of a number.
func (c *compiler) negation(s *scope, n *nodes.Negation) evaluate {
	eval := c.expression(s, n.Term)
	return func(m *machine) (value, bool) {
		v, ok := eval(m)
		switch {
		case !ok || v.form == foreign || v.isOpaque():
			return value{}, false
		case v.form == integer && v.n == 0:
			return integerOf(1), true
		case v.form == integer:
			return integerOf(0), true
		}
		return truthOf(!v.isTrue()), true
	}
}

func (c *compiler) unary(s *scope, n *nodes.UnaryExpression) evaluate {
	eval := c.expression(s, n.Term)
	return func(m *machine) (value, bool) {
		v, ok := eval(m)
		if n.Negative {
			v.n = -v.n
		}
		return v, ok && v.form == integer
	}
}

func (c *compiler) binary(s *scope, n *nodes.BinaryExpression) evaluate {
	left := c.expression(s, n.Left)
	right := c.expression(s, n.Right)
	switch op := n.Operator.Token.Type; op {
	case tokens.And, tokens.Or:
		return func(m *machine) (value, bool) {
			v, ok := left(m)
			if !ok || v.isOpaque() {
				return value{}, false
			}
			if v.isTrue() == (op == tokens.And) {
				return right(m)
			}
			return v, true
		}
	case tokens.Equals, tokens.Ne:
		return pairwise(left, right, func(a, b *value) (value, bool) {
			same, ok := equal(a, b)
			return truthOf(same == (op == tokens.Equals)), ok
		})
	case tokens.In:
		return pairwise(left, right, func(a, b *value) (value, bool) {
			found, ok := contains(b, a)
			return truthOf(found), ok
		})
	case tokens.LowerThan, tokens.LowerThanOrEqual, tokens.GreaterThan, tokens.GreaterThanOrEqual:
		return pairwise(left, right, func(a, b *value) (value, bool) { return compare(op, a, b) })
	}
	return giveUp
}

// compare orders two integers.
func compare(op tokens.Type, a, b *value) (value, bool) {
	ok := a.form == integer && b.form == integer
	switch op {
	case tokens.LowerThan:
		return truthOf(a.n < b.n), ok
	case tokens.LowerThanOrEqual:
		return truthOf(a.n <= b.n), ok
	case tokens.GreaterThan:
		return truthOf(a.n > b.n), ok
	}
	return truthOf(a.n >= b.n), ok
}

func pairwise(left, right evaluate, f func(a, b *value) (value, bool)) evaluate {
	return func(m *machine) (value, bool) {
		a, ok := left(m)
		if !ok {
			return a, false
		}
		b, ok := right(m)
		if !ok {
			return b, false
		}
		return f(&a, &b)
	}
}

// plus is a + b.
func plus(a, b *value) (value, bool) {
	switch {
	case a.form == text && b.form == text:
		return textOf(a.s + b.s), len(a.s)+len(b.s) <= maxOutput
	case a.form == integer && b.form == integer:
		return integerOf(a.n + b.n), true
	case a.form == many && b.form == many && len(a.list)+len(b.list) <= maxRange:
		return value{form: many, list: append(append([]value{}, a.list...), b.list...)}, true
	}
	return value{}, false
}

// minus is a - b.
func minus(a, b *value) (value, bool) {
	return integerOf(a.n - b.n), a.form == integer && b.form == integer
}

// remainder is a % b.
func remainder(a, b *value) (value, bool) {
	if a.form != integer || b.form != integer || b.n == 0 {
		return value{}, false
	}
	return integerOf(a.n - b.n*floorDiv(a.n, b.n)), true
}

// beside is a ~ b.
func beside(a, b *value) (value, bool) {
	first, ok := a.print(nil)
	if !ok {
		return value{}, false
	}
	both, ok := b.print(first)
	return textOf(string(both)), ok && len(both) <= maxOutput
}

// elementOf is a[b] for a key that is computed.
func elementOf(a, b *value) (value, bool) {
	switch {
	case a.form == many && b.form == integer:
		return a.element(b.n)
	case b.form == text && !a.isOpaque():
		return a.item(b.s)
	}
	return value{}, false
}
