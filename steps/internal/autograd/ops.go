package autograd

import (
	"errors"
	"fmt"

	G "gorgonia.org/gorgonia"
)

// forward executes an Op.
type forward struct {
	node
	op    Op
	wants []bool // inputs that need a gradient
}

func (o *forward) Do(in ...G.Value) (G.Value, error) {
	return o.out, o.guard(func() error {
		x, err := elementsOf(in)
		if err != nil {
			return err
		}
		y, err := elements(o.out)
		if err != nil {
			return err
		}
		return o.op.Forward(y, x)
	})
}

// DiffWRT is true for the inputs that lead to something differentiated by, so
// that frozen inputs cost nothing.
func (o *forward) DiffWRT(int) []bool { return o.wants }

// SymDiff applies the backward op to (inputs…, output, gradient) and picks the
// wanted gradients from it. That the output is among its children keeps the
// order: backward may read what forward saved.
func (o *forward) SymDiff(in G.Nodes, out, grad *G.Node) (G.Nodes, error) {
	children := append(append(G.Nodes{}, in...), out, grad)
	b := &backward{node: newNode(o.name+".backward", []int{1}, children), fwd: o, grads: make([]*pick, len(in))}
	packed, err := apply(b)
	if err != nil {
		return nil, err
	}
	result := make(G.Nodes, len(in))
	for i, c := range in {
		if !o.wants[i] {
			continue
		}
		p := &pick{node: newNode(fmt.Sprintf("%s.gradient%d", o.name, i), c.Shape(), []*G.Node{packed})}
		if result[i], err = apply(p); err != nil {
			return nil, err
		}
		b.grads[i] = p
	}
	return result, nil
}

// backward executes an Op's backward pass. A gorgonia op has one output; this
// one's is a token, and the gradients lie in the buffers of its picks.
type backward struct {
	node
	fwd   *forward
	grads []*pick // by input; nil where not wanted
}

func (o *backward) Do(in ...G.Value) (G.Value, error) {
	return o.out, o.guard(func() error {
		x, err := elementsOf(in)
		if err != nil {
			return err
		}
		grads := make([][]float32, len(o.grads))
		for i, p := range o.grads {
			if p == nil {
				continue
			}
			if grads[i], err = elements(p.out); err != nil {
				return err
			}
		}
		n := len(o.grads)
		return o.fwd.op.Backward(grads, x[:n:n], x[n], x[n+1])
	})
}

// pick is one gradient that a backward op computed.
type pick struct {
	node
}

func (o *pick) Do(...G.Value) (G.Value, error) {
	return o.out, o.guard(func() error { return nil })
}

// mirror is a value as one of its several users sees it. It is not
// differentiable: differentiation ends at it, and goes on from the sum of the
// gradients of all mirrors.
type mirror struct{ node }

func (o *mirror) Do(in ...G.Value) (_ G.Value, err error) {
	return in[0], o.guard(func() error {
		if in[0] == nil {
			return errors.New("no value")
		}
		return nil
	})
}

// sum adds gradients of one value, from the first user to the last.
type sum struct{ node }

func (o *sum) Do(in ...G.Value) (G.Value, error) {
	return o.out, o.guard(func() error {
		x, err := elementsOf(in)
		if err != nil {
			return err
		}
		y, err := elements(o.out)
		if err != nil {
			return err
		}
		copy(y, x[0])
		for _, g := range x[1:] {
			for i, v := range g[:len(y)] {
				y[i] += v
			}
		}
		return nil
	})
}

var _ G.SDOp = (*forward)(nil) // what makes gorgonia call SymDiff
