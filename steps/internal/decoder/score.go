package decoder

import "context"

// Scorer computes the likelihood of given tokens. It holds the buffers of one
// batch and is for one goroutine at a time.
type Scorer struct {
	m      *Model
	s      *scratch
	v      values
	blocks []*block
	hs     headScratch
	x      []float32
}

// NewScorer returns a scorer that computes on the given number of threads.
func (m *Model) NewScorer(threads int) *Scorer {
	sc := &Scorer{m: m, s: newScratch(m.Config, threads)}
	for i := range m.blocks {
		sc.blocks = append(sc.blocks, m.block(i))
	}
	return sc
}

// NLL returns the negative log-likelihood, in nats, of each target of b.
func (sc *Scorer) NLL(ctx context.Context, b *Batch) ([]float64, error) {
	if err := sc.hidden(ctx, b); err != nil {
		return nil, err
	}
	nll := make([]float64, len(b.Rows))
	sc.m.finalHead().loss(sc.s.threads, &sc.hs, b, sc.x, 1, nil, nll, headGrads{})
	return nll, nil
}

// Logits returns the logits [len(rows), VocabSize] after the listed tokens of b.
func (sc *Scorer) Logits(ctx context.Context, b *Batch, rows []int32) ([]float32, error) {
	if err := sc.hidden(ctx, b); err != nil {
		return nil, err
	}
	out := make([]float32, len(rows)*sc.m.VocabSize)
	sc.m.finalHead().logits(sc.s.threads, &sc.hs, sc.x, rows, out)
	return out, nil
}

// hidden runs the blocks over b, leaving the last activations in sc.x.
func (sc *Scorer) hidden(ctx context.Context, b *Batch) error {
	n := len(b.IDs)
	sc.x = sized(sc.x, n*sc.m.Hidden)
	sc.m.embedAt(b.IDs, b.Positions, sc.x)
	sc.s.ropes.grow(b.longest())
	for _, blk := range sc.blocks {
		if err := ctx.Err(); err != nil {
			return err
		}
		blk.forward(sc.s, &sc.v, b.input(), nil, sc.x, sc.x)
	}
	return nil
}
