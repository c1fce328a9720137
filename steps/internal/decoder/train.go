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
	keep   int // how many layers keep their values
	s      *scratch
	shared blockValues // of the layers that do not
	latest *BlockOp    // whose forward pass is the last one that ran
	work   lowWork     // of the adapted linears
	hs     headScratch
	nll    []float64
	sum    float64

	weights   []float64 // that the objective gives to nll
	objective Objective // nil: the likelihood of the supervised tokens
}

// blockValues is what one block keeps between its passes.
type blockValues struct {
	values
	low [numProj]low // of adapted linears
}

// NewTraining prepares ops for microbatches of at most tokens tokens.
func NewTraining(m *Model, tokens, threads int) *Training {
	t := &Training{m: m, tokens: tokens, s: newScratch(m.Config, threads)}
	t.s.forwardSize(tokens)
	t.s.backwardSize(tokens)
	return t
}

// Keep makes the blocks of as many layers, the last but one and those before it,
// keep what their backward passes need of their forward passes; the others
// compute it again. Results are the same to the bit. It is called before ops are
// made; without it no layer keeps anything. All layers but the last, and more,
// is all.
func (t *Training) Keep(layers int) { t.keep = layers }

// SetBatch chooses what the next pass computes. count is what the summed loss is
// divided by: the supervised tokens of the whole update, or what they weigh.
func (t *Training) SetBatch(b *Batch, count float64) error {
	if len(b.IDs) > t.tokens {
		return fmt.Errorf("batch of %d tokens in a training of %d", len(b.IDs), t.tokens)
	}
	if !(count > 0) {
		return fmt.Errorf("an update without supervised tokens")
	}
	t.batch, t.count = b, count
	t.latest = nil
	t.s.ropes.grow(b.longest())
	return nil
}

// Embed writes the frozen embeddings of the batch to x [tokens, Hidden].
func (t *Training) Embed(x []float32) {
	t.m.embedAt(t.batch.IDs, t.batch.Positions, x)
	clear(x[len(t.batch.IDs)*t.m.Hidden:])
}

// Aim trains for another loss than the likelihood of the supervised tokens. The
// count of SetBatch is then that of its pairs.
func (t *Training) Aim(o Objective) { t.objective = o }

// Loss returns the sum of the negative log-likelihoods of the last LossOp, in
// nats, or what the objective made of them, not yet divided by the count.
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
