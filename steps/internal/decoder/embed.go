package decoder

import (
	"fmt"

	"github.com/pipe-run/pipe/steps/internal/kernel"
	"github.com/pipe-run/pipe/steps/internal/tensor"
)

// embedAt writes what enters the first block to x [len(ids), Hidden]: the
// embeddings of ids, scaled, and those of their positions where they are learned.
func (m *Model) embedAt(ids, positions []int32, x []float32) {
	h := m.Hidden
	m.Embed(ids, x)
	x = x[:len(ids)*h]
	if m.EmbedScale != 0 {
		kernel.Scale(x, float32(m.EmbedScale))
	}
	if !m.LearnedPositions {
		return
	}
	for t, p := range positions[:len(ids)] {
		kernel.Add(x[t*h:][:h], m.positions[int(p)*h:])
	}
}

// EmbedOp looks the batch's tokens up in a trained embedding matrix, its first
// input. With learned positions those are trained too, its second, in full
// training.
type EmbedOp struct {
	t      *Training
	inputs []Tensor
}

// NewEmbedOp returns the embedding op of full training.
func (t *Training) NewEmbedOp() *EmbedOp {
	c := t.m.Config
	inputs := []Tensor{{c.names().embed, []int{c.VocabSize, c.Hidden}}}
	if c.LearnedPositions {
		inputs = append(inputs, Tensor{c.names().positions, []int{c.MaxPositions, c.Hidden}})
	}
	return &EmbedOp{t, inputs}
}

// Inputs are the trained matrices; this op has no x.
func (op *EmbedOp) Inputs() []Tensor { return op.inputs }

// Key identifies the op within its training.
func (op *EmbedOp) Key() string { return "embed" }

// OutShape is [tokens, Hidden].
func (op *EmbedOp) OutShape(in [][]int) ([]int, error) {
	if len(in) != len(op.inputs) {
		return nil, fmt.Errorf("embed takes %d inputs, not %d", len(op.inputs), len(in))
	}
	return []int{op.t.tokens, op.t.m.Hidden}, checkShapes("embed", in, op.inputs)
}

// Forward copies a row for every token.
func (op *EmbedOp) Forward(out []float32, in [][]float32) error {
	b, h := op.t.batch, op.t.m.Hidden
	for t, id := range b.IDs {
		row := out[t*h:][:h]
		copy(row, in[0][int(id)*h:])
		if s := op.t.m.EmbedScale; s != 0 {
			kernel.Scale(row, float32(s))
		}
		switch {
		case len(in) > 1:
			kernel.Add(row, in[1][int(b.Positions[t])*h:])
		case op.t.m.LearnedPositions:
			kernel.Add(row, op.t.m.positions[int(b.Positions[t])*h:])
		}
	}
	clear(out[len(b.IDs)*h:])
	return nil
}

// embedStrip is how many columns of the gradient one unit of work covers.
const embedStrip = 64

// Backward adds the gradient of every token to its rows, in the order of tokens.
func (op *EmbedOp) Backward(grads, _ [][]float32, _, gradOut []float32) error {
	b, c := op.t.batch, op.t.m.Config
	scale := float32(1)
	if c.EmbedScale != 0 {
		scale = float32(c.EmbedScale)
	}
	op.addRows(grads[0], gradOut, b.IDs, scale)
	if len(grads) > 1 {
		op.addRows(grads[1], gradOut, b.Positions, 1)
	}
	return nil
}

// addRows computes grad, unless nil, from the rows of gradOut: row t times scale
// goes to row at[t].
func (op *EmbedOp) addRows(grad, gradOut []float32, at []int32, scale float32) {
	if grad == nil {
		return
	}
	h := op.t.m.Hidden
	clear(grad)
	tensor.Parallel(op.t.s.threads, (h+embedStrip-1)/embedStrip, func(i int) {
		lo, hi := i*embedStrip, min(h, (i+1)*embedStrip)
		for t, r := range at {
			kernel.AddScaled(grad[int(r)*h:][lo:hi], gradOut[t*h:][lo:hi], scale)
		}
	})
}
