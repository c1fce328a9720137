package tokenize

import "github.com/pipe-run/pipe/steps/internal/dataset"

// openRows is how many rows are being filled at once. More pack tighter; the
// result depends on it, so it is part of the kind's version.
const openRows = 64

// A packer puts several documents in one row, each where it leaves the least
// room among the open rows, the earliest of equals. Positions start again at
// 0 with each document, which is how readers tell them apart.
type packer struct {
	length int
	write  func(dataset.Row) error
	open   []dataset.Row // in the order they were begun
}

func newPacker(length int, write func(dataset.Row) error) *packer {
	return &packer{length: length, write: write}
}

// add places one document; ids is at most p.length long, weights nil where all
// count alike.
func (p *packer) add(ids []int32, labels []int64, weights []float32) error {
	best := -1
	for i, row := range p.open {
		n := len(row.InputIDs)
		if n+len(ids) <= p.length && (best < 0 || n > len(p.open[best].InputIDs)) {
			best = i
		}
	}
	if best < 0 {
		if len(p.open) == openRows {
			if err := p.close(p.fullest()); err != nil {
				return err
			}
		}
		p.open = append(p.open, dataset.Row{})
		best = len(p.open) - 1
	}
	row := &p.open[best]
	for i := range ids {
		row.AttentionMask = append(row.AttentionMask, 1)
		row.PositionIDs = append(row.PositionIDs, int32(i))
	}
	row.InputIDs = append(row.InputIDs, ids...)
	row.Labels = append(row.Labels, labels...)
	row.LossWeights = append(row.LossWeights, weights...)
	if len(row.InputIDs) == p.length {
		return p.close(best)
	}
	return nil
}

func (p *packer) fullest() int {
	best := 0
	for i, row := range p.open {
		if len(row.InputIDs) > len(p.open[best].InputIDs) {
			best = i
		}
	}
	return best
}

// close writes a row and forgets it.
func (p *packer) close(i int) error {
	row := p.open[i]
	p.open = append(p.open[:i], p.open[i+1:]...)
	return p.write(row)
}

// flush writes what is still open, in order.
func (p *packer) flush() error {
	for len(p.open) > 0 {
		if err := p.close(0); err != nil {
			return err
		}
	}
	return nil
}
