package train

import (
	"context"
	"errors"
	"time"

	"github.com/pipe-run/pipe/pipeline"
	"github.com/pipe-run/pipe/steps/internal/decoder"
	"github.com/pipe-run/pipe/steps/internal/optim"
)

// Unless the user says how many updates, training goes on between checkpoints
// for checkpointPause, and for so long that writing them takes no more than one
// part in checkpointShare.
const (
	checkpointPause = 30 * time.Second
	checkpointShare = 20
)

// trainer is a training under way. What a checkpoint must hold is marked so.
type trainer struct {
	cfg        decoder.Config
	p          Params
	task       *pipeline.Task
	weights    *weightSet // its trained tensors: checkpoint
	rows       *rowSet
	validation *rowSet // may be nil
	plan       *forecast
	net        *network
	order      *order
	schedule   optim.Schedule
	perEpoch   int // updates
	total      int // updates
	grads      [][]float32
	scorer     *decoder.Scorer // for validation
	judge      *judge          // nil for the objective sft
	paged      *optim.Paged    // where the optimizer's state lives; nil for Go's memory

	opt       optim.Optimizer // checkpoint
	done      int             // updates performed; checkpoint
	validated int             // updates performed at the last validation; checkpoint
	standing  standing        // checkpoint
	log       []byte          // training.jsonl so far; checkpoint
	guard     *guard          // follows from log

	begun time.Time    // when training began or went on
	rate  float64      // see peak
	cost  decoder.Cost // of an update that computes nothing again

	saved     time.Time     // when the last checkpoint was written
	saving    time.Duration // how long that took
	savedBest int           // whose best weights it names
	kept      int           // after finish, the update whose weights come out
}

func newTrainer(cfg decoder.Config, p Params, t *pipeline.Task, w *weightSet, rows, validation *rowSet, plan *forecast) (*trainer, error) {
	tr := &trainer{cfg: cfg, p: p, task: t, weights: w, rows: rows, validation: validation, plan: plan}
	tr.perEpoch, tr.total = p.updates(len(rows.number))
	once := plan.spec
	once.Keep = once.Layers
	tr.cost = once.UpdateCost()
	tr.order = newOrder(rows.length, &tr.p)
	var err error
	if tr.schedule, err = p.schedule(tr.total); err != nil {
		return nil, err
	}
	if tr.net, err = newNetwork(w, tr.plan.spec.Tokens, t.Threads, tr.plan.keep(within(t.Memory, availableMemory()))); err != nil {
		return nil, err
	}
	if p.accumulates() {
		for _, x := range tr.net.params {
			tr.grads = append(tr.grads, make([]float32, len(x)))
		}
	}
	if validation != nil {
		m, err := w.scorable()
		if err != nil {
			return nil, errors.Join(err, tr.close())
		}
		tr.scorer = m.NewScorer(t.Threads)
	}
	if err := tr.reset(); err != nil {
		return nil, errors.Join(err, tr.close())
	}
	return tr, nil
}

func (tr *trainer) close() error {
	tr.net.program.Close()
	return tr.release()
}

// release gives up the memory of the optimizer, if that is paged.
func (tr *trainer) release() error {
	tr.opt = nil
	if tr.paged == nil {
		return nil
	}
	err := tr.paged.Close()
	tr.paged = nil
	return err
}

// reset returns to the state before the first update.
func (tr *trainer) reset() error {
	if err := tr.release(); err != nil {
		return err
	}
	l := optim.Layout{Rates: tr.weights.rates(tr.net.names)}
	for i, x := range tr.net.params {
		l.Sizes = append(l.Sizes, len(x))
		l.Decay = append(l.Decay, len(tr.net.shapes[i]) > 1)
	}
	var err error
	if tr.p.PagedState {
		if tr.paged, err = optim.NewPaged(tr.task.Tmp); err != nil {
			return &pipeline.FieldError{Field: "pagedState", Err: err}
		}
		l.Memory = tr.paged
	}
	if tr.opt, err = optim.New(tr.p.optimizer(), l); err != nil {
		return err
	}
	tr.done, tr.validated, tr.standing, tr.log, tr.guard = 0, 0, standing{}, nil, newGuard(tr.p.Divergence, tr.cfg.VocabSize)
	if err := tr.weights.initialise(); err != nil {
		return err
	}
	return tr.checkTrained()
}

// run trains to the end, from the checkpoint if there is one. When ctx ends it
// leaves a checkpoint and returns ctx's error.
func (tr *trainer) run(ctx context.Context) error {
	if err := tr.resume(ctx); err != nil {
		return err
	}
	tr.saved, tr.begun = time.Now(), time.Now()
	for {
		err := tr.validate(ctx)
		if err == nil && (tr.done == tr.total || tr.stopped()) {
			return tr.finish()
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
		tr.leavePrefix(ctx)
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
	return time.Since(tr.saved) >= max(checkpointPause, checkpointShare*tr.saving)
}

// update performs the next update. If it fails nothing has changed.
func (tr *trainer) update(ctx context.Context) error {
	start := time.Now()
	micro := tr.order.update(tr.done)
	count, tokens, loss := 0.0, 0, 0.0
	supervised, flops := 0, 0.0
	var found preferences
	for _, places := range micro {
		supervised += tr.rows.count(places)
		if tr.judge == nil {
			count += tr.rows.weight(places)
		} else {
			count += float64(len(places))
		}
	}
	grads := tr.net.grads
	for i, places := range micro {
		b, err := tr.rows.join(places)
		if err != nil {
			return err
		}
		if tr.judge != nil {
			tr.judge.about(tr.rows, places)
		}
		tr.net.training.Place(tr.done, tokens)
		sum, err := tr.net.run(ctx, b, count)
		if err != nil {
			return err
		}
		if tr.judge != nil {
			found.add(tr.judge)
		}
		loss += sum
		tokens += len(b.IDs)
		flops += tr.needed(b)
		if tr.grads != nil {
			grads = tr.accumulate(i == 0)
		}
	}
	loss /= count
	norm := optim.Clip(tr.task.Threads, tr.p.MaxGradNorm, grads)
	if !finite(loss) || !finite(norm) {
		return diverged("update %d has loss %g and gradient norm %g", tr.done+1, loss, norm)
	}
	if tr.guard.add(loss) {
		g := tr.guard
		return diverged("up to update %d the mean loss of %d updates is %.4g and rises, with %.4g at first and %.4g for a uniform guess",
			tr.done+1, g.limit.Updates, mean(g.last), g.first[0], g.guess)
	}
	rate := tr.schedule.Rate(tr.done)
	tr.opt.Update(tr.task.Threads, rate, tr.net.params, grads)
	tr.done++
	line := updateLine{
		Update: tr.done, Epoch: tr.epoch(), Loss: loss, LearningRate: rate, GradientNorm: norm, SupervisedTokens: supervised,
	}
	if tr.judge != nil {
		line.found(found)
	}
	return tr.record(line, speed{seconds: time.Since(start).Seconds(), tokens: tokens, flops: flops})
}

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
