package chat

import (
	controlstructures "github.com/nikolalohinski/gonja/v2/builtins/control_structures"
	"github.com/nikolalohinski/gonja/v2/exec"
	"github.com/nikolalohinski/gonja/v2/nodes"
	"github.com/nikolalohinski/gonja/v2/parser"
	"github.com/nikolalohinski/gonja/v2/tokens"
)

// scope is where names are looked up: those of an iteration or a macro before
// those around. What {% set %} sets in {% if %} it sets around it.
type scope struct {
	outer *scope
	names map[string]int
}

// compiler turns the engine's nodes into functions and numbers variables.
type compiler struct {
	environment *exec.Environment
	count       int // of variables
	within      int // statements whose scope the engine copies, and so far from a macro's
}

// variable is a new number.
func (c *compiler) variable() int {
	c.count++
	return c.count - 1
}

// number is the variable of a name in a scope.
func (c *compiler) number(s *scope, name string) int {
	n, ok := s.names[name]
	if !ok {
		n = c.variable()
		s.names[name] = n
	}
	return n
}

// block compiles statements of a scope, whose variables it numbers first: they may
// be asked for before they are set.
func (c *compiler) block(s *scope, list []nodes.Node) statement {
	if s.names == nil {
		s.names = map[string]int{}
	}
	c.declare(s, list)
	within := c.within
	c.within = 0
	defer func() { c.within = within }()
	return c.sequence(s, list)
}

// declare numbers what statements set in a scope.
func (c *compiler) declare(s *scope, list []nodes.Node) {
	for _, node := range list {
		block, ok := node.(*nodes.ControlStructureBlock)
		if !ok {
			continue
		}
		switch n := block.ControlStructure.(type) {
		case *assignment:
			if name := nameOf(n.target); name != "" {
				c.number(s, name)
			}
		case *controlstructures.MacroControlStructure:
			c.number(s, n.Name)
		case *controlstructures.IfControlStructure:
			for _, w := range n.Wrappers {
				c.declare(s, w.Nodes)
			}
		case *generation:
			c.declare(s, n.body.Nodes)
		}
	}
}

// stop is what gives up: a statement that is not known here.
func stop(*machine) bool { return false }

func (c *compiler) sequence(s *scope, list []nodes.Node) statement {
	var all []statement
	for _, node := range list {
		all = append(all, c.statement(s, node))
	}
	return func(m *machine) bool {
		for _, do := range all {
			if !do(m) {
				return false
			}
		}
		return true
	}
}

func (c *compiler) statement(s *scope, node nodes.Node) statement {
	switch n := node.(type) {
	case *nodes.Comment:
		return write("")
	case *nodes.Data:
		if n.Trim == (nodes.Trim{}) && !n.RemoveFirstLineReturn && !n.RemoveTrailingWhiteSpaceFromLastLine {
			return write(n.Data.Val)
		}
	case *nodes.Output:
		return c.output(s, n)
	case *nodes.ControlStructureBlock:
		switch n := n.ControlStructure.(type) {
		case *assignment:
			return c.assign(s, n)
		case *controlstructures.IfControlStructure:
			return c.choose(s, n)
		case *controlstructures.ForControlStructure:
			return c.loop(s, n)
		case *controlstructures.MacroControlStructure:
			return c.macro(s, n.Macro)
		case *generation:
			return c.generation(s, n)
		}
	}
	return stop
}

func write(s string) statement {
	return func(m *machine) bool {
		m.out = append(m.out, s...)
		return len(m.out) <= maxOutput
	}
}

// output compiles {{ pipe_print(x) }}, and {{ "text" }}, which rewrite writes too.
func (c *compiler) output(s *scope, n *nodes.Output) statement {
	if n.Condition != nil {
		return stop
	}
	if text, ok := n.Expression.(*nodes.String); ok {
		return write(text.Val)
	}
	if call, ok := n.Expression.(*nodes.Call); ok && nameOf(call.Func) == printed && len(call.Args) == 1 && len(call.Kwargs) == 0 {
		return c.print(s, call.Args[0])
	}
	return stop
}

// print compiles what writes a value. Texts that are joined are written one after
// the other.
func (c *compiler) print(s *scope, n nodes.Node) statement {
	if call, ok := n.(*nodes.Call); ok && len(call.Args) == 2 && len(call.Kwargs) == 0 {
		switch name := nameOf(call.Func); {
		case name == joined:
			return both(c.print(s, call.Args[0]), c.print(s, call.Args[1]))
		case name == added && isText(call):
			return both(c.printText(s, call.Args[0]), c.printText(s, call.Args[1]))
		}
	}
	eval := c.expression(s, n)
	return func(m *machine) bool {
		v, ok := eval(m)
		if ok {
			m.out, ok = v.print(m.out)
		}
		return ok && len(m.out) <= maxOutput
	}
}

func both(a, b statement) statement {
	return func(m *machine) bool { return a(m) && b(m) }
}

// isText says whether a sum is one of texts, as one of its terms tells.
func isText(n nodes.Node) bool {
	call, ok := n.(*nodes.Call)
	if !ok {
		_, ok := n.(*nodes.String)
		return ok
	}
	return nameOf(call.Func) == added && len(call.Args) == 2 && len(call.Kwargs) == 0 && (isText(call.Args[0]) || isText(call.Args[1]))
}

// printText is print of what must be a text.
func (c *compiler) printText(s *scope, n nodes.Node) statement {
	if call, ok := n.(*nodes.Call); ok && isText(call) {
		return both(c.printText(s, call.Args[0]), c.printText(s, call.Args[1]))
	}
	eval := c.expression(s, n)
	return func(m *machine) bool {
		v, ok := eval(m)
		m.out = append(m.out, v.s...)
		return ok && v.form == text && len(m.out) <= maxOutput
	}
}

// choose compiles {% if %}.
func (c *compiler) choose(s *scope, n *controlstructures.IfControlStructure) statement {
	c.within++
	defer func() { c.within-- }()
	conditions := c.expressions(s, n.Conditions)
	bodies := make([]statement, len(n.Wrappers))
	for i, w := range n.Wrappers {
		bodies[i] = c.sequence(s, w.Nodes)
	}
	return func(m *machine) bool {
		for i, condition := range conditions {
			v, ok := condition(m)
			if !ok || v.isOpaque() {
				return false
			}
			if v.isTrue() {
				return bodies[i](m)
			}
		}
		return len(bodies) == len(conditions) || bodies[len(conditions)](m)
	}
}

// loop compiles {% for x in list %}.
func (c *compiler) loop(outer *scope, n *controlstructures.ForControlStructure) statement {
	if n.Value != "" || n.Recursive || n.Key == "loop" {
		return stop
	}
	over := c.expression(outer, n.ObjectEvaluator)
	s := &scope{outer: outer, names: map[string]int{}}
	first := c.count
	key, at := c.number(s, n.Key), c.number(s, "loop")
	var only evaluate
	if n.IfCondition != nil {
		only = c.expression(s, n.IfCondition)
	}
	body := c.block(s, n.BodyWrapper.Nodes)
	last := c.count
	empty := write("")
	if n.EmptyWrapper != nil {
		empty = c.block(&scope{outer: outer}, n.EmptyWrapper.Nodes)
	}
	return func(m *machine) bool {
		clear(m.set[first:last])
		items, ok := m.items(over, only, key)
		if !ok || len(items) == 0 {
			return ok && empty(m)
		}
		info := &loopValue{length: len(items), items: items}
		for i := range items {
			if m.steps++; m.steps > maxSteps {
				return false
			}
			clear(m.set[first:last])
			info.index = i
			m.vars[key], m.set[key] = items[i], true
			m.vars[at], m.set[at] = value{form: position, loop: info}, true
			if !body(m) {
				return false
			}
		}
		clear(m.set[first:last])
		return true
	}
}

// items is what a loop goes over; only may be nil.
func (m *machine) items(over, only evaluate, key int) ([]value, bool) {
	v, ok := over(m)
	if !ok || v.form > absent && v.form != many {
		return nil, false
	}
	if only == nil {
		return v.list, true
	}
	var some []value
	for _, item := range v.list {
		if m.steps++; m.steps > maxSteps {
			return nil, false
		}
		m.vars[key], m.set[key] = item, true
		yes, ok := only(m)
		if !ok || yes.isOpaque() {
			return nil, false
		}
		if yes.isTrue() {
			some = append(some, item)
		}
	}
	m.set[key] = false
	return some, true
}

// generation compiles {% generation %}, which macros and blocks whose text is
// kept cannot hold.
func (c *compiler) generation(s *scope, n *generation) statement {
	c.within++
	defer func() { c.within-- }()
	body := c.sequence(s, n.body.Nodes)
	return func(m *machine) bool {
		start := len(m.out)
		ok := m.depth == 0 && body(m)
		m.marks = append(m.marks, mark{start, len(m.out)})
		return ok
	}
}

// kept returns what a statement writes.
func (m *machine) kept(do statement) (value, bool) {
	if m.depth++; m.depth > maxNested {
		return value{}, false
	}
	before := m.out
	m.out = nil
	ok := do(m)
	v := textOf(string(m.out))
	m.out = before
	m.depth--
	return v, ok
}

// assign compiles {% set %}.
func (c *compiler) assign(s *scope, n *assignment) statement {
	var eval evaluate
	if n.body != nil {
		body := c.block(&scope{outer: s}, n.body.Nodes)
		eval = func(m *machine) (value, bool) { return m.kept(body) }
	} else {
		eval = c.expression(s, n.expression)
	}
	switch target := n.target.(type) {
	case *nodes.Name:
		i := c.number(s, target.Name.Val)
		return func(m *machine) bool {
			v, ok := eval(m)
			m.vars[i], m.set[i] = v, true
			return ok
		}
	case *nodes.GetAttribute:
		return assignTo(c.expression(s, target.Node), target.Attribute, eval)
	}
	return stop
}

// assignTo compiles {% set namespace.name = x %}.
func assignTo(of evaluate, name string, eval evaluate) statement {
	return func(m *machine) bool {
		v, ok := eval(m)
		to, found := of(m)
		if !ok || !found || to.form != namespace || name == "" {
			return false
		}
		if v.form == undefined {
			delete(to.space, name)
		} else {
			to.space[name] = v
		}
		return true
	}
}

// assignment is {% set target = expression %}, or {% set target %}body{% endset %}.
type assignment struct {
	target, expression nodes.Expression
	body               *nodes.Wrapper
}

// Position implements nodes.Node.
func (a *assignment) Position() *tokens.Token { return a.target.Position() }

func (a *assignment) String() string { return "set" }

// parseAssignment parses what the engine's own parser does, and keeps it where it
// can be seen.
func parseAssignment(p, args *parser.Parser) (nodes.ControlStructure, error) {
	target, err := args.ParseVariableOrLiteral()
	if err != nil {
		return nil, err
	}
	a := &assignment{target: target}
	if args.Match(tokens.Assign) == nil {
		a.body, _, err = p.WrapUntil("endset")
		return a, err
	}
	a.expression, err = args.ParseExpression()
	if err == nil && !args.End() {
		a.expression = nil // which has no direct form
	}
	return a, err
}

// macroValue is a macro.
type macroValue struct {
	params      []string
	at          []int // variables of the parameters
	defaults    []evaluate
	body        statement
	first, last int // its variables
}

// macro compiles {% macro %} where the engine sees the scope that it is in, and
// not a copy.
func (c *compiler) macro(s *scope, n *nodes.Macro) statement {
	if c.within > 0 || n.VarArgsName != "" || n.KwArgsName != "" {
		return stop
	}
	inner := &scope{outer: s, names: map[string]int{}}
	macro := &macroValue{first: c.count}
	for _, pair := range n.Kwargs {
		key, ok := pair.Key.(*nodes.String)
		if !ok {
			return stop
		}
		macro.params = append(macro.params, key.Val)
		macro.at = append(macro.at, c.number(inner, key.Val))
		macro.defaults = append(macro.defaults, c.expression(s, pair.Value))
	}
	macro.body = c.block(inner, n.Wrapper.Nodes)
	macro.last = c.count
	i := c.number(s, n.Name)
	return func(m *machine) bool {
		m.vars[i], m.set[i] = value{form: callable, macro: macro}, true
		return true
	}
}

// call runs a macro and returns what it writes.
func (macro *macroValue) call(m *machine, args []value, named map[string]value) (value, bool) {
	given, found := make([]value, len(macro.params)), 0
	for i, name := range macro.params {
		v, ok := named[name]
		switch {
		case ok:
			found++
			if i < len(args) {
				return value{}, false
			}
		case i < len(args):
			v = args[i]
		default:
			if v, ok = macro.defaults[i](m); !ok {
				return value{}, false
			}
		}
		given[i] = v
	}
	if m.steps++; m.steps > maxSteps || len(args) > len(given) || found < len(named) {
		return value{}, false
	}
	vars, set := m.vars[macro.first:macro.last], m.set[macro.first:macro.last]
	varsBefore, setBefore := append([]value(nil), vars...), append([]bool(nil), set...)
	clear(set)
	for i, at := range macro.at {
		m.vars[at], m.set[at] = given[i], true
	}
	v, ok := m.kept(macro.body)
	copy(vars, varsBefore)
	copy(set, setBefore)
	return v, ok
}

// nameOf is the name that an expression is, "" for others.
func nameOf(n nodes.Node) string {
	if name, ok := n.(*nodes.Name); ok {
		return name.Name.Val
	}
	return ""
}
