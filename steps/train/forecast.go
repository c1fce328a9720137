package train

import (
	"io/fs"
	"path"

	"github.com/pipe-run/pipe/pipeline"
	"github.com/pipe-run/pipe/steps/internal/decoder"
	"github.com/pipe-run/pipe/steps/internal/lora"
)

// A forecast counts what a training computes and holds.
type forecast struct {
	p        Params
	spec     decoder.Spec
	trained  int64 // weights
	frozen   int64 // bytes of weights beside them
	copies   int64 // bytes of what PiSSA began with, and of the adapter that is written
	converts bool  // weights are not kept as they are read
	scored   int   // tokens of the largest batch that is only scored; 0 for none
}

// newForecast refuses targets that name nothing, as the step would. stored is
// the size of the model's weights in bytes.
func newForecast(cfg decoder.Config, p Params, stored int64) (*forecast, error) {
	f := &forecast{p: p, spec: decoder.Spec{Config: cfg, Objective: p.prefers()}}
	if p.LoRA == nil {
		f.trained, f.converts = cfg.Params(), p.Init != "random"
		return f, nil
	}
	var ids []int32
	for _, t := range p.LoRA.TrainableTokens {
		if t.Piece == "" { // the tokenizer is not at hand
			ids = append(ids, t.ID)
		}
	}
	design, err := p.LoRA.plan(cfg, ids)
	if err != nil {
		return nil, err
	}
	f.trained = design.Params() + int64((len(p.LoRA.TrainableTokens)-len(ids))*cfg.Hidden)
	f.frozen = stored
	if p.LoRA.Init == pissa {
		f.copies = principalCopies(design)
	}
	f.spec.Adapt = adaptOf(design, p.LoRA)
	f.spec.SavedEmbed, f.spec.SavedHead = p.LoRA.saves(lora.SaveEmbed), p.LoRA.saves(lora.SaveHead)
	f.spec.SavedTokens = len(p.LoRA.TrainableTokens)
	if p.Numerics == "bf16" && stored > 3*cfg.Params() { // float32 matrices are rounded once, for both directions
		f.converts = true
		if cfg.Tied {
			f.frozen += 4 * int64(cfg.VocabSize) * int64(cfg.Hidden)
		}
	}
	return f, nil
}

// principalCopies is how many bytes PiSSA holds beside the weights that are
// trained: what they began with and, in the end, both as one adapter of twice the
// rank.
func principalCopies(d *lora.Design) (bytes int64) {
	for _, t := range d.Targets {
		bytes += 3 * 4 * int64(t.Rank) * int64(t.In+t.Out)
	}
	return bytes
}

// adaptOf says how a module will be trained.
func adaptOf(d *lora.Design, l *LoRA) func(module string) (decoder.Adapt, bool) {
	byPath := map[string]decoder.Adapt{}
	for _, t := range d.Targets {
		a := decoder.Adapt{Rank: t.Rank, Scale: t.Scale, Dropout: l.Dropout}
		if l.DoRA {
			a.Squares = []float64{} // of which only that they are there matters here
		}
		byPath[t.Path] = a
	}
	return func(module string) (decoder.Adapt, bool) {
		a, ok := byPath[module]
		return a, ok
	}
}

// about says which rows are trained on, and which ones are only scored.
func (f *forecast) about(rows, held *rowSet, threads int) {
	f.spec.Tokens, f.spec.Longest = rows.capacity(&f.p), rows.document
	f.spec.Rows = min(f.spec.Tokens, rows.most(&f.p))
	f.spec.Threads = max(1, threads)
	if held != nil {
		f.scored = held.capacity(&f.p)
		f.spec.Longest = max(f.spec.Longest, held.document)
	}
	if f.p.Objective == objectiveDPO { // the reference
		f.scored = max(f.scored, f.spec.Tokens)
	}
}

// keep decides how many blocks keep the values that their backward passes need;
// the others compute them again. Results are the same to the bit, so this may
// depend on the machine: "auto" keeps as many as fit in half of the available
// memory that the rest of training leaves; available is negative where nobody
// knows it, and then auto keeps none.
func (f *forecast) keep(available int64) int {
	f.spec.Keep = 0
	switch {
	case f.p.Recompute == "none":
		f.spec.Keep = f.spec.Layers
	case f.p.Recompute != "all" && available >= 0:
		f.spec.Keep = f.spec.KeepWithin(f.spec.Bytes() + (available-f.memory())/2)
	}
	return f.spec.Keep
}

// within is the memory that there is for a step which is to need at most limit
// bytes, 0 for as many as there are: what is available, or less. It is negative
// where neither is known.
func within(limit, available int64) int64 {
	if limit > 0 && (available < 0 || limit < available) {
		return limit
	}
	return available
}

// update returns the FLOPs of updates over all rows.
func (f *forecast) update(r *rowSet) float64 { return r.total(f.spec.UpdateCost()) }

// forward returns the FLOPs of the loss of all rows.
func (f *forecast) forward(r *rowSet) float64 { return r.total(f.spec.LossCost()) }

// all returns the FLOPs of a training of total updates, perEpoch of which see
// all rows.
func (f *forecast) all(rows, held *rowSet, perEpoch, total int) float64 {
	flops := f.update(rows) * float64(total) / float64(perEpoch)
	if held != nil {
		every := perEpoch
		if f.p.ValidateEvery > 0 {
			every = f.p.ValidateEvery
		}
		flops += float64((total+every-1)/every) * f.forward(held)
	}
	if f.p.Objective == objectiveDPO {
		flops += f.forward(rows)
		if held != nil {
			flops += f.forward(held)
		}
	}
	return flops
}

// memory returns the peak of resident bytes.
func (f *forecast) memory() int64 {
	each := int64(4) // the weight itself; its gradient belongs to the ops
	if f.p.accumulates() {
		each += 4
	}
	if !f.p.PagedState { // what is mapped leaves memory when others need it
		each += f.p.momentBytes()
	}
	bytes := process + f.frozen + f.copies + f.trained*each + f.spec.Bytes()
	if f.scored > 0 {
		bytes += f.spec.ScoreBytes(f.scored)
	}
	bytes += int64(f.spec.Threads) * min(packing, 4*f.spec.Params())
	if f.converts {
		bytes += min(4*f.spec.Params(), bytes/10) // what is read and not kept, until it is collected
	}
	return bytes
}

const (
	// process is the memory of a step's process that does next to nothing.
	process = 36 << 20
	// packing is what matrix products lay out at a time at most, for each thread.
	packing = 8 << 20
)

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

// fits refuses a training that needs more than the machine has, even when it
// computes everything again, and names what would need less.
func (f *forecast) fits(machine int64) error {
	least := *f
	least.spec.Keep = 0
	if f.p.Recompute == "none" {
		least.spec.Keep = least.spec.Layers
	}
	need := least.memory()
	if machine <= 0 || need <= machine {
		return nil
	}
	field := "batchSize"
	if f.p.Recompute == "none" {
		field = "recompute"
	}
	e := bad(field, "training needs %s of memory at its peak; this machine has %s", gigabytes(need), gigabytes(machine)).(*pipeline.FieldError)
	e.Hint = "what would need less: " + f.savings(need)
	return e
}
