package autograd

import (
	"math"
	"slices"

	G "gorgonia.org/gorgonia"
)

// plan fixes the order of execution and gives every output a buffer. A buffer is
// lent to one output after another: from the node that writes it to the last
// that reads it, or for good where the caller reads it after the run.
type plan struct {
	order  []graphOp           // nodes that execute, in order
	output map[*G.Node]*node   // node that owns the buffer that this one's value lies in; nil for inputs
	last   map[*node]int       // position of the last reader
	free   [][]float32         // buffers not lent
	lent   map[int][][]float32 // by position after which they are free
	total  int                 // elements in all buffers
}

// forever is the last reader of what is read after the run.
const forever = math.MaxInt

// newPlan plans the graph. outside are the nodes read after a run.
func newPlan(g *G.ExprGraph, outside []*G.Node) (*plan, error) {
	sorted, err := G.Sort(g) // the order of the tape machine, backwards
	if err != nil {
		return nil, err
	}
	p := &plan{output: map[*G.Node]*node{}, last: map[*node]int{}, lent: map[int][][]float32{}}
	for _, n := range slices.Backward(sorted) {
		o, ok := n.Op().(graphOp)
		if !ok {
			continue
		}
		b := o.base()
		b.at = len(p.order)
		p.order = append(p.order, o)
		p.output[n] = b
		if _, ok := o.(*mirror); ok {
			p.output[n] = p.output[b.from[0]]
		}
		for _, c := range b.from {
			if owner := p.output[c]; owner != nil {
				p.last[owner] = b.at
			}
		}
	}
	for _, n := range outside {
		if owner := p.output[n]; owner != nil {
			p.last[owner] = forever
		}
	}
	for at, o := range p.order {
		p.bind(at, o)
	}
	p.free, p.lent = nil, nil
	return p, nil
}

// bind lends buffers to what the node at this position writes and takes back
// those that nobody reads after it.
func (p *plan) bind(at int, o graphOp) {
	switch o := o.(type) {
	case *forward:
		p.lend(at, &o.node)
	case *sum:
		p.lend(at, &o.node)
	case *backward:
		o.out = dense([]int{1}, make([]float32, 1))
		for _, g := range o.grads {
			if g != nil {
				p.lend(at, &g.node)
			}
		}
	}
	p.free = append(p.free, p.lent[at]...)
	delete(p.lent, at)
}

// lend gives n the smallest free buffer that is large enough, or a new one.
func (p *plan) lend(at int, n *node) {
	size := n.shape.TotalSize()
	best := -1
	for i, b := range p.free {
		if len(b) >= size && (best < 0 || len(b) < len(p.free[best])) {
			best = i
		}
	}
	var buffer []float32
	if best >= 0 {
		buffer = p.free[best]
		p.free = slices.Delete(p.free, best, best+1)
	} else {
		buffer = make([]float32, size)
		p.total += size
	}
	n.out = dense(n.shape, buffer[:size:size])
	if until := max(p.last[n], n.at, at); p.last[n] != forever {
		p.lent[until] = append(p.lent[until], buffer)
	}
}
