package decoder

import "fmt"

// Ignore is the label of a token that is not supervised.
const Ignore = -100

// Span is a run [Start, End) of a batch's tokens that belong to one document.
type Span struct{ Start, End int }

// Batch is a run of tokens to score or to train on: one or more documents, one
// after another.
type Batch struct {
	// IDs and Positions [tokens]; a position of 0 starts a document.
	IDs, Positions []int32
	// Spans are the documents.
	Spans []Span
	// Rows are the tokens whose successor is supervised, ascending, and Targets
	// the ids of those successors.
	Rows, Targets []int32
	// Weights [len(Rows)] are what the loss of each target counts; nil: all 1.
	Weights []float64
}

// Weigh sets the weight of each target, given those of all tokens.
func (b *Batch) Weigh(tokens []float32) {
	b.Weights = make([]float64, len(b.Rows))
	for i, row := range b.Rows {
		b.Weights[i] = float64(tokens[row+1])
	}
}

// Weight is what the loss of target i counts.
func (b *Batch) Weight(i int) float64 {
	if b.Weights == nil {
		return 1
	}
	return b.Weights[i]
}

// Share is the sum of all weights.
func (b *Batch) Share() float64 {
	if b.Weights == nil {
		return float64(len(b.Rows))
	}
	sum := 0.0
	for _, w := range b.Weights {
		sum += w
	}
	return sum
}

// NewBatch checks and indexes a batch. positions count from 0 in each document;
// nil means one document. labels follow the Hugging Face convention: they lie
// beside ids, the model predicts labels[i] from the tokens before i, and Ignore
// marks a token that is not supervised; nil means none is. The first token of a
// document is never predicted.
func NewBatch(c Config, ids, positions []int32, labels []int64) (*Batch, error) {
	if len(ids) == 0 {
		return nil, fmt.Errorf("a batch without tokens")
	}
	if positions == nil {
		positions = make([]int32, len(ids))
		for i := range positions {
			positions[i] = int32(i)
		}
	}
	if len(positions) != len(ids) || (labels != nil && len(labels) != len(ids)) {
		return nil, fmt.Errorf("batch of %d ids with %d positions and %d labels", len(ids), len(positions), len(labels))
	}
	b := &Batch{IDs: ids, Positions: positions}
	for i, id := range ids {
		if id < 0 || int(id) >= c.VocabSize {
			return nil, fmt.Errorf("token %d is id %d, outside the model's vocabulary of %d", i, id, c.VocabSize)
		}
		if err := b.place(c, i, positions[i]); err != nil {
			return nil, err
		}
	}
	b.Spans[len(b.Spans)-1].End = len(ids)
	return b, b.supervise(c, labels)
}

// place extends or starts the span that token i belongs to.
func (b *Batch) place(c Config, i int, pos int32) error {
	switch {
	case pos == 0:
		if i > 0 {
			b.Spans[len(b.Spans)-1].End = i
		}
		b.Spans = append(b.Spans, Span{Start: i})
	case i == 0 || pos != b.Positions[i-1]+1:
		return fmt.Errorf("token %d has position %d: positions must count up from 0 in each document", i, pos)
	case int(pos) >= c.MaxPositions:
		return fmt.Errorf("token %d has position %d, beyond the model's %d positions", i, pos, c.MaxPositions)
	}
	return nil
}

// supervise lists the rows that predict a supervised token.
func (b *Batch) supervise(c Config, labels []int64) error {
	if labels == nil {
		return nil
	}
	for _, s := range b.Spans {
		for i := s.Start + 1; i < s.End; i++ {
			switch l := labels[i]; {
			case l == Ignore:
			case l < 0 || l >= int64(c.VocabSize):
				return fmt.Errorf("token %d has label %d, outside the model's vocabulary of %d", i, l, c.VocabSize)
			default:
				b.Rows = append(b.Rows, int32(i-1))
				b.Targets = append(b.Targets, int32(l))
			}
		}
	}
	return nil
}

// longest returns the length of the longest document.
func (b *Batch) longest() int {
	n := 0
	for _, s := range b.Spans {
		n = max(n, s.End-s.Start)
	}
	return n
}
