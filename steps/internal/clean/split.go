package clean

import (
	"crypto/sha256"
	"encoding/binary"
	"math"
	"slices"
)

// Draw is a number that follows from a record's content hash alone, uniform over
// all 64-bit numbers: what splits records. It is the draw of convert's split.
func Draw(content [sha256.Size]byte) uint64 {
	sum := sha256.Sum256(append([]byte("pipe split\x00"), content[:]...))
	return binary.BigEndian.Uint64(sum[:8])
}

// Side returns the first part whose share a draw falls into; the last part takes
// what rounding leaves over. Shares sum to 1.
func Side(draw uint64, shares []float64) int {
	at := float64(draw >> 11 << 11) // exact in a double
	sum := 0.0
	for i, share := range shares[:len(shares)-1] {
		sum += share
		if at < float64(sum*(1<<63)*2) {
			return i
		}
	}
	return len(shares) - 1
}

// Classes splits the records of every class in the same shares: the records with
// the lowest draws of a class go to the first part, the next to the second. Equal
// records have equal draws and stay together. A class takes 8 bytes a record.
type Classes struct {
	draws map[[sha256.Size]byte][]uint64
	cuts  map[[sha256.Size]byte][]uint64 // of all parts but the last: the first draw that is no more its
}

// NewClasses returns Classes without records.
func NewClasses() *Classes {
	return &Classes{draws: map[[sha256.Size]byte][]uint64{}}
}

// Add notes a record of a class.
func (c *Classes) Add(class string, draw uint64) {
	key := sha256.Sum256([]byte(class))
	c.draws[key] = append(c.draws[key], draw)
}

// Len returns how many classes there are.
func (c *Classes) Len() int { return len(c.draws) }

// Cut ends the adding. A part gets its share of the records, rounded to the
// nearest; but at least one of a class that has as many records as there are parts.
func (c *Classes) Cut(shares []float64) {
	c.cuts = map[[sha256.Size]byte][]uint64{}
	for class, draws := range c.draws {
		slices.Sort(draws)
		cuts := make([]uint64, len(shares)-1)
		sum, from := 0.0, 0
		for i, share := range shares[:len(shares)-1] {
			sum += share
			to := int(math.Floor(float64(sum*float64(len(draws))) + 0.5))
			if len(draws) >= len(shares) {
				to = min(max(to, from+1), len(draws)-(len(shares)-1-i))
			}
			cuts[i] = math.MaxUint64
			if to < len(draws) {
				cuts[i] = draws[to]
			}
			from = max(from, to)
		}
		c.cuts[class] = cuts
	}
	c.draws = nil
}

// Side returns the part of a record that was added.
func (c *Classes) Side(class string, draw uint64) int {
	cuts := c.cuts[sha256.Sum256([]byte(class))]
	for i, cut := range cuts {
		if draw < cut {
			return i
		}
	}
	return len(cuts)
}
