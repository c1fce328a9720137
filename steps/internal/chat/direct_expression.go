package chat

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/nikolalohinski/gonja/v2/exec"
	"github.com/nikolalohinski/gonja/v2/nodes"
	"github.com/nikolalohinski/gonja/v2/tokens"
)

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
