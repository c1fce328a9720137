package quantize

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"

	"github.com/pipe-run/pipe/pipeline"
	"github.com/pipe-run/pipe/steps/internal/dataset"
	"github.com/pipe-run/pipe/steps/internal/decoder"
	"github.com/pipe-run/pipe/steps/internal/kernel"
	"github.com/pipe-run/pipe/steps/internal/quant"
	"github.com/pipe-run/pipe/steps/internal/tensor"
)

// dynamicSummary says what dynamic quantization measured and chose.
type dynamicSummary struct {
	Rows   int          `json:"rows"`
	Tokens int          `json:"tokens"`
	Budget int64        `json:"budgetBytes"`
	Used   int64        `json:"usedBytes"`
	Layers []layerError `json:"layers"` // the worst for their size first
}

// layerError is what quantizing does to the outputs of a layer: the root of the
// sum of squares of (dq(Q(W))−W)·x over that of W·x, on all calibration tokens.
type layerError struct {
	Name  string  `json:"name"`
	Error float64 `json:"outputError"`
	Extra int64   `json:"extraBytes"` // as it is
	Kept  bool    `json:"kept"`
}

// choose runs the model and decides which layers stay as they are: those with the
// largest error per byte, as many as the budget has room for.
func (q *quantizer) choose(ctx context.Context) error {
	c := &calibration{threads: q.t.Threads, few: map[string]quant.Tensor{}, sums: map[string]*outputSums{}}
	for name, m := range q.linear {
		c.few[m.Path], c.sums[m.Path] = q.few[name], &outputSums{}
	}
	s := &dynamicSummary{Budget: q.p.budget(q.c.Modules())}
	if err := q.calibrate(ctx, c, s); err != nil {
		return err
	}
	for _, m := range q.c.Modules() {
		relative, err := c.sums[m.Path].relative()
		if err != nil {
			return &pipeline.FieldError{
				Field: "in.model", Err: fmt.Errorf("running the model on the calibration tokens: outputs of %s: %w", m.Path, err),
				Hint: "the model is damaged or diverged when it was trained",
			}
		}
		s.Layers = append(s.Layers, layerError{Name: m.Path, Error: relative, Extra: q.p.extra(m, q.storedSize(m))})
	}
	s.spend()
	for _, m := range q.c.Modules() {
		if slices.ContainsFunc(s.Layers, func(l layerError) bool { return l.Name == m.Path && l.Kept }) {
			q.kept[m.Tensor] = true
		}
	}
	q.errors = slices.DeleteFunc(q.errors, func(e tensorError) bool { return q.kept[e.Name+".weight"] })
	q.dynamic = s
	return nil
}

// spend sorts the layers by error per byte and keeps what fits the budget, one
// after the other.
func (s *dynamicSummary) spend() {
	slices.SortFunc(s.Layers, func(a, b layerError) int {
		return cmp.Or(cmp.Compare(b.Error/float64(b.Extra), a.Error/float64(a.Extra)), cmp.Compare(a.Name, b.Name))
	})
	for i := range s.Layers {
		if l := &s.Layers[i]; l.Error > 0 && s.Used+l.Extra <= s.Budget {
			l.Kept = true
			s.Used += l.Extra
		}
	}
}

// calibrate runs the model as it was on the first tokens of the calibration input.
func (q *quantizer) calibrate(ctx context.Context, c *calibration, s *dynamicSummary) error {
	rows, err := dataset.MapTokens(q.t.In["calibration"])
	if err != nil {
		return fmt.Errorf("reading the calibration tokens: %w", err)
	}
	defer rows.Close()
	model, err := decoder.FromWeights(q.c, q.w, q.t.Threads, decoder.Train) // leaves weights as they are stored
	if err != nil {
		return err
	}
	model.Observe(c.see)
	scorer := model.NewScorer(q.t.Threads)
	for i := 0; i < rows.Len() && s.Tokens < q.p.Dynamic.Tokens; i++ {
		row, err := rows.Row(i)
		if err != nil {
			return fmt.Errorf("reading the calibration tokens: %w", err)
		}
		b, err := sample(q.c, row, q.p.Dynamic.Tokens-s.Tokens)
		if err != nil {
			return &pipeline.FieldError{Field: "in.calibration", Err: fmt.Errorf("row %d: %w", i, err)}
		}
		if b == nil {
			continue
		}
		if _, err := scorer.Logits(ctx, b, nil); err != nil {
			return err
		}
		s.Rows++
		s.Tokens += len(b.IDs)
		q.t.Emit(pipeline.Progress{Done: int64(s.Tokens), Total: int64(q.p.Dynamic.Tokens), Unit: "tokens"})
	}
	if s.Tokens == 0 {
		return &pipeline.FieldError{Field: "in.calibration", Err: fmt.Errorf("there is no token in its %d rows", rows.Len())}
	}
	return nil
}

// sample is at most n tokens of a row, its padding left out; nil if there is none.
func sample(c decoder.Config, row dataset.Row, n int) (*decoder.Batch, error) {
	var ids, positions []int32
	for i, id := range row.InputIDs {
		if row.AttentionMask[i] == 0 || len(ids) == n {
			continue
		}
		ids = append(ids, id)
		if row.PositionIDs != nil {
			positions = append(positions, row.PositionIDs[i])
		}
	}
	if len(ids) == 0 {
		return nil, nil
	}
	return decoder.NewBatch(c, ids, positions, nil)
}

// calibration compares the outputs of linears with what they would be.
type calibration struct {
	threads int
	few     map[string]quant.Tensor // by module
	sums    map[string]*outputSums
	product []float32
}

// see compares the outputs of one pass: x is [m, In], y [m, Out].
func (c *calibration) see(module string, m int, x, y []float32) {
	if cap(c.product) < len(y) {
		c.product = make([]float32, len(y))
	}
	d := c.product[:len(y)]
	tensor.GemmPanelsNT(c.threads, m, x, c.few[module], d, false)
	for i, v := range y {
		d[i] -= v
	}
	s := c.sums[module]
	s.errors += kernel.SumSquares(d)
	s.outputs += kernel.SumSquares(y)
}

// outputSums are sums of squares over all tokens and outputs of a linear.
type outputSums struct{ errors, outputs float64 }

func (s *outputSums) relative() (float64, error) {
	r := math.Sqrt(ratio(s.errors, s.outputs))
	if r-r != 0 {
		return 0, fmt.Errorf("a value is not finite")
	}
	return r, nil
}
