package tensor

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
		packRows(dst[:kc*nr], s.m[lane*s.ld+p:], s.ld, nr, min(nr, w), kc)
	}
}

// packRows transposes w rows of length kc, ld apart, into dst [kc][nr].
func packRows(dst, src []float32, ld, nr, w, kc int) {
	for r := range nr {
		if r >= w {
			for q := r; q < len(dst); q += nr {
				dst[q] = 0
			}
			continue
		}
		q := r
		for _, v := range src[r*ld:][:kc] {
			dst[q] = v
			q += nr
		}
	}
}

// lanesByColumn is a matrix whose columns are the lanes: A of TN, B of NN and TN. Element (lane, p) is m[p*ld+lane].
type lanesByColumn struct {
	m  []float32
	ld int
}

func (s lanesByColumn) pack(dst []float32, nr, lane, w, p, kc int) {
	for q := range kc {
		line := s.m[(p+q)*s.ld+lane:][:w]
		for j := 0; j < w; j += nr {
			d := dst[j*kc+q*nr:][:nr]
			clear(d[copy(d, line[j:]):])
		}
	}
}
