package decoder

import (
	"fmt"

	"github.com/pipe-run/pipe/steps/internal/kernel"
)

// An Objective is a loss that is made of the likelihoods of supervised tokens.
type Objective interface {
	// Loss returns the summed loss of a batch whose rows have the negative
	// log-likelihoods nll [rows], and writes its derivative by each of them to
	// weights [rows].
	Loss(b *Batch, nll, weights []float64) float64
}

// A Preference is an objective over pairs of documents, a better and a worse
// answer one after the other, and what it found of the last batch.
type Preference interface {
	Objective
	// Check says how a batch is not one of pairs.
	Check(b *Batch) error
	// Found returns, of the last batch, how many pairs there were, in how many
	// the better answer won, and the sum of its margins, in nats.
	Found() (pairs, won int, margin float64)
}

// pairs finds the rows of each document of a batch.
type pairs struct {
	rows  [][2]int // of every document, as a range of Batch.Rows
	count int
	won   int
	sum   float64
}

// index lists the rows of the documents of b.
func (p *pairs) index(b *Batch) {
	p.rows, p.count, p.won, p.sum = p.rows[:0], len(b.Spans)/2, 0, 0
	at := 0
	for _, s := range b.Spans {
		from := at
		for at < len(b.Rows) && int(b.Rows[at]) < s.End {
			at++
		}
		p.rows = append(p.rows, [2]int{from, at})
	}
}

// Check implements Preference.
func (p *pairs) Check(b *Batch) error {
	if len(b.Spans)%2 != 0 {
		return fmt.Errorf("%d documents are no pairs", len(b.Spans))
	}
	p.index(b)
	for i, r := range p.rows {
		if r[0] == r[1] {
			return fmt.Errorf("document %d of a pair holds no supervised token", i%2+1)
		}
	}
	return nil
}

// Found implements Preference.
func (p *pairs) Found() (count, won int, margin float64) { return p.count, p.won, p.sum }

// found notes the margin of a pair.
func (p *pairs) found(margin float64) {
	p.sum += margin
	if margin > 0 {
		p.won++
	}
}

// likelihood is the log-likelihood of a document.
func (p *pairs) likelihood(doc int, nll []float64) (sum float64) {
	for _, v := range nll[p.rows[doc][0]:p.rows[doc][1]] {
		sum -= v
	}
	return sum
}

func (p *pairs) weigh(doc int, weights []float64, w float64) {
	for i := p.rows[doc][0]; i < p.rows[doc][1]; i++ {
		weights[i] = w
	}
}

// Likelihoods returns the log-likelihood of every document of a batch whose
// rows have the negative log-likelihoods nll.
func Likelihoods(b *Batch, nll []float64) []float64 {
	var p pairs
	p.index(b)
	out := make([]float64, len(p.rows))
	for i := range out {
		out[i] = p.likelihood(i, nll)
	}
	return out
}

// DPO is direct preference optimisation (Rafailov et al. 2023, equation 7): with
// log-likelihoods c and r of the chosen and the rejected document, and cʳ and rʳ
// those of the reference,
//
//	loss = −(1−ε)·log σ(β·h) − ε·log σ(−β·h),  h = (c − cʳ) − (r − rʳ)
type DPO struct {
	pairs
	// Beta is β, and Smoothing ε: the share of labels taken to be wrong.
	Beta, Smoothing float64
	// Reference holds the log-likelihoods of the documents of the next batch.
	Reference []float64
}

// Loss implements Objective.
func (d *DPO) Loss(b *Batch, nll, weights []float64) (loss float64) {
	d.index(b)
	for i := 0; i < len(d.rows); i += 2 {
		ours := d.likelihood(i, nll) - d.likelihood(i+1, nll)
		h := float64(d.Beta * (ours - (d.Reference[i] - d.Reference[i+1])))
		d.found(h)
		loss += float64((1-d.Smoothing)*softplus(-h)) + float64(d.Smoothing*softplus(h))
		// The derivative by h, times that of h by either likelihood.
		slope := float64(d.Smoothing*kernel.Sigmoid64(h)) - float64((1-d.Smoothing)*kernel.Sigmoid64(-h))
		d.weigh(i, weights, -float64(slope*d.Beta))
		d.weigh(i+1, weights, float64(slope*d.Beta))
	}
	return loss
}

// ORPO is odds-ratio preference optimisation (Hong et al. 2024, equations 6 and
// 7), which needs no reference: with mean log-likelihoods c and r per supervised
// token,
//
//	loss = −c − λ·log σ(z),  z = (c − log(1−eᶜ)) − (r − log(1−eʳ))
type ORPO struct {
	pairs
	// Lambda is the weight λ of the odds ratio.
	Lambda float64
}

// Loss implements Objective.
func (o *ORPO) Loss(b *Batch, nll, weights []float64) (loss float64) {
	o.index(b)
	for i := 0; i < len(o.rows); i += 2 {
		chosen, moreChosen := o.odds(i, nll)
		rejected, moreRejected := o.odds(i+1, nll)
		z := chosen.odds - rejected.odds
		o.found(z)
		loss += float64(o.Lambda*softplus(-z)) - chosen.mean
		pull := float64(o.Lambda * kernel.Sigmoid64(-z))
		o.weigh(i, weights, (1+float64(pull*moreChosen))/chosen.tokens)
		o.weigh(i+1, weights, -float64(pull*moreRejected)/rejected.tokens)
	}
	return loss
}

// side is one document of a pair as ORPO sees it.
type side struct{ mean, odds, tokens float64 }

// leastDoubt keeps log(1−eˣ) finite for answers that the model is certain of.
const leastDoubt = 1e-12

// odds returns a document's mean log-likelihood x and log odds x − log(1−eˣ), and
// the derivative of the odds by x, 1/(1−eˣ).
func (o *ORPO) odds(doc int, nll []float64) (s side, slope float64) {
	s.tokens = float64(o.rows[doc][1] - o.rows[doc][0])
	s.mean = o.likelihood(doc, nll) / s.tokens
	doubt := max(1-kernel.Exp64(s.mean), leastDoubt)
	s.odds = s.mean - kernel.Log64(doubt)
	return s, 1 / doubt
}

// softplus returns log(1+eˣ), which is −log σ(−x).
func softplus(x float64) float64 {
	if x > 0 {
		return x + kernel.Log64(1+kernel.Exp64(-x))
	}
	return kernel.Log64(1 + kernel.Exp64(x))
}
