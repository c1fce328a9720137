package decoder

import (
	"fmt"
)

// Training computes one microbatch at a time through ops that an automatic
// differentiation joins:
//
//	x0 = EmbedOp(E)                    (full training; otherwise Training.Embed fills x0)
//	xi = BlockOp(x(i-1), trainables…)  for every layer
//	loss = LossOp(x, trainables…)
//
// Activations are [tokens, Hidden] with tokens fixed when the Training is made;
// a batch may hold fewer, and the rows beyond it are zero in every output and
// gradient. Each op takes x first, then its trainable tensors in the order of
// its Inputs. Frozen weights live inside the ops. The ops of one Training share
// buffers and must run one at a time.
type Training struct {
	m      *Model
	tokens int
	batch  *Batch
	count  float64
	s      *scratch
	hs     headScratch
	work   lowWork
	nll    []float64
	sum    float64
	low    [numProj]low // of the blocks' adapted linears, one block at a time
}

// NewTraining prepares ops for microbatches of at most tokens tokens.
func NewTraining(m *Model, tokens, threads int) *Training {
	return &Training{m: m, tokens: tokens, s: newScratch(m.Config, threads)}
}

// SetBatch chooses what the next pass computes. count is what the summed loss is
// divided by: the supervised tokens of the whole update.
func (t *Training) SetBatch(b *Batch, count int) error {
	if len(b.IDs) > t.tokens {
		return fmt.Errorf("batch of %d tokens in a training of %d", len(b.IDs), t.tokens)
	}
	if count < 1 {
		return fmt.Errorf("an update without supervised tokens")
	}
	t.batch, t.count = b, float64(count)
	t.s.rope.grow(b.longest())
	return nil
}

// Embed writes the frozen embeddings of the batch to x [tokens, Hidden].
func (t *Training) Embed(x []float32) {
	t.m.Embed(t.batch.IDs, x)
	clear(x[len(t.batch.IDs)*t.m.Hidden:])
}

// Loss returns the sum of the negative log-likelihoods of the last LossOp, in
// nats, not yet divided by the count.
func (t *Training) Loss() float64 { return t.sum }

// shape checks that the first input is [tokens, Hidden].
func (t *Training) shape(kind string, in [][]int, inputs []Tensor) error {
	if len(in) != 1+len(inputs) {
		return fmt.Errorf("%s takes %d inputs, not %d", kind, 1+len(inputs), len(in))
	}
	if fmt.Sprint(in[0]) != fmt.Sprint([]int{t.tokens, t.m.Hidden}) {
		return fmt.Errorf("%s: x has shape %v, want [%d %d]", kind, in[0], t.tokens, t.m.Hidden)
	}
	return checkShapes(kind, in[1:], inputs)
}

func checkShapes(kind string, in [][]int, inputs []Tensor) error {
	for i, want := range inputs {
		if fmt.Sprint(in[i]) != fmt.Sprint(want.Shape) {
			return fmt.Errorf("%s: %s has shape %v, want %v", kind, want.Name, in[i], want.Shape)
		}
	}
	return nil
}

// BlockOp is one transformer block. Its inputs after x are, for LoRA, A and B of
// every adapted linear in the order q, k, v, o, gate, up, down; for full
// training, the two norms and then the seven linears in that order.
//
// Backward recomputes the forward pass from x, so that only the inputs of the
// blocks stay in memory.
type BlockOp struct {
	t      *Training
	layer  int
	full   bool
	adapt  [numProj]Adapt
	inputs []Tensor
	block  *block
}

// NewBlockOp returns the op of a layer in which the linears that adapt holds,
// by name such as "q_proj", are trained with LoRA and everything else is frozen.
func (t *Training) NewBlockOp(layer int, adapt func(module string) (Adapt, bool)) *BlockOp {
	op := &BlockOp{t: t, layer: layer, block: t.m.block(layer)}
	for p := range numProj {
		path := t.m.modulePath(layer, p)
		if a, ok := adapt(path); ok {
			op.adapt[p] = a
			op.inputs = append(op.inputs, op.block.lin[p].adapt(path, a, &t.low[p], &t.work)...)
		}
	}
	return op
}

// NewFullBlockOp returns the op of a layer whose every weight is trained.
func (t *Training) NewFullBlockOp(layer int) *BlockOp {
	return &BlockOp{
		t: t, layer: layer, full: true, block: t.m.block(layer),
		inputs: t.m.blockTensors(layer),
	}
}

// Inputs are the trainable tensors, in order.
func (op *BlockOp) Inputs() []Tensor { return op.inputs }

// Key identifies the op within its training.
func (op *BlockOp) Key() string {
	return fmt.Sprintf("block/%d/full=%t/%v", op.layer, op.full, op.adapt)
}

// OutShape is the shape of x.
func (op *BlockOp) OutShape(in [][]int) ([]int, error) {
	if err := op.t.shape(op.Key(), in, op.inputs); err != nil {
		return nil, err
	}
	return in[0], nil
}

// bind puts the trainable tensors, and where their gradients go, into the block.
// A nil grads wants none.
func (op *BlockOp) bind(in, grads [][]float32) blockGrads {
	grad := func(i int) []float32 {
		if i < len(grads) {
			return grads[i]
		}
		return nil
	}
	g := blockGrads{x: grad(0)}
	at := 1
	if op.full {
		op.block.norms[NormAttn].w, op.block.norms[NormMLP].w = in[1], in[2]
		g.norm1, g.norm2 = grad(1), grad(2)
		at = 3
	}
	for p := range numProj {
		l := &op.block.lin[p]
		switch {
		case op.full:
			l.base, l.dw = raw{l.out, l.in, in[at]}, grad(at)
			at++
		case op.adapt[p].Rank > 0:
			at += l.bind(in[at:], grads[min(at, len(grads)):])
		}
	}
	return g
}

// Forward computes the block's output.
func (op *BlockOp) Forward(out []float32, in [][]float32) error {
	b := op.t.batch
	n := len(b.IDs)
	op.bind(in, nil)
	op.block.forward(op.t.s, n, b.Positions, b.Spans, nil, in[0], out)
	clear(out[n*op.t.m.Hidden:])
	return nil
}

// Backward writes the wanted gradients.
func (op *BlockOp) Backward(grads, in [][]float32, _, gradOut []float32) error {
	g := op.bind(in, grads)
	n := len(op.t.batch.IDs) * op.t.m.Hidden
	if g.x != nil {
		clear(g.x[n:])
		g.x = g.x[:n]
	}
	op.block.backward(op.t.s, op.t.batch, in[0], gradOut, g)
	return nil
}

// EmbedOp looks the batch's tokens up in a trained embedding matrix, its only
// input.
type EmbedOp struct{ t *Training }

// NewEmbedOp returns the embedding op of full training.
func (t *Training) NewEmbedOp() *EmbedOp { return &EmbedOp{t} }

// Inputs is the embedding matrix [VocabSize, Hidden]; this op has no x.
func (op *EmbedOp) Inputs() []Tensor {
	return []Tensor{{op.t.m.names().embed, []int{op.t.m.VocabSize, op.t.m.Hidden}}}
}

// Key identifies the op within its training.
func (op *EmbedOp) Key() string { return "embed" }

// OutShape is [tokens, Hidden].
func (op *EmbedOp) OutShape(in [][]int) ([]int, error) {
	if len(in) != 1 {
		return nil, fmt.Errorf("embed takes 1 input, not %d", len(in))
	}
	return []int{op.t.tokens, op.t.m.Hidden}, checkShapes("embed", in, op.Inputs())
}

// Forward copies a row for every token.
func (op *EmbedOp) Forward(out []float32, in [][]float32) error {
	ids, h := op.t.batch.IDs, op.t.m.Hidden
	for t, id := range ids {
		copy(out[t*h:(t+1)*h], in[0][int(id)*h:])
	}
	clear(out[len(ids)*h:])
	return nil
}

// Backward adds the gradient of every token to its row, in the order of tokens.
func (op *EmbedOp) Backward(grads, _ [][]float32, _, gradOut []float32) error {
	if grads[0] == nil {
		return nil
	}
	h := op.t.m.Hidden
	clear(grads[0])
	for t, id := range op.t.batch.IDs {
		row := grads[0][int(id)*h:][:h]
		for i, g := range gradOut[t*h : (t+1)*h] {
			row[i] += g
		}
	}
	return nil
}

// LossOp is the final norm, the output head and the cross-entropy over the
// supervised rows, divided by the count of SetBatch. Its inputs after x are, in
// full training, the norm and the head's matrix (the embedding matrix when
// tied); its output is a scalar. The gradients are computed in the forward pass,
// chunk by chunk, so that logits never exist for all rows at once.
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
func (op *LossOp) Key() string { return fmt.Sprintf("loss/full=%t", op.full) }

// OutShape is that of a scalar.
func (op *LossOp) OutShape(in [][]int) ([]int, error) {
	return []int{}, op.t.shape(op.Key(), in, op.inputs)
}

// Forward computes the loss and keeps the gradients for Backward.
func (op *LossOp) Forward(out []float32, in [][]float32) error {
	t, c := op.t, op.t.m.Config
	op.g.x = sized(op.g.x, t.tokens*c.Hidden)
	if op.full {
		op.head.norm.w = in[1]
		op.head.lin = raw{c.VocabSize, c.Hidden, in[2]}
		op.g.norm = sized(op.g.norm, c.Hidden)
		op.g.w = sized(op.g.w, c.VocabSize*c.Hidden)
	}
	if cap(t.nll) < len(t.batch.Rows) {
		t.nll = make([]float64, len(t.batch.Rows))
	}
	t.nll = t.nll[:len(t.batch.Rows)]
	op.head.loss(t.s.threads, &t.hs, t.batch, in[0], t.count, t.nll, op.g)
	t.sum = 0
	for _, v := range t.nll {
		t.sum += v
	}
	out[0] = float32(t.sum / t.count)
	return nil
}

// Backward scales what Forward kept by the gradient of the loss.
func (op *LossOp) Backward(grads, _ [][]float32, _, gradOut []float32) error {
	kept := [][]float32{op.g.x, op.g.norm, op.g.w}
	for i, g := range grads {
		for j := range g {
			g[j] = kept[i][j] * gradOut[0]
		}
	}
	return nil
}
