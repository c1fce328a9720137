package train

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/pipe-run/pipe/steps/internal/dataset"
	"github.com/pipe-run/pipe/steps/internal/decoder"
)

// A rowSet is the rows of a tokens artifact that hold something to learn from.
type rowSet struct {
	cfg        decoder.Config
	tokens     *dataset.Tokens
	number     []int       // of each row, in the artifact
	length     []int       // its tokens
	supervised []int       // its supervised tokens
	share      []float64   // the sum of their weights
	documents  map[int]int // how many documents have a number of tokens
	document   int         // tokens of the longest document
	skipped    int         // rows without supervised tokens
}

// scan reads all rows once and checks them against the model: no id beyond the
// vocabulary, no document beyond the model's positions, something supervised. For
// an objective over pairs every row must be one; otherwise pairs is nil.
func scan(ctx context.Context, cfg decoder.Config, tokens *dataset.Tokens, pairs decoder.Preference) (*rowSet, error) {
	r := &rowSet{cfg: cfg, tokens: tokens, documents: map[int]int{}}
	for i := range tokens.Len() {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		b, err := r.read(nil, i)
		if err != nil {
			return nil, err
		}
		if b.ids == nil {
			r.skipped++
			continue
		}
		batch, err := b.batch(cfg)
		if err != nil {
			return nil, fmt.Errorf("row %d: %w", i, err)
		}
		if len(batch.Rows) == 0 || batch.Share() == 0 {
			r.skipped++
			continue
		}
		if pairs != nil {
			if err := checkPair(pairs, batch); err != nil {
				return nil, fmt.Errorf("row %d: %w", i, err)
			}
		}
		for _, s := range batch.Spans {
			n := s.End - s.Start
			r.documents[n]++
			r.document = max(r.document, n)
		}
		r.number = append(r.number, i)
		r.length = append(r.length, len(b.ids))
		r.supervised = append(r.supervised, len(batch.Rows))
		r.share = append(r.share, batch.Share())
	}
	if len(r.number) == 0 {
		return nil, fmt.Errorf("none of %d rows holds a supervised token", tokens.Len())
	}
	return r, nil
}

// document is rows joined into one sequence; attention does not cross from one
// document to the next, so that no row depends on its neighbours and none is padded.
type document struct {
	ids, positions []int32
	labels         []int64
	weights        []float32 // nil where all count alike
}

func (d *document) batch(cfg decoder.Config) (*decoder.Batch, error) {
	b, err := decoder.NewBatch(cfg, d.ids, d.positions, d.labels)
	if err == nil && d.weights != nil {
		b.Weigh(d.weights)
	}
	return b, err
}

// read appends row i of the artifact to d, without padding. A nil d begins a new one.
func (r *rowSet) read(d *document, i int) (*document, error) {
	if d == nil {
		d = &document{}
	}
	row, err := r.tokens.Row(i)
	if err != nil {
		return nil, err
	}
	lo, hi, err := unpadded(row.AttentionMask)
	if err != nil {
		return nil, fmt.Errorf("row %d: %w", i, err)
	}
	d.ids = append(d.ids, row.InputIDs[lo:hi]...)
	d.labels = append(d.labels, row.Labels[lo:hi]...)
	if row.LossWeights != nil {
		d.weights = append(d.weights, row.LossWeights[lo:hi]...)
	}
	if row.PositionIDs != nil {
		if lo > 0 {
			return nil, fmt.Errorf("row %d: padding before packed documents", i)
		}
		d.positions = append(d.positions, row.PositionIDs[:hi]...)
		return d, nil
	}
	for p := range hi - lo {
		d.positions = append(d.positions, int32(p))
	}
	return d, nil
}

// unpadded returns the range of tokens in a mask that is zero before and after it.
func unpadded(mask []int8) (lo, hi int, err error) {
	for lo < len(mask) && mask[lo] == 0 {
		lo++
	}
	hi = len(mask)
	for hi > lo && mask[hi-1] == 0 {
		hi--
	}
	if slices.Contains(mask[lo:hi], 0) {
		return 0, 0, errors.New("attention_mask is zero between tokens")
	}
	return lo, hi, nil
}

// join returns a microbatch of the rows listed by their place in r.
func (r *rowSet) join(places []int) (*decoder.Batch, error) {
	d := &document{}
	for _, p := range places {
		var err error
		if d, err = r.read(d, r.number[p]); err != nil {
			return nil, err
		}
	}
	return d.batch(r.cfg)
}

// count returns the supervised tokens of the rows listed by their place.
func (r *rowSet) count(places []int) (n int) {
	for _, p := range places {
		n += r.supervised[p]
	}
	return n
}

// weight returns the sum of the weights of the supervised tokens of the rows
// listed by their place, by which the loss of an update is divided.
func (r *rowSet) weight(places []int) (sum float64) {
	for _, p := range places {
		sum += r.share[p]
	}
	return sum
}

// capacity returns the largest number of tokens that a microbatch of a training
// can have.
func (r *rowSet) capacity(p *Params) int {
	rows, limit := p.BatchSize, 0
	if p.MaxTokensPerBatch > 0 {
		rows, limit = p.rowsPerUpdate(), max(p.MaxTokensPerBatch, slices.Max(r.length))
	}
	n := greatest(r.length, rows)
	if limit > 0 {
		n = min(n, limit)
	}
	return n
}

// most returns a bound of the supervised tokens of a microbatch.
func (r *rowSet) most(p *Params) int {
	rows := p.BatchSize
	if p.MaxTokensPerBatch > 0 {
		rows = p.rowsPerUpdate()
	}
	return greatest(r.supervised, rows)
}

// greatest returns the largest sum that n of some numbers can have.
func greatest(numbers []int, n int) (sum int) {
	sorted := slices.Sorted(slices.Values(numbers))
	for _, v := range sorted[max(0, len(sorted)-n):] {
		sum += v
	}
	return sum
}

// total returns the FLOPs of all rows.
func (r *rowSet) total(c decoder.Cost) float64 {
	flops := c.FLOPs(0, sum(r.supervised))
	for _, n := range slices.Sorted(maps.Keys(r.documents)) {
		flops += float64(r.documents[n]) * c.FLOPs(n, 0)
	}
	return flops
}

// inOrder returns all rows as they lie in the artifact, in microbatches.
func (r *rowSet) inOrder(p *Params) [][]int {
	places := make([]int, len(r.number))
	for i := range places {
		places[i] = i
	}
	return p.cut(r.length, places)
}
