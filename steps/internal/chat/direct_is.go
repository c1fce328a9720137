package chat

import (
	"github.com/nikolalohinski/gonja/v2/nodes"
	"github.com/nikolalohinski/gonja/v2/tokens"
)

// The tests of the direct forms: a is b.

// test compiles a is name and what the engine's parser takes for a test, such as
// comparisons.
func (c *compiler) test(s *scope, n *nodes.TestExpression) evaluate {
	in := c.expression(s, n.Expression)
	args := c.expressions(s, n.Test.Args)
	if len(n.Test.Kwargs) > 0 || len(args) > 1 {
		return giveUp
	}
	if f := unaryTest(n.Test.Name); f != nil && len(args) == 0 {
		return func(m *machine) (value, bool) {
			v, ok := in(m)
			yes, fine := f(&v)
			return truthOf(yes), ok && fine
		}
	}
	if len(args) == 1 {
		if f := binaryTest(n.Test.Name); f != nil {
			return pairwise(in, args[0], f)
		}
	}
	return giveUp
}

func unaryTest(name string) func(v *value) (yes, ok bool) {
	switch name {
	case "defined":
		return func(v *value) (bool, bool) { return v.form != undefined, true }
	case "undefined":
		return func(v *value) (bool, bool) { return v.form == undefined, true }
	case "none":
		return func(v *value) (bool, bool) { return v.form == absent, true }
	case "string":
		return func(v *value) (bool, bool) { return v.form == text, true }
	case "odd":
		return func(v *value) (bool, bool) { return v.n%2 == 1, v.form == integer }
	case "even":
		return func(v *value) (bool, bool) { return v.n%2 == 0, v.form == integer }
	case "number":
		return func(v *value) (bool, bool) { return v.form == integer, v.form != foreign }
	case "boolean":
		return func(v *value) (bool, bool) { return v.form == truth, true }
	case "true":
		return func(v *value) (bool, bool) { return v.form == truth && v.n != 0, !v.isOpaque() }
	case "false":
		return func(v *value) (bool, bool) { return v.form != truth || v.n == 0, !v.isOpaque() }
	case "mapping":
		return func(v *value) (bool, bool) {
			return v.form == turn || v.form == namespace || v.form == foreign && v.other.IsDict(), !v.isOpaque()
		}
	case "iterable", "sequence":
		return func(v *value) (bool, bool) {
			return v.form == text || v.form == many || v.form == turn || v.form == namespace || v.form == foreign && v.other.IsDict(), !v.isOpaque()
		}
	}
	return nil
}

func binaryTest(name string) func(a, b *value) (value, bool) {
	order := map[string]tokens.Type{
		"gt": tokens.GreaterThan, "greaterthan": tokens.GreaterThan, ">": tokens.GreaterThan, "ge": tokens.GreaterThanOrEqual, ">=": tokens.GreaterThanOrEqual,
		"lt": tokens.LowerThan, "lessthan": tokens.LowerThan, "<": tokens.LowerThan, "le": tokens.LowerThanOrEqual, "<=": tokens.LowerThanOrEqual,
	}
	if op, ok := order[name]; ok {
		return func(a, b *value) (value, bool) { return compare(op, a, b) }
	}
	switch name {
	case "in":
		return func(a, b *value) (value, bool) {
			found, ok := contains(b, a)
			return truthOf(found), ok
		}
	case "eq", "equalto", "==", "ne", "!=":
		return func(a, b *value) (value, bool) {
			same, ok := equal(a, b)
			return truthOf(same == (name[0] == 'e' || name == "==")), ok
		}
	}
	return nil
}
