package autograd

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"hash/fnv"

	"github.com/chewxy/hm"
	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// node is what all our gorgonia ops share. Its name is unique within a graph.
type node struct {
	name  string
	arity int
	typ   hm.Type
	shape tensor.Shape
	from  []*G.Node     // children
	out   *tensor.Dense // the output, bound by the plan
	at    int           // position among the nodes that execute, set by the plan
	run   *runState
}

// runState is what the nodes of one program share while it runs.
type runState struct {
	ctx  context.Context
	next int   // position of the node that must execute next
	err  error // the first error, before gorgonia wraps it
}

func (n *node) Arity() int                                     { return n.arity }
func (n *node) Type() hm.Type                                  { return n.typ }
func (n *node) InferShape(...G.DimSizer) (tensor.Shape, error) { return n.shape.Clone(), nil }
func (n *node) ReturnsPtr() bool                               { return false }
func (n *node) CallsExtern() bool                              { return false }
func (n *node) OverwritesInput() int                           { return -1 }
func (n *node) String() string                                 { return n.name }
func (n *node) DiffWRT(inputs int) []bool                      { return make([]bool, inputs) }
func (n *node) SymDiff(G.Nodes, *G.Node, *G.Node) (G.Nodes, error) {
	return make(G.Nodes, n.arity), nil
}
func (n *node) base() *node { return n }

// WriteHash makes the name the node's identity.
func (n *node) WriteHash(h hash.Hash) {
	var size [4]byte
	binary.LittleEndian.PutUint32(size[:], uint32(len(n.name)))
	h.Write(size[:])
	h.Write([]byte(n.name))
}

func (n *node) Hashcode() uint32 {
	h := fnv.New32a()
	n.WriteHash(h)
	return h.Sum32()
}

// graphOp is any of our nodes.
type graphOp interface {
	G.Op
	base() *node
}

// tensorType is the type of a float32 tensor of d dimensions.
func tensorType(d int) hm.Type { return G.TensorType{Dims: d, Of: tensor.Float32} }

// apply adds op to the graph of its children.
func apply(op graphOp) (*G.Node, error) {
	n, err := G.ApplyOp(op, op.base().from...)
	if err == nil && n.Op() != G.Op(op) {
		return nil, errHashCollision
	}
	return n, err
}

// newNode describes a node over the given children.
func newNode(name string, shape []int, children []*G.Node) node {
	types := make([]hm.Type, 0, len(children)+1)
	for _, c := range children {
		types = append(types, tensorType(c.Dims()))
	}
	types = append(types, tensorType(len(shape)))
	return node{name: name, arity: len(children), typ: hm.NewFnType(types...), shape: tensor.Shape(shape).Clone(), from: children}
}

// dense wraps data, shared, as a tensor.
func dense(shape []int, data []float32) *tensor.Dense {
	return tensor.New(tensor.WithShape(shape...), tensor.WithBacking(data))
}

// elements returns the elements of a value that one of our nodes made.
func elements(v G.Value) ([]float32, error) {
	if v != nil {
		if d, ok := v.Data().([]float32); ok {
			return d, nil
		}
	}
	return nil, errors.New("a value is not a float32 tensor")
}

func elementsOf(values []G.Value) ([][]float32, error) {
	out := make([][]float32, len(values))
	for i, v := range values {
		d, err := elements(v)
		if err != nil {
			return nil, err
		}
		out[i] = d
	}
	return out, nil
}

// guard runs f, adds the node's name to its error and turns a panic into one.
// It first makes sure that the run is wanted still and that nodes execute in
// the order for which buffers were planned.
func (n *node) guard(f func() error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("op %s: panic: %v", n.name, r)
		}
		if n.run.err == nil {
			n.run.err = err
		}
	}()
	if err := n.run.ctx.Err(); err != nil {
		return err
	}
	if n.at != n.run.next {
		return fmt.Errorf("op %s: executed at position %d of the tape, planned at %d", n.name, n.run.next, n.at)
	}
	n.run.next++
	if err := f(); err != nil {
		return fmt.Errorf("op %s: %w", n.name, err)
	}
	return nil
}
