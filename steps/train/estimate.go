package train

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"time"

	"github.com/pipe-run/pipe/pipeline"
	"github.com/pipe-run/pipe/steps/internal/dataset"
	"github.com/pipe-run/pipe/steps/internal/decoder"
	"github.com/pipe-run/pipe/steps/internal/lora"
	"github.com/pipe-run/pipe/steps/internal/tensor"
)

// estimate foretells what a training costs from the model's configuration and
// the tokens' real lengths. FLOPs are those that the ops execute, a multiply-add
// counting two.
func estimate(ctx context.Context, q *pipeline.EstimateRequest) (*pipeline.Estimate, error) {
	p, err := pipeline.DecodeParams[Params](q.Params)
	if err == nil {
		err = p.check()
	}
	if err != nil {
		return nil, err
	}
	cfg, err := decoder.ReadConfigFS(q.Inputs["model"])
	if err != nil {
		return nil, fmt.Errorf("reading the model: %w", err)
	}
	f := forecast{cfg: cfg, p: p}
	if err := f.adapted(); err != nil {
		return nil, err
	}
	e := &pipeline.Estimate{Parameters: cfg.Params(), Trainable: f.trained}
	rows, err := rowsOf(ctx, cfg, q.Inputs["tokens"])
	if err != nil {
		return nil, fmt.Errorf("reading tokens: %w", err)
	}
	_, validated := q.Inputs["validation"]
	if err := p.checkInputs(validated); err != nil {
		return nil, err
	}
	perEpoch, total := p.updates(len(rows.number))
	if _, err := p.schedule(total); err != nil {
		return nil, err
	}
	tokens := rows.capacity(&p)
	f.kept = p.kept(cfg, tokens, availableMemory())
	epochs := float64(total) / float64(perEpoch)
	e.Updates = int64(total)
	e.Tokens = int64(epochs * float64(sum(rows.length)))
	e.FLOPs = epochs * f.update(rows)
	if v, ok := q.Inputs["validation"]; ok {
		held, err := rowsOf(ctx, cfg, v)
		if err != nil {
			return nil, fmt.Errorf("reading validation: %w", err)
		}
		every := perEpoch
		if p.ValidateEvery > 0 {
			every = p.ValidateEvery
		}
		times := (total + every - 1) / every
		e.FLOPs += float64(times) * f.forward(held)
	}
	stored, err := weightBytes(q.Inputs["model"])
	if err != nil {
		return nil, fmt.Errorf("reading the model: %w", err)
	}
	e.Memory = f.memory(stored, tokens)
	e.Seconds = e.FLOPs / (efficiency * gemmRate(q.Threads))
	return e, nil
}

func rowsOf(ctx context.Context, cfg decoder.Config, tokens fs.FS) (*rowSet, error) {
	if tokens == nil {
		return nil, errors.New("no such input")
	}
	t, err := dataset.OpenTokensFS(tokens)
	if err != nil {
		return nil, err
	}
	defer t.Close()
	return scan(ctx, cfg, t)
}

// weightBytes returns the size of a model's stored weights.
func weightBytes(model fs.FS) (total int64, err error) {
	entries, err := fs.ReadDir(model, ".")
	if err != nil {
		return 0, err
	}
	for _, e := range entries {
		if path.Ext(e.Name()) != ".safetensors" {
			continue
		}
		info, err := e.Info()
		if err != nil {
			return 0, err
		}
		total += info.Size()
	}
	return total, nil
}

func sum(x []int) (s int) {
	for _, v := range x {
		s += v
	}
	return s
}

// forecast counts what a training does.
type forecast struct {
	cfg     decoder.Config
	p       Params
	linear  float64 // weights of the blocks' linears
	adapter float64 // weights of the adapter's pairs; 0 for method full
	trained int64   // weights
	kept    int     // blocks that keep their activations
}

// adapted counts weights and refuses targets that name nothing, as the step would.
func (f *forecast) adapted() error {
	all := f.cfg.Modules()
	for _, m := range all {
		f.linear += float64(m.In * m.Out)
	}
	if f.p.LoRA == nil {
		f.trained = f.cfg.Params()
		return nil
	}
	var ids []int32
	for _, t := range f.p.LoRA.TrainableTokens {
		if t.Piece == "" { // the tokenizer is not at hand
			ids = append(ids, t.ID)
		}
	}
	design, err := f.p.LoRA.plan(f.cfg, ids)
	if err != nil {
		return err
	}
	for _, m := range design.Targets {
		f.adapter += float64(m.Rank * (m.In + m.Out))
	}
	f.trained = design.Params() + int64((len(f.p.LoRA.TrainableTokens)-len(ids))*f.cfg.Hidden)
	return nil
}

// forward returns the FLOPs of the loss of all rows. Attention is causal: of
// scores and values, two products, it computes about half.
func (f *forecast) forward(r *rowSet) float64 {
	tokens, supervised := float64(sum(r.length)), float64(sum(r.supervised))
	width := float64(f.cfg.Heads * f.cfg.HeadDim)
	return 2*tokens*(f.linear+f.adapter) + float64(f.cfg.Layers)*2*r.quadratic*width +
		2*supervised*float64(f.cfg.VocabSize*f.cfg.Hidden)
}

// update returns the FLOPs of updates over all rows. The backward pass of a
// block that keeps nothing recomputes its forward one but for the last linear. It then multiplies
// with every matrix for the gradient of its input, and again for that of the
// matrix where that is trained. Attention takes five products backward, the
// scores once more among them; the head has no recomputation.
func (f *forecast) update(r *rowSet) float64 {
	tokens, supervised := float64(sum(r.length)), float64(sum(r.supervised))
	width := float64(f.cfg.Heads * f.cfg.HeadDim)
	head := 2 * supervised * float64(f.cfg.VocabSize*f.cfg.Hidden)
	down := float64(f.cfg.Layers * f.cfg.Hidden * f.cfg.Intermediate)
	flops := f.forward(r)
	again := float64(f.cfg.Layers-f.kept) / float64(f.cfg.Layers)
	flops += again * (flops - head - 2*tokens*down)
	flops += 2*tokens*f.linear + head // gradients of inputs
	flops += float64(f.cfg.Layers) * 5 * r.quadratic * width
	if f.p.LoRA == nil {
		return flops + 2*tokens*f.linear + head
	}
	if f.p.LoRA.saves(lora.SaveHead) {
		flops += head
	}
	return flops + 4*tokens*f.adapter
}

// memory returns the peak of resident bytes for microbatches of at most tokens
// tokens over a model whose weights take stored bytes.
func (f *forecast) memory(stored int64, tokens int) int64 {
	c := f.cfg
	each := int64(4 + 4) // parameters and gradients
	if f.p.accumulates() {
		each += 4
	}
	bytes := f.trained * (each + f.p.momentBytes())
	bytes += int64(f.kept) * valueBytes(c, tokens)
	if f.p.LoRA != nil {
		bytes += stored
		if stored > 3*c.Params() { // float32 weights are laid out for both directions
			bytes += stored
		}
	}
	width := c.Heads * c.HeadDim
	row := (c.Layers+4)*c.Hidden + // inputs of blocks, gradients, embeddings
		5*c.Hidden + 8*width + 2*c.KVHeads*c.HeadDim + 6*c.Intermediate // one block's scratch
	bytes += 4 * int64(tokens) * int64(row)
	bytes += 4 * int64(c.LossChunk()) * int64(c.VocabSize)
	return bytes + process
}

const (
	// process is the memory of a process that trains nothing.
	process = 48 << 20
	// efficiency is the part of the rate of large matrix products that a whole
	// update reaches.
	efficiency = 0.6
)

// gemmRate measures the FLOP/s of matrix products here, in a few milliseconds.
func gemmRate(threads int) float64 {
	const m, n, k = 128, 512, 512
	a, b, c := make([]float32, m*k), make([]float32, n*k), make([]float32, m*n)
	for i := range a {
		a[i] = float32(i % 7)
	}
	for i := range b {
		b[i] = float32(i % 5)
	}
	best := time.Duration(1<<63 - 1)
	for range 3 {
		start := time.Now()
		tensor.GemmNT(max(1, threads), m, n, k, a, b, c, false)
		best = min(best, time.Since(start))
	}
	return 2 * m * n * k / max(best.Seconds(), 1e-9)
}
