package autograd

import (
	"context"
	"errors"
	"fmt"

	G "gorgonia.org/gorgonia"
)

// A Program computes a loss and its gradients, again and again, for the shapes
// it was compiled for. It is not safe for concurrent use.
type Program struct {
	vm     G.VM
	state  *runState
	order  int // nodes that execute
	bytes  int64
	values map[*Value][]float32
	grads  [][]float32
}

// Compile differentiates loss, whose shape is [1], by the inputs wrt and
// compiles the tape. The builder may be compiled once only.
func (b *Builder) Compile(loss *Value, wrt ...*Value) (*Program, error) {
	if b.err != nil {
		return nil, b.err
	}
	if n, err := size(loss.shape); err != nil || n != 1 || len(loss.shape) != 1 {
		return nil, fmt.Errorf("the loss has shape %v, not [1]", loss.shape)
	}
	if loss.op == nil {
		return nil, fmt.Errorf("the loss %s is an input", loss.name)
	}
	b.err = errors.New("the graph has been compiled already")
	for salt := 0; ; salt++ {
		p, err := b.compile(salt, loss, wrt)
		if errors.Is(err, errHashCollision) && salt < 16 {
			continue
		}
		return p, err
	}
}

func (b *Builder) compile(salt int, loss *Value, wrt []*Value) (p *Program, err error) {
	defer func() { // gorgonia's compiler panics on what it cannot compile
		if r := recover(); r != nil {
			err = fmt.Errorf("compiling the graph: %v", r)
		}
	}()
	c := &compiler{b: b, salt: salt}
	grads, err := c.compile(loss, wrt)
	if err != nil {
		return nil, err
	}
	outside := append([]*G.Node{c.nodes[loss.id]}, grads...)
	for _, v := range b.values {
		if v.keep {
			outside = append(outside, c.nodes[v.id])
		}
	}
	pl, err := newPlan(c.g, outside)
	if err != nil {
		return nil, fmt.Errorf("sorting the graph: %w", err)
	}
	p = &Program{state: &runState{}, order: len(pl.order), bytes: 4 * int64(pl.total), values: map[*Value][]float32{}}
	for _, o := range pl.order {
		o.base().run = p.state
	}
	read := func(n *G.Node) []float32 { return pl.output[n].out.Data().([]float32) }
	for _, g := range grads {
		p.grads = append(p.grads, read(g))
	}
	for _, v := range b.values {
		switch {
		case v.op == nil:
			p.values[v] = v.data
		case v.keep || v == loss:
			p.values[v] = read(c.nodes[v.id])
		}
	}
	p.vm = G.NewTapeMachine(c.g)
	return p, nil
}

// Run executes the program on what its inputs hold now. When ctx ends it stops
// before the next op, with ctx's error. After an error values and gradients are
// unspecified; the program can be run again.
func (p *Program) Run(ctx context.Context) error {
	*p.state = runState{ctx: ctx}
	defer p.vm.Reset()
	err := p.vm.RunAll()
	if p.state.err != nil {
		return p.state.err
	}
	if err == nil && p.state.next != p.order {
		err = fmt.Errorf("%d of %d ops executed", p.state.next, p.order)
	}
	return err
}

// Grad returns the gradient by the i-th input named to Compile. The slice stays
// the program's own and is overwritten by the next run.
func (p *Program) Grad(i int) []float32 { return p.grads[i] }

// Value returns the elements of the loss, an input or a kept value after a run,
// nil for any other. The slice stays the program's own.
func (p *Program) Value(v *Value) []float32 { return p.values[v] }

// Bytes returns the size of the buffers that the program owns: outputs and
// gradients, not what ops keep for themselves.
func (p *Program) Bytes() int64 { return p.bytes }

// Close releases the tape machine.
func (p *Program) Close() error { return p.vm.Close() }
