// Package autograd carries fused operations through gorgonia: it builds the
// expression graph, lets gorgonia differentiate it and runs the tape machine.
//
// Rules that hold here, and nowhere does a caller have to know them:
//
//   - No gorgonia primitive computes a number. Every node is one of ours: an
//     [Op], its packed backward pass, a view of one gradient ("pick"), an alias
//     of a value for one of its several users ("mirror"), or a sum of gradients
//     in the order in which the users were applied.
//   - gorgonia adds up the gradients of a value with several users by its own
//     primitive. It never gets to: each user of such a value reads a mirror of
//     its own, differentiation stops at mirrors, and the graph between two
//     mirrored values is differentiated as a tree.
//   - Every buffer is planned once ([plan]) and owned by the program, so that a
//     run allocates a few words a node however large the tensors are.
//   - gorgonia recognises equal nodes by a 32-bit hash. Every node here has a
//     name of its own; the hashes are checked, and salted anew if two collide.
//   - Ops run in a goroutine of the tape machine, where a panic could not be
//     caught by the caller: every one of them is guarded.
//
// This is the only package that imports gorgonia.
package autograd

import (
	"errors"
	"fmt"
	"slices"

	// gorgonia panics at start on a Go release that this module does not vouch for.
	_ "go4.org/unsafe/assume-no-moving-gc"
)

// An Op is a fused differentiable function of float32 tensors, row-major.
//
// Forward and Backward are called from one goroutine at a time, always in this
// order within a run, and may keep state of their own in between. They write
// every element of what they are given to write and keep no reference to it.
type Op interface {
	// Key names the op and all its attributes, for messages.
	Key() string
	// OutShape returns the shape of the output, or why these inputs do not fit.
	// A scalar's shape, [], is taken for [1].
	OutShape(in [][]int) ([]int, error)
	// Forward overwrites out.
	Forward(out []float32, in [][]float32) error
	// Backward overwrites grads[i] with the gradient of the loss with respect to
	// in[i], given that with respect to out. A nil grads[i] is not wanted.
	Backward(grads [][]float32, in [][]float32, out, gradOut []float32) error
}

// A Value is a tensor in a graph under construction: an input or the output of an op.
type Value struct {
	b     *Builder
	id    int
	name  string
	shape []int
	op    Op       // nil for an input
	in    []*Value // the op's inputs
	data  []float32
	keep  bool
}

// Shape returns the value's shape; the caller must not change it.
func (v *Value) Shape() []int { return v.shape }

// A Builder collects inputs and applications of ops, in order.
// Its first mistake is remembered and returned by [Builder.Compile].
type Builder struct {
	values []*Value
	err    error
}

// New returns an empty builder.
func New() *Builder { return &Builder{} }

// Input adds a tensor whose elements the caller owns: each run reads what data
// holds then. The name is for messages.
func (b *Builder) Input(name string, shape []int, data []float32) *Value {
	n, err := size(shape)
	if err == nil && n != len(data) {
		err = fmt.Errorf("%d elements given for shape %v", len(data), shape)
	}
	if err != nil {
		b.fail(fmt.Errorf("input %s: %w", name, err))
	}
	return b.add(&Value{name: name, shape: slices.Clone(shape), data: data})
}

// Apply adds the application of op to in. An op instance that keeps state
// between Forward and Backward must be applied once only.
func (b *Builder) Apply(op Op, in ...*Value) *Value {
	v := &Value{name: op.Key(), op: op, in: slices.Clone(in)}
	if len(in) == 0 {
		b.fail(fmt.Errorf("op %s: no inputs", v.name))
	}
	shapes := make([][]int, len(in))
	for i, x := range in {
		if x.b != b {
			b.fail(fmt.Errorf("op %s: input %d belongs to another builder", v.name, i))
			return b.add(v)
		}
		shapes[i] = x.shape
	}
	if b.err != nil {
		return b.add(v)
	}
	out, err := op.OutShape(shapes)
	if err == nil && len(out) == 0 {
		out = []int{1}
	}
	if err == nil {
		_, err = size(out)
	}
	if err != nil {
		b.fail(fmt.Errorf("op %s: %w", v.name, err))
	}
	v.shape = slices.Clone(out)
	return b.add(v)
}

// Keep makes v's elements readable after a run through [Program.Value].
// Inputs and the loss always are.
func (b *Builder) Keep(v *Value) { v.keep = true }

func (b *Builder) add(v *Value) *Value {
	v.b, v.id = b, len(b.values)
	b.values = append(b.values, v)
	return v
}

func (b *Builder) fail(err error) {
	if b.err == nil {
		b.err = err
	}
}

// maxElements bounds a tensor so that no product of dimensions overflows.
const maxElements = 1 << 40

// size returns the number of elements of a tensor of one or more dimensions.
func size(shape []int) (int, error) {
	if len(shape) == 0 {
		return 0, errors.New("no shape; a scalar's is [1]")
	}
	n := 1
	for _, d := range shape {
		if d <= 0 || d > maxElements/n {
			return 0, fmt.Errorf("bad shape %v", shape)
		}
		n *= d
	}
	return n, nil
}
