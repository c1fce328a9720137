package train

import (
	"context"

	"github.com/pipe-run/pipe/pipeline"
)

// standing is how training stands by its validation losses. A checkpoint has it.
type standing struct {
	Best  int     `json:"best,omitempty"`  // update with the lowest loss; 0 before the first measurement
	Loss  float64 `json:"loss,omitempty"`  // that loss
	Mark  float64 `json:"mark,omitempty"`  // the lowest loss that counted for early stopping
	Stale int     `json:"stale,omitempty"` // measurements in a row that did not
}

// note takes the loss measured after an update and says that it is the lowest.
func (s *standing) note(update int, loss, minDelta float64) bool {
	first := s.Best == 0
	if first || loss < s.Mark-minDelta {
		s.Mark, s.Stale = loss, 0
	} else {
		s.Stale++
	}
	if first || loss < s.Loss {
		s.Best, s.Loss = update, loss
		return true
	}
	return false
}

// stopped says that early stopping ends training here.
func (tr *trainer) stopped() bool {
	return tr.p.EarlyStopping != nil && tr.standing.Stale >= tr.p.EarlyStopping.Patience
}

// validationDue says that the loss is to be measured before the next update.
func (tr *trainer) validationDue() bool {
	every := tr.p.ValidateEvery
	if every == 0 {
		every = tr.perEpoch
	}
	return tr.validation != nil && tr.done > 0 && tr.validated != tr.done &&
		(tr.done == tr.total || tr.done%every == 0)
}

// validate measures the loss on the validation tokens when that is due.
func (tr *trainer) validate(ctx context.Context) error {
	if !tr.validationDue() {
		return nil
	}
	loss, tokens, found, err := tr.measure(ctx)
	if err != nil {
		return err
	}
	if !finite(loss) {
		return diverged("the validation loss after update %d is %g", tr.done, loss)
	}
	var minDelta float64
	if tr.p.EarlyStopping != nil {
		minDelta = tr.p.EarlyStopping.MinDelta
	}
	before := tr.standing
	if tr.standing.note(tr.done, loss, minDelta) && tr.p.Keep == keepBest {
		if err := tr.saveBest(before.Best); err != nil {
			tr.standing = before
			return err
		}
	}
	tr.validated = tr.done
	tr.task.Emit(pipeline.Metric{Name: "validation/loss", Value: loss, At: int64(tr.done)})
	line := validationLine{Update: tr.done, Epoch: tr.epoch(), ValidationLoss: loss, ValidationTokens: tokens}
	if tr.judge != nil {
		accuracy, _ := found.figures()
		tr.task.Emit(pipeline.Metric{Name: "validation/rewardAccuracy", Value: accuracy, At: int64(tr.done)})
		line.ValidationAccuracy = &accuracy
	}
	return tr.line(line)
}

// measure returns the weighted mean loss of the supervised validation tokens, or over
// the validation pairs.
func (tr *trainer) measure(ctx context.Context) (loss float64, tokens int, found preferences, err error) {
	sum, share := 0.0, 0.0
	for _, places := range tr.validation.inOrder(&tr.p) {
		b, err := tr.validation.join(places)
		if err != nil {
			return 0, 0, found, err
		}
		nll, err := tr.scorer.NLL(ctx, b)
		if err != nil {
			return 0, 0, found, err
		}
		tokens += len(nll)
		if tr.judge != nil {
			tr.judge.about(tr.validation, places)
			sum += tr.judge.Loss(b, nll, make([]float64, len(nll)))
			found.add(tr.judge)
			continue
		}
		share += b.Share()
		for i, x := range nll {
			sum += float64(b.Weight(i) * x)
		}
	}
	if tr.judge != nil {
		return sum / float64(found.pairs), tokens, found, nil
	}
	return sum / share, tokens, found, nil
}
