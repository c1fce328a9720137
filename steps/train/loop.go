package train

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/pipe-run/pipe/pipeline"
	"github.com/pipe-run/pipe/steps/internal/decoder"
	"github.com/pipe-run/pipe/steps/internal/optim"
)

// checkpointPause is how long training goes on between checkpoints unless the
// user says how many updates.
const checkpointPause = 30 * time.Second

// trainer is a training under way. What a checkpoint must hold is marked so.
type trainer struct {
	cfg        decoder.Config
	p          Params
	task       *pipeline.Task
	weights    *weightSet // its trained tensors: checkpoint
	rows       *rowSet
	validation *rowSet // may be nil
	net        *network
	order      *order
	schedule   optim.Schedule
	perEpoch   int // updates
	total      int // updates
	grads      [][]float32
	scorer     *decoder.Scorer // for validation

	opt       optim.Optimizer // checkpoint
	done      int             // updates performed; checkpoint
	validated int             // updates performed at the last validation; checkpoint
	log       []byte          // training.jsonl so far; checkpoint

	saved time.Time // when the last checkpoint was written
}

func newTrainer(cfg decoder.Config, p Params, t *pipeline.Task, w *weightSet, rows, validation *rowSet) (*trainer, error) {
	tr := &trainer{cfg: cfg, p: p, task: t, weights: w, rows: rows, validation: validation}
	tr.perEpoch, tr.total = p.updates(len(rows.number))
	tr.order = newOrder(len(rows.number), &p)
	tr.schedule = p.schedule(tr.total)
	var err error
	if tr.net, err = newNetwork(w, rows.longest(p.BatchSize), t.Threads); err != nil {
		return nil, err
	}
	if p.GradientAccumulation > 1 {
		for _, x := range tr.net.params {
			tr.grads = append(tr.grads, make([]float32, len(x)))
		}
	}
	if validation != nil {
		m, err := w.scorable()
		if err != nil {
			return nil, err
		}
		tr.scorer = m.NewScorer(t.Threads)
	}
	return tr, tr.reset()
}

func (tr *trainer) close() { tr.net.program.Close() }

// reset returns to the state before the first update.
func (tr *trainer) reset() error {
	var sizes []int
	var decay []bool
	for i, x := range tr.net.params {
		sizes = append(sizes, len(x))
		decay = append(decay, len(tr.net.shapes[i]) > 1)
	}
	var err error
	if tr.opt, err = optim.NewAdamW(optim.AdamWConfig{
		Beta1: tr.p.Betas[0], Beta2: tr.p.Betas[1], Epsilon: tr.p.Epsilon, WeightDecay: tr.p.WeightDecay,
	}, optim.Layout{Sizes: sizes, Decay: decay, Rates: tr.weights.rates(tr.net.names)}); err != nil {
		return err
	}
	tr.done, tr.validated, tr.log = 0, 0, nil
	return tr.weights.initialise()
}

// run trains to the end, from the checkpoint if there is one. When ctx ends it
// leaves a checkpoint and returns ctx's error.
func (tr *trainer) run(ctx context.Context) error {
	if err := tr.resume(); err != nil {
		return err
	}
	tr.saved = time.Now()
	for {
		err := tr.validate(ctx)
		if err == nil && tr.done == tr.total {
			return nil
		}
		if err == nil {
			err = tr.update(ctx)
		}
		if ctx.Err() != nil {
			return errors.Join(ctx.Err(), tr.save())
		}
		if err != nil {
			return err
		}
		if tr.due() {
			if err := tr.save(); err != nil {
				return err
			}
		}
	}
}

// due says that it is time for a checkpoint.
func (tr *trainer) due() bool {
	if tr.p.CheckpointEvery > 0 {
		return tr.done%tr.p.CheckpointEvery == 0
	}
	return time.Since(tr.saved) >= checkpointPause
}

// update performs the next update. If it fails nothing has changed.
func (tr *trainer) update(ctx context.Context) error {
	start := time.Now()
	micro := tr.order.update(tr.done)
	count, tokens, loss := 0, 0, 0.0
	for _, places := range micro {
		count += tr.rows.count(places)
	}
	grads := tr.net.grads
	for i, places := range micro {
		b, err := tr.rows.join(places)
		if err != nil {
			return err
		}
		tr.net.training.Place(tr.done, tokens)
		sum, err := tr.net.run(ctx, b, count)
		if err != nil {
			return err
		}
		loss += sum
		tokens += len(b.IDs)
		if tr.grads != nil {
			grads = tr.accumulate(i == 0)
		}
	}
	loss /= float64(count)
	norm := optim.Clip(tr.task.Threads, tr.p.MaxGradNorm, grads)
	if !finite(loss) || !finite(norm) {
		return fmt.Errorf("training diverged: update %d has loss %g and gradient norm %g: a lower learningRate or a longer warmup may help", tr.done+1, loss, norm)
	}
	rate := tr.schedule.Rate(tr.done)
	tr.opt.Update(tr.task.Threads, rate, tr.net.params, grads)
	tr.done++
	return tr.record(updateLine{
		Update: tr.done, Epoch: tr.epoch(), Loss: loss, LearningRate: rate, GradientNorm: norm, SupervisedTokens: count,
	}, float64(tokens)/time.Since(start).Seconds())
}

func finite(x float64) bool { return !math.IsNaN(x) && !math.IsInf(x, 0) }

// accumulate adds the gradients of a microbatch to those of the update.
func (tr *trainer) accumulate(first bool) [][]float32 {
	if first {
		for i, g := range tr.net.grads {
			copy(tr.grads[i], g)
		}
	} else {
		optim.Accumulate(tr.task.Threads, tr.grads, tr.net.grads)
	}
	return tr.grads
}

// epoch returns how many passes over the rows are done.
func (tr *trainer) epoch() float64 { return float64(tr.done) / float64(tr.perEpoch) }

// updateLine is a line of training.jsonl. Nothing in it depends on time or machine.
type updateLine struct {
	Update           int     `json:"update"`
	Epoch            float64 `json:"epoch"`
	Loss             float64 `json:"loss"` // nats per supervised token, before the update
	LearningRate     float64 `json:"learningRate"`
	GradientNorm     float64 `json:"gradientNorm"` // before clipping
	SupervisedTokens int     `json:"supervisedTokens"`
}

// validationLine is the other kind of line, after every epoch.
type validationLine struct {
	Update           int     `json:"update"`
	Epoch            float64 `json:"epoch"`
	ValidationLoss   float64 `json:"validationLoss"`
	ValidationTokens int     `json:"validationTokens"`
}

// record logs an update and tells the run about it.
func (tr *trainer) record(l updateLine, tokensPerSecond float64) error {
	at := int64(l.Update)
	tr.task.Emit(pipeline.Progress{Done: at, Total: int64(tr.total), Unit: "updates"})
	for _, m := range []pipeline.Metric{
		{Name: "train/loss", Value: l.Loss, At: at},
		{Name: "train/learningRate", Value: l.LearningRate, At: at},
		{Name: "train/gradNorm", Value: l.GradientNorm, At: at},
		{Name: "train/tokensPerSecond", Value: tokensPerSecond, At: at},
	} {
		if finite(m.Value) {
			tr.task.Emit(m)
		}
	}
	return tr.line(l)
}

func (tr *trainer) line(v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encoding training.jsonl: %w", err)
	}
	tr.log = append(append(tr.log, b...), '\n')
	return nil
}

// validate measures the loss on the validation tokens after each epoch and at
// the end, once.
func (tr *trainer) validate(ctx context.Context) error {
	end := tr.done == tr.total || tr.done%tr.perEpoch == 0
	if tr.validation == nil || tr.done == 0 || !end || tr.validated == tr.done {
		return nil
	}
	sum, count := 0.0, 0
	v := tr.validation
	for lo := 0; lo < len(v.number); lo += tr.p.BatchSize {
		var places []int
		for i := lo; i < min(len(v.number), lo+tr.p.BatchSize); i++ {
			places = append(places, i)
		}
		b, err := v.join(places)
		if err != nil {
			return err
		}
		nll, err := tr.scorer.NLL(ctx, b)
		if err != nil {
			return err
		}
		for _, x := range nll {
			sum += x
		}
		count += len(nll)
	}
	tr.validated = tr.done
	loss := sum / float64(count)
	if !finite(loss) {
		return fmt.Errorf("training diverged: the validation loss after update %d is %g", tr.done, loss)
	}
	tr.task.Emit(pipeline.Metric{Name: "validation/loss", Value: loss, At: int64(tr.done)})
	return tr.line(validationLine{Update: tr.done, Epoch: tr.epoch(), ValidationLoss: loss, ValidationTokens: count})
}
