package train

import (
	"context"
	"fmt"

	"github.com/pipe-run/pipe/steps/internal/autograd"
	"github.com/pipe-run/pipe/steps/internal/decoder"
)

// network computes loss and gradients of one microbatch at a time. It is
// compiled once, for the largest microbatch; smaller ones leave the rest of the
// rows zero.
type network struct {
	training *decoder.Training
	program  *autograd.Program
	x        []float32 // embeddings [tokens, Hidden] that enter the first block; nil when they are trained
	names    []string  // of what is trained
	shapes   [][]int
	params   [][]float32
	grads    [][]float32 // of the last microbatch
}

// op is what decoder's ops have in common.
type op interface {
	autograd.Op
	Inputs() []decoder.Tensor
}

// newNetwork joins the ops for microbatches of at most tokens tokens. The last
// kept blocks keep their activations.
func newNetwork(w *weightSet, tokens, threads, kept int) (*network, error) {
	n := &network{training: decoder.NewTraining(w.model, tokens, threads)}
	n.training.Keep(kept)
	b := autograd.New()
	var wrt []*autograd.Value
	trained := map[string]*autograd.Value{}
	apply := func(o op, x ...*autograd.Value) *autograd.Value {
		for _, t := range o.Inputs() {
			v, ok := trained[t.Name] // a tied matrix is trained by two ops
			if !ok {
				v = b.Input(t.Name, t.Shape, w.get(t.Name))
				trained[t.Name], wrt = v, append(wrt, v)
				n.names, n.shapes, n.params = append(n.names, t.Name), append(n.shapes, t.Shape), append(n.params, w.get(t.Name))
			}
			x = append(x, v)
		}
		return b.Apply(o, x...)
	}
	var x *autograd.Value
	if o := w.embedOp(n.training); o != nil {
		x = apply(o)
	} else {
		n.x = make([]float32, tokens*w.cfg.Hidden)
		x = b.Input("x", []int{tokens, w.cfg.Hidden}, n.x)
	}
	for i := range w.cfg.Layers {
		if w.full != nil {
			x = apply(n.training.NewFullBlockOp(i), x)
			continue
		}
		x = apply(n.training.NewBlockOp(i, w.adapt), x)
	}
	var err error
	if n.program, err = b.Compile(apply(w.lossOp(n.training), x), wrt...); err != nil {
		return nil, fmt.Errorf("compiling the graph: %w", err)
	}
	for i := range wrt {
		n.grads = append(n.grads, n.program.Grad(i))
	}
	return n, nil
}

// embedOp returns the op of the embeddings, nil where they are frozen.
func (w *weightSet) embedOp(t *decoder.Training) op {
	switch {
	case w.full != nil:
		return t.NewEmbedOp()
	case w.lora.Saved.Embed != nil:
		return t.NewSavedEmbedOp()
	case w.lora.Saved.Tokens != nil:
		return t.NewTokenEmbedOp(w.lora.Saved.Tokens)
	}
	return nil
}

// lossOp returns the op of the head and the loss.
func (w *weightSet) lossOp(t *decoder.Training) op {
	switch {
	case w.full != nil:
		return t.NewFullLossOp()
	case w.lora.Saved.Head != nil:
		return t.NewSavedLossOp()
	case w.lora.Saved.Tokens != nil && w.cfg.Tied:
		return t.NewTokenLossOp(w.lora.Saved.Tokens)
	}
	return t.NewLossOp()
}

// run computes a microbatch of an update whose supervised tokens weigh count. It
// returns the weighted sum of the losses of its tokens, in nats; n.grads hold the
// gradient of that sum divided by count.
func (n *network) run(ctx context.Context, b *decoder.Batch, count float64) (float64, error) {
	if err := n.training.SetBatch(b, count); err != nil {
		return 0, err
	}
	if n.x != nil {
		n.training.Embed(n.x)
	}
	if err := n.program.Run(ctx); err != nil {
		return 0, err
	}
	return n.training.Loss(), nil
}
