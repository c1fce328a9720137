package train

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	"github.com/pipe-run/pipe/pipeline"
)

// A training leaves pieces (pipeline.Task.Pieces) from which a longer one that
// begins alike continues: the checkpoint after its last update, if the learning
// rates up to there do not depend on its length. That is so for all of a
// constant schedule and for wsd until it decays; cosine and linear leave nothing,
// and a warm-up that is a share of all updates is as a rule another one when
// there are more.
// Checkpoints at the ends of epochs are left too where all of them are small.
// A list of what was left, itself a piece, says where to look.
const (
	prefixList = "updates.json"
	maxListed  = 64
	// maxPrefix bounds the bytes of the last state, maxEarlier those of all
	// earlier ones.
	maxPrefix  = 4 << 30
	maxEarlier = 64 << 20
)

// lineage is everything that determines the first updates of a training, as
// far as the learning rates do not depend on how many there are.
type lineage struct {
	Params Params                     `json:"params"` // without length and schedule
	Warmup int                        `json:"warmup"`
	Inputs map[string]pipeline.Digest `json:"inputs"`
}

// prefixKey is the key of a piece: of a state, or with 0 updates of the list.
type prefixKey struct {
	Lineage lineage `json:"lineage"`
	Updates int     `json:"updates"`
}

// lineage returns false where nobody said what the inputs are.
func (tr *trainer) lineage() (l lineage, ok bool) {
	l = lineage{Params: tr.p.keyed(), Warmup: tr.schedule.Warmup, Inputs: tr.task.Digests}
	l.Params.Epochs, l.Params.MaxUpdates = 0, 0
	l.Params.Schedule, l.Params.Warmup, l.Params.Decay, l.Params.MinLearningRate = "", Span{}, nil, 0
	for name := range tr.task.In {
		if tr.task.Digests[name].IsZero() {
			return l, false
		}
	}
	return l, tr.task.Pieces != nil
}

// findPrefix continues from the longest state that a training with the same
// beginning left, if there is one.
func (tr *trainer) findPrefix(ctx context.Context) error {
	l, ok := tr.lineage()
	if !ok {
		return nil
	}
	listed := tr.listed(ctx, l)
	for _, n := range slices.Backward(listed) {
		if n > tr.schedule.Steady() {
			continue
		}
		dir, err := tr.task.FindPiece(ctx, prefixKey{l, n})
		if err == nil {
			err = tr.loadPrefix(dir, n)
		}
		if err == nil {
			tr.task.Log.Info(fmt.Sprintf("continuing after update %d of %d, which a training with the same beginning reached", n, tr.total))
			return nil
		}
		if !errors.Is(err, pipeline.ErrNotFound) {
			tr.task.Log.Warn(fmt.Sprintf("the state after update %d of another training is ignored: %v", n, err))
		}
		if err := tr.reset(); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// listed returns the lengths of the trainings that left something, ascending.
func (tr *trainer) listed(ctx context.Context, l lineage) []int {
	dir, err := tr.task.FindPiece(ctx, prefixKey{l, 0})
	if err != nil {
		return nil
	}
	f, err := os.Open(filepath.Join(dir, prefixList))
	if err != nil {
		return nil
	}
	defer f.Close()
	var updates []int
	if json.NewDecoder(io.LimitReader(f, maxHeader)).Decode(&updates) != nil {
		return nil
	}
	updates = slices.DeleteFunc(updates, func(n int) bool { return n < 1 })
	slices.Sort(updates)
	return slices.Compact(updates)
}

// loadPrefix reads the state after n updates from a piece.
func (tr *trainer) loadPrefix(dir string, n int) error {
	err := tr.load(dir, func(h checkpointHeader, size int64) error {
		h.Params = tr.p.keyed() // whose part that matters is in the piece's key
		if h.Done != n {
			return errDamaged
		}
		return tr.fits(h, size)
	})
	if err != nil || tr.p.Keep != keepBest || tr.standing.Best == 0 {
		return err
	}
	return copyFile(bestPath(tr.task.State, tr.standing.Best), bestPath(dir, tr.standing.Best))
}

// leavePrefix leaves the present state for longer trainings, if it is worth it.
// Training goes on where that fails.
func (tr *trainer) leavePrefix(ctx context.Context) {
	l, ok := tr.lineage()
	if !ok || !tr.prefixDue() {
		return
	}
	_, err := tr.task.SavePiece(ctx, prefixKey{l, tr.done}, tr.fillPrefix)
	if err == nil {
		listed := append(tr.listed(ctx, l), tr.done)
		slices.Sort(listed)
		listed = slices.Compact(listed)
		_, err = tr.task.SavePiece(ctx, prefixKey{l, 0}, func(dir string) error {
			b, err := json.Marshal(listed[max(0, len(listed)-maxListed):])
			if err != nil {
				return err
			}
			return os.WriteFile(filepath.Join(dir, prefixList), b, 0o644)
		})
	}
	if err != nil && ctx.Err() == nil && !errors.Is(err, pipeline.ErrNotFound) { // that is a run that remembers nothing
		tr.task.Log.Warn(fmt.Sprintf("the state after update %d is not left for longer trainings: %v", tr.done, err))
	}
}

// prefixDue says that the present state is one to leave.
func (tr *trainer) prefixDue() bool {
	steady := tr.schedule.Steady()
	if steady <= tr.schedule.Warmup {
		return false // nobody raises the length of a warm-up
	}
	size := tr.stateBytes()
	if tr.done == steady {
		return size <= maxPrefix
	}
	return tr.done < steady && tr.done%tr.perEpoch == 0 && size*int64(steady/tr.perEpoch) <= maxEarlier
}

// stateBytes bounds the bytes of a checkpoint and of the best weights.
func (tr *trainer) stateBytes() int64 {
	n := int64(len(tr.log))
	for _, x := range tr.net.params {
		n += 4 * 4 * int64(len(x)) // weights, two moments, best weights
	}
	return n
}

// fillPrefix writes a checkpoint, and the best weights that it names.
func (tr *trainer) fillPrefix(dir string) error {
	if err := writeSummed(filepath.Join(dir, checkpointFile), tr.write); err != nil {
		return err
	}
	if tr.p.Keep != keepBest || tr.standing.Best == 0 {
		return nil
	}
	return copyFile(bestPath(dir, tr.standing.Best), bestPath(tr.task.State, tr.standing.Best))
}

func copyFile(dst, src string) error {
	in, err := os.Open(src)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.Create(dst)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}
