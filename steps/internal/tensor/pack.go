package tensor

import "github.com/pipe-run/pipe/steps/internal/kernel"

// A side is one operand of a product, read panel by panel. The left one is seen as rows, the right one as columns;
// both are "lanes" here, and depth is K.
type side interface {
	// pack writes lanes [lane, lane+w) at depths [p, p+kc) to dst as panels [kc][nr], as many as w takes, with zeros
	// for the missing lanes of the last.
	pack(dst []float32, nr, lane, w, p, kc int)
}

// lanesByRow is a matrix whose rows are the lanes: A of NT and NN, B of NT. Element (lane, p) is m[lane*ld+p].
type lanesByRow struct {
	m  []float32
	ld int
}

func (s lanesByRow) pack(dst []float32, nr, lane, w, p, kc int) {
	for ; w > 0; lane, w, dst = lane+nr, w-nr, dst[kc*nr:] {
		kernel.PackRows(dst, nr, s.m[lane*s.ld+p:], s.ld, min(nr, w), kc)
	}
}

// lanesByColumn is a matrix whose columns are the lanes: A of TN, B of NN and TN. Element (lane, p) is m[p*ld+lane].
type lanesByColumn struct {
	m  []float32
	ld int
}

func (s lanesByColumn) pack(dst []float32, nr, lane, w, p, kc int) {
	for ; w > 0; lane, w, dst = lane+nr, w-nr, dst[kc*nr:] {
		kernel.PackLines(dst, nr, s.m[p*s.ld+lane:], s.ld, min(nr, w), kc)
	}
}
