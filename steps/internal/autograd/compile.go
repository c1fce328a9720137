package autograd

import (
	"errors"
	"fmt"

	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// compiler turns a builder's values into one gorgonia graph.
type compiler struct {
	b      *Builder
	salt   int // part of every name; changed when two hashes collide
	g      *G.ExprGraph
	needs  []bool      // by value: it leads from something differentiated by
	live   []bool      // by value: the loss or something kept depends on it
	users  []int       // by value: how many uses want a gradient of it
	nodes  []*G.Node   // by value
	copies [][]*G.Node // by value: its mirrors, in order of use
	grads  map[*G.Node]*G.Node
}

var errHashCollision = errors.New("two nodes have one hash")

// compile builds the graph of loss and its gradients by wrt.
// It returns errHashCollision when another salt should be tried.
func (c *compiler) compile(loss *Value, wrt []*Value) (grads []*G.Node, err error) {
	c.analyse(loss, wrt)
	for _, w := range wrt {
		if w.op != nil {
			return nil, fmt.Errorf("value %s is not an input and cannot be differentiated by", w.name)
		}
		if c.users[w.id] == 0 {
			return nil, fmt.Errorf("input %s does not reach the loss", w.name)
		}
	}
	if err := c.build(); err != nil {
		return nil, err
	}
	if len(wrt) > 0 {
		seed, err := c.input("seed", loss.shape, []float32{1})
		if err != nil {
			return nil, err
		}
		if err := c.differentiate(loss, seed); err != nil {
			return nil, err
		}
	}
	for _, w := range wrt {
		grads = append(grads, c.grads[c.nodes[w.id]])
	}
	return grads, c.checkHashes()
}

// analyse finds what is live, what needs a gradient and who is used how often.
func (c *compiler) analyse(loss *Value, wrt []*Value) {
	n := len(c.b.values)
	c.needs, c.live, c.users = make([]bool, n), make([]bool, n), make([]int, n)
	c.nodes, c.copies, c.grads = make([]*G.Node, n), make([][]*G.Node, n), map[*G.Node]*G.Node{}
	for _, w := range wrt {
		c.needs[w.id] = true
	}
	for _, v := range c.b.values {
		for _, x := range v.in {
			c.needs[v.id] = c.needs[v.id] || c.needs[x.id]
		}
	}
	leads := make([]bool, n) // it leads to the loss
	leads[loss.id], c.live[loss.id] = true, true
	for i := n - 1; i >= 0; i-- {
		v := c.b.values[i]
		c.live[i] = c.live[i] || v.keep
		for _, x := range v.in {
			c.live[x.id] = c.live[x.id] || c.live[i]
			leads[x.id] = leads[x.id] || leads[i]
			if leads[i] && c.needs[x.id] {
				c.users[x.id]++
			}
		}
	}
	for i := range c.needs { // a kept value beside the loss is computed, not differentiated
		c.needs[i] = c.needs[i] && leads[i]
	}
}

// build makes the nodes of the forward pass.
func (c *compiler) build() error {
	c.g = G.NewGraph()
	for _, v := range c.b.values {
		if !c.live[v.id] {
			continue
		}
		if v.op == nil {
			n, err := c.input(fmt.Sprintf("%d.%s", v.id, v.name), v.shape, v.data)
			if err != nil {
				return err
			}
			c.nodes[v.id] = n
			continue
		}
		o := &forward{op: v.op, wants: make([]bool, len(v.in))}
		children := make([]*G.Node, len(v.in))
		for i, x := range v.in {
			children[i] = c.nodes[x.id]
			if !c.needs[x.id] || !c.needs[v.id] {
				continue
			}
			o.wants[i] = true
			if c.users[x.id] < 2 {
				continue
			}
			m, err := c.mirror(x)
			if err != nil {
				return err
			}
			children[i] = m
		}
		o.node = newNode(c.name(fmt.Sprintf("%d.%s", v.id, v.name)), v.shape, children)
		n, err := apply(o)
		if err != nil {
			return fmt.Errorf("op %s: %w", v.name, err)
		}
		c.nodes[v.id] = n
	}
	return nil
}

func (c *compiler) name(s string) string { return fmt.Sprintf("%d/%s", c.salt, s) }

func (c *compiler) input(name string, shape []int, data []float32) (*G.Node, error) {
	d := dense(shape, data)
	n := G.NewTensor(c.g, tensor.Float32, len(shape), G.WithShape(shape...), G.WithName(c.name(name)), G.WithValue(d))
	if n.Value() != G.Value(d) {
		return nil, errHashCollision
	}
	return n, nil
}

// mirror returns a new mirror of x.
func (c *compiler) mirror(x *Value) (*G.Node, error) {
	of := c.nodes[x.id]
	name := c.name(fmt.Sprintf("%d.mirror%d", x.id, len(c.copies[x.id])))
	n, err := apply(&mirror{newNode(name, x.shape, []*G.Node{of})})
	c.copies[x.id] = append(c.copies[x.id], n)
	return n, err
}

// differentiate makes the nodes of the backward pass. The loss and every
// mirrored value is the root of a tree whose leaves are mirrors and inputs;
// gorgonia differentiates one tree after the other, from the last value made to
// the first, so that the gradients of all mirrors of a root exist when its turn
// comes.
func (c *compiler) differentiate(loss *Value, seed *G.Node) error {
	if err := c.tree(loss, seed); err != nil {
		return err
	}
	for i := len(c.b.values) - 1; i >= 0; i-- {
		v := c.b.values[i]
		if len(c.copies[i]) == 0 {
			continue
		}
		var parts []*G.Node
		for _, m := range c.copies[i] {
			parts = append(parts, c.grads[m])
		}
		total, err := apply(&sum{newNode(c.name(fmt.Sprintf("%d.sum", i)), v.shape, parts)})
		if err != nil {
			return err
		}
		if v.op == nil {
			c.grads[c.nodes[i]] = total
		} else if err := c.tree(v, total); err != nil {
			return err
		}
	}
	return nil
}

// tree differentiates root, whose gradient is grad, by the leaves of its tree.
func (c *compiler) tree(root *Value, grad *G.Node) error {
	n := c.nodes[root.id]
	var leaves G.Nodes
	c.leaves(n, &leaves)
	grads, err := G.Backpropagate(G.Nodes{n}, G.Nodes{grad}, leaves)
	if err != nil {
		return fmt.Errorf("differentiating by the inputs of %s: %w", root.name, err)
	}
	for i, l := range leaves {
		c.grads[l] = grads[i]
	}
	return nil
}

// leaves appends the differentiable inputs and mirrors below n, in order of use.
func (c *compiler) leaves(n *G.Node, to *G.Nodes) {
	o, ok := n.Op().(*forward)
	if !ok {
		*to = append(*to, n)
		return
	}
	for i, child := range o.from {
		if o.wants[i] {
			c.leaves(child, to)
		}
	}
}

// checkHashes makes sure that gorgonia cannot take one node for another.
func (c *compiler) checkHashes() error {
	seen := map[uint32]bool{}
	for _, n := range c.g.AllNodes() {
		if seen[n.Hashcode()] {
			return errHashCollision
		}
		seen[n.Hashcode()] = true
	}
	return nil
}
