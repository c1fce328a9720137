package compile

import (
	"cuelang.org/go/cue"
	"cuelang.org/go/cue/token"

	"github.com/pipe-run/pipe/pipeline"
)

// readGate compiles the bounds on a step's metrics. They are constraints, not
// values, so nothing here demands that they be concrete.
func (c *compiler) readGate(n *pipeline.Node, v cue.Value) error {
	it, err := v.Fields()
	if err != nil {
		return errWrong
	}
	for it.Next() {
		bounds, err := c.bounds(it.Selector().Unquoted(), it.Value())
		if err != nil {
			return errWrong
		}
		n.Gate = append(n.Gate, bounds...)
	}
	return nil
}

// bounds compiles one constraint of a gate.
func (c *compiler) bounds(metric string, v cue.Value) ([]pipeline.Bound, error) {
	if v.Err() != nil {
		return nil, errWrong
	}
	pos := c.valuePos(v)
	if v.IsConcrete() {
		f, err := v.Float64()
		if err != nil {
			return nil, errWrong
		}
		return []pipeline.Bound{{Metric: metric, Op: "==", Value: f, Pos: c.pos(pos)}}, nil
	}
	return c.constraint(metric, v.Eval(), pos, 0)
}

func (c *compiler) constraint(metric string, v cue.Value, pos token.Pos, depth int) ([]pipeline.Bound, error) {
	op, args := v.Expr()
	switch op {
	case cue.AndOp:
		var all []pipeline.Bound
		for _, a := range args {
			if depth > 8 {
				return nil, errWrong
			}
			if isNumberType(a) {
				continue
			}
			p := pos
			if at := a.Pos(); isUser(at) {
				p = at
			}
			bs, err := c.constraint(metric, a, p, depth+1)
			if err != nil {
				return nil, err
			}
			all = append(all, bs...)
		}
		if len(all) == 0 {
			return nil, errWrong
		}
		return all, nil
	case cue.LessThanOp, cue.LessThanEqualOp, cue.GreaterThanOp, cue.GreaterThanEqualOp, cue.NotEqualOp:
		f, err := args[0].Float64()
		if err != nil {
			return nil, errWrong
		}
		return []pipeline.Bound{{Metric: metric, Op: op.String(), Value: f, Pos: c.pos(pos)}}, nil
	}
	if v.IsConcrete() {
		if f, err := v.Float64(); err == nil {
			return []pipeline.Bound{{Metric: metric, Op: "==", Value: f, Pos: c.pos(pos)}}, nil
		}
	}
	return nil, errWrong
}

// isNumberType reports whether v is number itself, which the schema adds.
func isNumberType(v cue.Value) bool {
	op, _ := v.Expr()
	k := v.IncompleteKind()
	return op == cue.NoOp && !v.IsConcrete() && (k == cue.NumberKind || k == cue.FloatKind|cue.IntKind)
}
