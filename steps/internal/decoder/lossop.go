package decoder

import (
	"fmt"

	"github.com/pipe-run/pipe/steps/internal/kernel"
)

// LossOp is the final norm, the output head and the cross-entropy over the
// supervised rows, each times its weight, divided by the count of SetBatch. Its inputs after x are, in
// full training, the norm and the head's matrix (the embedding matrix when
// tied), and beside adapters what is trained of the head; its output is a scalar.
// The gradients are computed in the forward pass,
// chunk by chunk, so that logits never exist for all rows at once. An Objective
// has to see all likelihoods first: logits are then computed twice.
type LossOp struct {
	t      *Training
	full   bool
	inputs []Tensor
	head   *head
	g      headGrads
}

// NewLossOp returns the loss op over frozen weights.
func (t *Training) NewLossOp() *LossOp { return &LossOp{t: t, head: t.m.finalHead()} }

// NewFullLossOp returns the loss op whose norm and head are trained.
func (t *Training) NewFullLossOp() *LossOp {
	c := t.m.Config
	name := c.names().head
	if c.Tied {
		name = c.names().embed
	}
	return &LossOp{t: t, full: true, head: t.m.finalHead(), inputs: append(
		c.normTensors(c.names().norm, c.Hidden), Tensor{name, []int{c.VocabSize, c.Hidden}})}
}

// Inputs are the trainable tensors, in order.
func (op *LossOp) Inputs() []Tensor { return op.inputs }

// Key identifies the op within its training.
func (op *LossOp) Key() string { return fmt.Sprintf("loss/full=%t/%v", op.full, op.inputs) }

// OutShape is that of a scalar.
func (op *LossOp) OutShape(in [][]int) ([]int, error) {
	return []int{}, op.t.shape(op.Key(), in, op.inputs)
}

// Forward computes the loss and keeps the gradients for Backward.
func (op *LossOp) Forward(out []float32, in [][]float32) error {
	t, c := op.t, op.t.m.Config
	op.g.x = t.s.dy[:t.tokens*c.Hidden] // of the blocks, none of which runs before Backward
	op.bind(in[1:])
	if cap(t.nll) < len(t.batch.Rows) {
		t.nll = make([]float64, len(t.batch.Rows))
	}
	t.nll = t.nll[:len(t.batch.Rows)]
	if t.objective == nil {
		op.head.loss(t.s.threads, &t.hs, t.batch, in[0], t.count, t.batch.Weights, t.nll, op.g)
		t.sum = 0
		for i, v := range t.nll {
			t.sum += float64(t.batch.Weight(i) * v)
		}
	} else {
		op.head.loss(t.s.threads, &t.hs, t.batch, in[0], t.count, nil, t.nll, headGrads{})
		if cap(t.weights) < len(t.nll) {
			t.weights = make([]float64, cap(t.nll))
		}
		t.weights = t.weights[:len(t.nll)]
		clear(t.weights) // an objective need not write to every row
		t.sum = t.objective.Loss(t.batch, t.nll, t.weights)
		op.head.loss(t.s.threads, &t.hs, t.batch, in[0], t.count, t.weights, t.nll, op.g)
	}
	out[0] = float32(t.sum / t.count)
	return nil
}

// bind puts the trainable tensors into the head and makes room for their
// gradients.
func (op *LossOp) bind(params tensorList) {
	c := op.t.m.Config
	if op.full {
		op.head.norm = params.affine(c)
		op.g.norm.w = sized(op.g.norm.w, c.Hidden)
		if c.Norm == LayerNorm {
			op.g.norm.b = sized(op.g.norm.b, c.Hidden)
		}
	}
	if len(params) == 0 {
		return
	}
	if h, ok := op.head.lin.(*tokenHead); ok {
		h.rows = params.next()
		op.g.rows = sized(op.g.rows, len(h.rows))
		return
	}
	op.head.lin = op.head.num.linear(raw{c.VocabSize, c.Hidden, params.next()})
	op.g.w = sized(op.g.w, c.VocabSize*c.Hidden)
}

// Backward scales what Forward kept by the gradient of the loss.
func (op *LossOp) Backward(grads, _ [][]float32, _, gradOut []float32) error {
	kept := [][]float32{op.g.x}
	for _, g := range [][]float32{op.g.norm.w, op.g.norm.b, op.g.w, op.g.rows} {
		if g != nil {
			kept = append(kept, g)
		}
	}
	for i, g := range grads {
		eachChunk(op.t.s.threads, len(g), func(lo, hi int) {
			copy(g[lo:hi], kept[i][lo:hi])
			if gradOut[0] != 1 {
				kernel.Scale(g[lo:hi], gradOut[0])
			}
		})
	}
	return nil
}
