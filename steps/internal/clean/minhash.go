package clean

import "math"

// A Hasher sketches texts, so that texts with much in common are found without
// comparing every pair: MinHash (Broder 1997) in bands (Indyk and Motwani 1998).
// It is safe for concurrent use.
type Hasher struct {
	ngram       int
	bands, rows int
	a, b        []uint64 // permutation i of a gram x is the upper half of a[i]·x + b[i]
}

// A Sketch is what a Hasher keeps of a text.
type Sketch struct {
	Shingles []uint64 // sorted
	Bands    []uint64 // one hash per band; nil for a text without words
}

// wantedRecall is the share of pairs, exactly as similar as asked for, that
// must become candidates. More similar pairs are found more often.
const wantedRecall = 0.99

// NewHasher returns a Hasher over shingles of ngram words, with so many
// permutations split into bands for pairs of at least the given similarity, 0 to 1.
func NewHasher(similarity float64, ngram, permutations int) *Hasher {
	h := &Hasher{ngram: ngram}
	h.bands, h.rows = banding(similarity, permutations)
	for i := range h.bands * h.rows {
		h.a = append(h.a, mix(uint64(2*i))|1)
		h.b = append(h.b, mix(uint64(2*i+1)))
	}
	return h
}

// banding returns how many bands of how many rows find pairs of a similarity:
// the longest bands that reach wantedRecall, since long ones bring the fewest
// candidates for nothing.
func banding(similarity float64, permutations int) (bands, rows int) {
	for rows = permutations; rows > 1; rows-- {
		if bands := permutations / rows; Recall(similarity, bands, rows) >= wantedRecall {
			return bands, rows
		}
	}
	return permutations, 1
}

// Recall is the probability that a pair of a similarity shares a band.
func Recall(similarity float64, bands, rows int) float64 {
	band := 1.0
	for range rows {
		band = float64(band * similarity)
	}
	missed := 1.0
	for range bands {
		missed = float64(missed * (1 - band))
	}
	return 1 - missed
}

// Bands returns how many bands of how many rows the sketches have.
func (h *Hasher) Bands() (bands, rows int) { return h.bands, h.rows }

// Sketch returns the sketch of a text.
func (h *Hasher) Sketch(text string) Sketch {
	s := Sketch{Shingles: Shingles(text, h.ngram)}
	if len(s.Shingles) == 0 {
		return s
	}
	least := make([]uint32, len(h.a))
	for i := range least {
		least[i] = math.MaxUint32
	}
	for _, x := range s.Shingles {
		for i, a := range h.a {
			least[i] = min(least[i], uint32((a*x+h.b[i])>>32))
		}
	}
	s.Bands = make([]uint64, h.bands)
	for i := range s.Bands {
		band := mix(uint64(i))
		for _, v := range least[i*h.rows : (i+1)*h.rows] {
			band = mix(band ^ uint64(v))
		}
		s.Bands[i] = band
	}
	return s
}
