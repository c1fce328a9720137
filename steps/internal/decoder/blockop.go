package decoder

import "fmt"

// BlockOp is one transformer block. Its inputs after x are, for LoRA, A and B of
// every adapted linear in the order q, k, v, o, gate, up, down; for full
// training, all weights of the block in the order of Config.Tensors.
//
// Unless its layer keeps them (Training.Keep), Backward first computes the
// values of the forward pass again from x, so that only the inputs of the blocks
// stay in memory. The last layer, whose forward pass ran just before, need not.
type BlockOp struct {
	t      *Training
	layer  int
	full   bool
	adapt  [numProj]Adapt
	inputs []Tensor
	block  *block
	v      *blockValues
}

// newBlockOp returns the op of a layer without trained tensors.
func (t *Training) newBlockOp(layer int) *BlockOp {
	op := &BlockOp{t: t, layer: layer, block: t.m.block(layer), v: &t.shared}
	if last := t.m.Layers - 1; layer < last && layer >= last-t.keep {
		op.v = new(blockValues)
	}
	op.v.size(t.m.Config, t.tokens)
	return op
}

// NewBlockOp returns the op of a layer in which the linears that adapt holds,
// by path such as "model.layers.0.self_attn.q_proj", are trained with LoRA and
// everything else is frozen.
func (t *Training) NewBlockOp(layer int, adapt func(module string) (Adapt, bool)) *BlockOp {
	op := t.newBlockOp(layer)
	for p := range numProj {
		if !t.m.hasProj(p) {
			continue
		}
		path := t.m.modulePath(layer, p)
		if a, ok := adapt(path); ok {
			op.adapt[p] = a
			op.inputs = append(op.inputs, op.block.lin[p].adapt(path, a, &op.v.low[p], &t.work)...)
		}
	}
	return op
}

// NewFullBlockOp returns the op of a layer whose every weight is trained.
func (t *Training) NewFullBlockOp(layer int) *BlockOp {
	op := t.newBlockOp(layer)
	op.full, op.inputs = true, t.m.blockTensors(layer)
	return op
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

// tensorList hands out tensors, or places for their gradients, one after another;
// at its end it hands out nil.
type tensorList [][]float32

func (l *tensorList) next() (x []float32) {
	if len(*l) > 0 {
		x, *l = (*l)[0], (*l)[1:]
	}
	return x
}

// affine takes a norm's weights.
func (l *tensorList) affine(c Config) (a affine) {
	a.w = l.next()
	if c.Norm == LayerNorm {
		a.b = l.next()
	}
	return a
}

// bind puts the trainable tensors, and where their gradients go, into the block.
// A nil grads wants none.
func (op *BlockOp) bind(in, grads [][]float32) (g blockGrads) {
	params, places := tensorList(in), tensorList(grads)
	params.next()
	g.x = places.next()
	if op.full {
		op.bindAll(params, places, &g)
		return g
	}
	for p := range numProj {
		if op.adapt[p].Rank > 0 {
			n := op.block.lin[p].bind(params, places)
			params, places = params[n:], places[min(n, len(places)):]
		}
	}
	return g
}

// bindAll is bind for a layer whose every weight is trained.
func (op *BlockOp) bindAll(params, places tensorList, g *blockGrads) {
	c, b := op.t.m.Config, op.block
	for slot := range numNorms {
		if c.Norms[slot] {
			b.norms[slot], g.norms[slot] = params.affine(c), places.affine(c)
		}
	}
	for p := range numProj {
		if !c.hasProj(p) {
			continue
		}
		l := &b.lin[p]
		l.base, l.dw = l.num.linear(raw{l.out, l.in, params.next()}), places.next()
		if c.Bias[p] {
			l.bias, l.dbias = params.next(), places.next()
		}
	}
}

// Forward computes the block's output.
func (op *BlockOp) Forward(out []float32, in [][]float32) error {
	t := op.t
	op.bind(in, nil)
	op.block.forward(t.s, &op.v.values, t.batch.input(), nil, in[0], out)
	clear(out[len(t.batch.IDs)*t.m.Hidden:])
	t.latest = op
	return nil
}

// Backward writes the wanted gradients.
func (op *BlockOp) Backward(grads, in [][]float32, _, gradOut []float32) error {
	t := op.t
	g := op.bind(in, grads)
	if g.x != nil {
		clear(g.x[len(t.batch.IDs)*t.m.Hidden:])
	}
	v, inp := &op.v.values, t.batch.input()
	switch {
	case t.latest == op: // s.act is its own still
	case op.v == &t.shared:
		op.block.forward(t.s, v, inp, nil, in[0], nil)
	default:
		t.s.forwardSize(inp.n)
		t.m.activate(t.s.threads, v.ups, t.s.act)
	}
	t.latest = nil
	op.block.backward(t.s, v, inp, in[0], gradOut, g)
	return nil
}
