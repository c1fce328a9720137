package tokenize

import (
	"context"

	"github.com/pipe-run/pipe/steps/internal/chat"
	"github.com/pipe-run/pipe/steps/internal/dataset"
)

// split writes the documents one after the other into rows that are full but for
// the last. What of a document does not fit its row goes on in the next, as a
// document of its own: positions start again at 0, attention does not reach back,
// and so its first token, which nothing precedes there, is not supervised.
func (e *encoder) split(ctx context.Context, w *dataset.TokenWriter) error {
	s := splitter{e: e, longest: min(e.MaxLength, positions(e.task.In["model"])), write: w.Write}
	err := inOrder(ctx, e.ahead(), over(e.pieces), e.read, func(rows []dataset.Row) error {
		for _, r := range rows {
			if err := s.add(r); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	return s.flush()
}

// A splitter fills rows of the encoder's maxLength with documents, in parts of at
// most longest tokens.
type splitter struct {
	e       *encoder
	longest int
	row     dataset.Row
	write   func(dataset.Row) error
}

// add takes the row of one document.
func (s *splitter) add(d dataset.Row) error {
	for start := 0; start < len(d.InputIDs); {
		n := min(len(d.InputIDs)-start, s.longest, s.e.MaxLength-len(s.row.InputIDs))
		s.part(d, start, start+n)
		start += n
		if len(s.row.InputIDs) == s.e.MaxLength {
			if err := s.flush(); err != nil {
				return err
			}
		}
	}
	return nil
}

// part appends tokens [start, end) of a document.
func (s *splitter) part(d dataset.Row, start, end int) {
	first := len(s.row.InputIDs)
	s.row.InputIDs = append(s.row.InputIDs, d.InputIDs[start:end]...)
	s.row.Labels = append(s.row.Labels, d.Labels[start:end]...)
	if d.LossWeights != nil {
		s.row.LossWeights = append(s.row.LossWeights, d.LossWeights[start:end]...)
		s.row.LossWeights[first] = 0
	}
	for i := range end - start {
		s.row.PositionIDs = append(s.row.PositionIDs, int32(i))
	}
	if s.row.Labels[first] != chat.Unsupervised {
		s.row.Labels[first] = chat.Unsupervised
		s.e.count.supervised--
	}
}

// flush writes the row, if there is one.
func (s *splitter) flush() error {
	if len(s.row.InputIDs) == 0 {
		return nil
	}
	s.row.AttentionMask = ones(len(s.row.InputIDs))
	err := s.write(s.row)
	s.row = dataset.Row{}
	return err
}
