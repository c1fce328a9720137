package train

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"

	"github.com/pipe-run/pipe/pipeline"
	"github.com/pipe-run/pipe/steps/internal/artifact"
	"github.com/pipe-run/pipe/steps/internal/decoder"
)

// DPO is direct preference optimisation: see decoder.DPO.
type DPO struct {
	Beta      float64 `json:"beta"`
	Smoothing float64 `json:"smoothing"`
}

// ORPO is odds-ratio preference optimisation: see decoder.ORPO.
type ORPO struct {
	Lambda float64 `json:"lambda"`
}

// What a training is for. Without a word it is the supervised tokens.
const (
	objectiveSFT  = "sft"
	objectiveDPO  = "dpo"
	objectiveORPO = "orpo"
)

func (p *Params) checkObjective() error {
	switch p.Objective {
	case "", objectiveSFT, objectiveDPO, objectiveORPO:
	default:
		return bad("objective", "%q is not sft, dpo or orpo", p.Objective)
	}
	switch {
	case p.DPO != nil && p.Objective != objectiveDPO:
		return bad("dpo", "only the objective dpo has it")
	case p.ORPO != nil && p.Objective != objectiveORPO:
		return bad("orpo", "only the objective orpo has it")
	case p.DPO != nil && !(p.DPO.Beta > 0):
		return bad("dpo.beta", "%g is not above 0", p.DPO.Beta)
	case p.DPO != nil && !(p.DPO.Smoothing >= 0 && p.DPO.Smoothing < 0.5):
		return bad("dpo.smoothing", "%g is not at least 0 and below 0.5", p.DPO.Smoothing)
	case p.ORPO != nil && !(p.ORPO.Lambda > 0):
		return bad("orpo.lambda", "%g is not above 0", p.ORPO.Lambda)
	case p.Objective == objectiveDPO && p.Init == "random":
		return bad("init", "preferences are trained from a model that is its own reference, not from random weights")
	}
	return nil
}

// prefers says that training is on pairs of answers.
func (p *Params) prefers() bool {
	return p.Objective == objectiveDPO || p.Objective == objectiveORPO
}

// preference returns the objective over pairs, nil for none.
func (p *Params) preference() decoder.Preference {
	switch p.Objective {
	case objectiveDPO:
		d := &decoder.DPO{Beta: 0.1}
		if p.DPO != nil {
			d.Beta, d.Smoothing = p.DPO.Beta, p.DPO.Smoothing
		}
		return d
	case objectiveORPO:
		o := &decoder.ORPO{Lambda: 0.1}
		if p.ORPO != nil {
			o.Lambda = p.ORPO.Lambda
		}
		return o
	}
	return nil
}

// checkPairs makes sure that what is trained on is what the objective wants:
// pairs for a preference, and never pairs, half of which are worse answers, for
// the supervised tokens.
func (p *Params) checkPairs(from artifact.Provenance, name string) error {
	if from.Pairs == p.prefers() {
		return nil
	}
	if p.prefers() {
		return &pipeline.FieldError{
			Field: "in." + name, Err: fmt.Errorf("the objective %s wants pairs of a better and a worse answer; these tokens are no pairs", p.Objective),
			Hint: `convert with format: "preference"`,
		}
	}
	return &pipeline.FieldError{
		Field: "in." + name, Err: errors.New("these tokens are pairs, the second of which is the worse answer"),
		Hint: `say objective: "dpo" or "orpo"`,
	}
}

// A judge turns likelihoods of pairs into a loss. It is nil for the objective
// sft, whose loss is the likelihood itself.
type judge struct {
	decoder.Preference
	reference map[*rowSet][]float64 // log-likelihoods of both documents of every row; for dpo
}

// judged gives the training its judge. The weights are those that it starts from.
func (tr *trainer) judged(ctx context.Context) error {
	var err error
	if tr.judge, err = tr.newJudge(ctx); err == nil && tr.judge != nil {
		tr.net.training.Aim(tr.judge)
	}
	return err
}

func (tr *trainer) newJudge(ctx context.Context) (*judge, error) {
	j := &judge{Preference: tr.p.preference(), reference: map[*rowSet][]float64{}}
	if j.Preference == nil {
		return nil, nil
	}
	if tr.p.Objective != objectiveDPO {
		return j, nil
	}
	for _, in := range []struct {
		name string
		rows *rowSet
	}{{"tokens", tr.rows}, {"validation", tr.validation}} {
		if in.rows == nil {
			continue
		}
		ref, err := tr.reference(ctx, in.name, in.rows)
		if err != nil {
			return nil, err
		}
		j.reference[in.rows] = ref
	}
	return j, nil
}

// checkPair makes sure that a row is a pair.
func checkPair(p decoder.Preference, row *decoder.Batch) error {
	if len(row.Spans) != 2 {
		return fmt.Errorf("it holds %d documents, not a pair", len(row.Spans))
	}
	return p.Check(row)
}

// about tells the judge which rows the next batch holds.
func (j *judge) about(r *rowSet, places []int) {
	if d, ok := j.Preference.(*decoder.DPO); ok {
		d.Reference = d.Reference[:0]
		for _, p := range places {
			d.Reference = append(d.Reference, j.reference[r][2*p:2*p+2]...)
		}
	}
}

// A referenceKey is the key of the log-likelihoods of rows under the weights
// that training starts from.
type referenceKey struct {
	Reference pipeline.Digest `json:"reference"` // of the rows
	Model     pipeline.Digest `json:"model"`
	Numerics  string          `json:"numerics"`
}

// referenceFile holds float64 numbers, little-endian: for every row that is
// trained on the log-likelihoods of its two documents, in nats.
const referenceFile = "likelihoods"

// reference returns the log-likelihoods of the documents of rows under the
// present weights: those that an earlier training on the same computed, if the
// cache has them.
func (tr *trainer) reference(ctx context.Context, name string, rows *rowSet) ([]float64, error) {
	key := referenceKey{tr.task.Digests[name], tr.task.Digests["model"], tr.p.Numerics}
	if !key.Reference.IsZero() && !key.Model.IsZero() {
		dir, err := tr.task.Piece(ctx, key, func(dir string) error { return tr.writeReference(ctx, rows, dir) })
		if err != nil {
			return nil, fmt.Errorf("computing the reference: %w", err)
		}
		return readReference(dir, rows)
	}
	if err := tr.writeReference(ctx, rows, tr.task.Tmp); err != nil {
		return nil, fmt.Errorf("computing the reference: %w", err)
	}
	return readReference(tr.task.Tmp, rows)
}

func (tr *trainer) writeReference(ctx context.Context, rows *rowSet, dir string) error {
	m, err := tr.weights.scorable()
	if err != nil {
		return err
	}
	scorer := m.NewScorer(tr.task.Threads)
	var out []byte
	for _, places := range rows.inOrder(&tr.p) {
		b, err := rows.join(places)
		if err != nil {
			return err
		}
		nll, err := scorer.NLL(ctx, b)
		if err != nil {
			return err
		}
		for _, v := range decoder.Likelihoods(b, nll) {
			if !finite(v) {
				return fmt.Errorf("a document has the log-likelihood %g under the weights that training starts from", v)
			}
			out = binary.LittleEndian.AppendUint64(out, math.Float64bits(v))
		}
	}
	return os.WriteFile(filepath.Join(dir, referenceFile), out, 0o644)
}

func readReference(dir string, rows *rowSet) ([]float64, error) {
	raw, err := os.ReadFile(filepath.Join(dir, referenceFile))
	if err != nil {
		return nil, fmt.Errorf("reading the reference: %w", err)
	}
	if len(raw) != 16*len(rows.number) {
		return nil, fmt.Errorf("reading the reference: %d bytes for %d pairs", len(raw), len(rows.number))
	}
	out := make([]float64, 2*len(rows.number))
	for i := range out {
		out[i] = math.Float64frombits(binary.LittleEndian.Uint64(raw[8*i:]))
	}
	return out, nil
}

// preferences counts what a judge found.
type preferences struct {
	pairs, won int
	margin     float64 // sum, in nats
}

func (s *preferences) add(j *judge) {
	pairs, won, margin := j.Found()
	s.pairs += pairs
	s.won += won
	s.margin += margin
}

// accuracy is the share of pairs whose better answer won, and the mean margin.
func (s *preferences) figures() (accuracy, margin float64) {
	return float64(s.won) / float64(s.pairs), s.margin / float64(s.pairs)
}
