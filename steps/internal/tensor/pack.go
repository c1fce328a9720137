package tensor

import "github.com/pipe-run/pipe/steps/internal/kernel"

// A side is the right-hand side of a product, read block by block. Its columns are "lanes" here, and depth is K.
type side interface {
	// pack writes lanes [lane, lane+w) at depths [p, p+kc) to dst as panels [kc][nr], as many as w takes, with zeros
	// for the missing lanes of the last.
	pack(dst []float32, nr, lane, w, p, kc int)

	// block returns the same lanes where they lie ready for the tile, or else in dst, which has room for kc lines of
	// w, rounded up to nr, and padding. rows is how many rows of A they are going to be multiplied with.
	block(dst []float32, nr, lane, w, p, kc, rows int) block

	// ready is how many lanes or more should be asked for at a time if block costs next to nothing for so many rows;
	// 0 if it packs them.
	ready(rows int) int
}

// A block is some lanes of a right side: lane j at depth p is data[j/nr*panel+p*line+j%nr].
type block struct {
	data        []float32
	panel, line int
}

// padding keeps lines from lying a multiple of a large power of two apart, where they would contend for the same
// lines of the cache.
const padding = 16

// packed is a block of panels.
func packed(s side, dst []float32, nr, lane, w, p, kc int) block {
	s.pack(dst, nr, lane, w, p, kc)
	return block{dst, kc * nr, nr}
}

// lanesByRow is a matrix whose rows are the lanes, B of NT. Element (lane, p) is m[lane*ld+p].
type lanesByRow struct {
	m  []float32
	ld int
}

func (s lanesByRow) pack(dst []float32, nr, lane, w, p, kc int) {
	for ; w > 0; lane, w, dst = lane+nr, w-nr, dst[kc*nr:] {
		kernel.PackRows(dst, nr, s.m[lane*s.ld+p:], s.ld, min(nr, w), kc)
	}
}

func (s lanesByRow) block(dst []float32, nr, lane, w, p, kc, _ int) block {
	return packed(s, dst, nr, lane, w, p, kc)
}

func (s lanesByRow) ready(int) int { return 0 }

// lanesByColumn is a matrix whose columns are the lanes, B of NN and TN. Element (lane, p) is m[p*ld+lane].
type lanesByColumn struct {
	m  []float32
	ld int
}

func (s lanesByColumn) pack(dst []float32, nr, lane, w, p, kc int) {
	copyLines(dst, nr, s.m[p*s.ld+lane:], s.ld, w, kc)
}

// linesAtOnce is how many lines are read side by side: as many as the processor sees coming.
const linesAtOnce = 16

// copyLines copies kc lines of w elements, which begin ld apart in src, to panels [kc][nr].
func copyLines(dst []float32, nr int, src []float32, ld, w, kc int) {
	for q := 0; q < kc; q += linesAtOnce {
		for j := 0; j < w; j += nr {
			kernel.PackLines(dst[j*kc+q*nr:], nr, src[q*ld+j:], ld, min(nr, w-j), min(linesAtOnce, kc-q))
		}
	}
}

// block leaves the lines where they are for few rows, if the tile can read them to the last lane.
func (s lanesByColumn) block(dst []float32, nr, lane, w, p, kc, rows int) block {
	if s.ready(rows) > 0 && w%narrowest == 0 {
		return block{s.m[p*s.ld+lane:], nr, s.ld}
	}
	return packed(s, dst, nr, lane, w, p, kc)
}

// ready asks for lanes enough that every line is read in a long piece, as the processor fetches memory ahead in order.
func (s lanesByColumn) ready(rows int) int {
	if rows <= inPlaceRows {
		return leastLines
	}
	return 0
}

const (
	narrowest   = 8   // the width of the narrowest tile, which divides those of all others
	inPlaceRows = 128 // multiplied with more rows than this, a copy to panels pays
)
