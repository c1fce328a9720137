package tokenize

import (
	"context"
	"errors"
	"io"
	"iter"
	"slices"

	"github.com/pipe-run/pipe/pipeline"
	"github.com/pipe-run/pipe/steps/internal/chat"
	"github.com/pipe-run/pipe/steps/internal/dataset"
)

// write makes the tokens artifact of the pieces.
func (e *encoder) write(ctx context.Context, dir string, pairs bool) error {
	w, err := dataset.CreateTokens(dir, dataset.TokenOptions{Packed: e.Packing.On || pairs, Weighted: e.weighted})
	if err != nil {
		return err
	}
	switch {
	case e.Packing.Split:
		err = e.split(ctx, w)
	case e.Packing.On:
		err = e.pack(ctx, w)
	default:
		err = inOrder(ctx, e.ahead(), over(e.pieces), e.read, writeAll(w))
	}
	e.rows = w.Rows()
	return errors.Join(err, w.Close())
}

// over ranges over a list of jobs.
func over[J any](jobs []J) iter.Seq2[J, error] {
	return func(yield func(J, error) bool) {
		for _, j := range jobs {
			if !yield(j, nil) {
				return
			}
		}
	}
}

func writeAll(w *dataset.TokenWriter) func([]dataset.Row) error {
	return func(rows []dataset.Row) error {
		for _, r := range rows {
			if err := w.Write(r); err != nil {
				return err
			}
		}
		return nil
	}
}

// read returns a row for each record of a piece that fits.
func (e *encoder) read(_ context.Context, dir string) ([]dataset.Row, error) {
	e.slots <- struct{}{}
	defer func() { <-e.slots }()
	p, err := readPiece(dir)
	if err != nil {
		return nil, err
	}
	var rows []dataset.Row
	err = each(p, func(documents []chat.Encoded) error {
		if e.fit(documents).kept {
			rows = append(rows, e.row(documents))
		}
		return nil
	})
	return rows, err
}

// each calls f with the documents of every record that is left in a piece.
func each(p *pieceReader, f func([]chat.Encoded) error) error {
	for {
		documents, err := p.next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		if err := f(documents); err != nil {
			return err
		}
	}
}

// row makes a row of one document, or of several, which positions tell apart.
func (e *encoder) row(documents []chat.Encoded) dataset.Row {
	n := 0
	for _, d := range documents {
		n += len(d.IDs)
	}
	row := dataset.Row{InputIDs: make([]int32, 0, n), Labels: make([]int64, 0, n), AttentionMask: ones(n)}
	positions := len(documents) > 1 || e.Packing.On
	for _, d := range documents {
		row.InputIDs, row.Labels = append(row.InputIDs, d.IDs...), append(row.Labels, d.Labels...)
		if e.weighted {
			row.LossWeights = append(row.LossWeights, weights(d)...)
		}
		if positions {
			row.PositionIDs = slices.Grow(row.PositionIDs, n-len(row.PositionIDs))
			for i := range d.IDs {
				row.PositionIDs = append(row.PositionIDs, int32(i))
			}
		}
	}
	return row
}

func ones(n int) []int8 {
	mask := make([]int8, n)
	for i := range mask {
		mask[i] = 1
	}
	return mask
}

// weights are those of a document: 1 for what is supervised where it has none.
func weights(d chat.Encoded) []float32 {
	if d.Weights != nil {
		return d.Weights
	}
	all := make([]float32, len(d.IDs))
	for i, label := range d.Labels {
		if label != chat.Unsupervised {
			all[i] = 1
		}
	}
	return all
}

// progress tells how many rows are written.
func (e *encoder) progress(w *dataset.TokenWriter, total int) {
	e.task.Emit(pipeline.Progress{Done: w.Rows(), Total: int64(total), Unit: "rows"})
}
