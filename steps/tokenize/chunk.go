package tokenize

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"io"
	"iter"
	"math"

	"github.com/pipe-run/pipe/steps/internal/dataset"
)

// Records are encoded in chunks, each of which is remembered by its content. A
// chunk ends after a record whose own hash says so: where rows are added, changed
// or taken away, the chunks around keep their bounds, and only those touched are
// encoded anew. (The idea is that of rsync and of deduplicating backups:
// A. Muthitacharoen et al., "A Low-bandwidth Network File System", SOSP 2001.)
//
// Sizes are in units: one a record, and one more for each KiB of its text beyond
// the first. A chunk has 1024 on average, at least 256, and, but for a longer
// last record, at most 8192.
const (
	unitBytes = 1 << 10
	minUnits  = 256
	spanUnits = 768 // on average, beyond the least
	maxUnits  = 8192
)

// chunked is some records in a row, and the digest of what they hold.
type chunked struct {
	records []dataset.Record
	digest  string // SHA-256 of the records' hashes, in hex
}

// chunks cuts records, which are read to their end.
func chunks(next func() (dataset.Record, error)) iter.Seq2[chunked, error] {
	return func(yield func(chunked, error) bool) {
		var c chunked
		sum, units := sha256.New(), 0
		cut := func() bool {
			c.digest = hex.EncodeToString(sum.Sum(nil))
			ok := yield(c, nil)
			c, units = chunked{}, 0
			sum.Reset()
			return ok
		}
		for {
			r, err := next()
			if errors.Is(err, io.EOF) {
				if len(c.records) > 0 {
					cut()
				}
				return
			}
			if err != nil {
				yield(chunked{}, err)
				return
			}
			hash, n := r.Hash(), unitsOf(r)
			sum.Write(hash[:])
			c.records = append(c.records, r)
			units += n
			if (units >= minUnits && ends(hash, n) || units >= maxUnits) && !cut() {
				return
			}
		}
	}
}

// ends says whether a chunk ends after a record of n units: for one of spanUnits.
func ends(hash [sha256.Size]byte, n int) bool {
	if n >= spanUnits {
		return true
	}
	return binary.BigEndian.Uint64(hash[:]) < math.MaxUint64/spanUnits*uint64(n)
}

// unitsOf is the size of a record.
func unitsOf(r dataset.Record) int {
	n := len(r.Tools) + len(r.Prompt) + len(r.Completion) + len(r.Text)
	for _, list := range [][]dataset.Message{r.Messages, r.Chosen, r.Rejected} {
		for _, m := range list {
			n += len(m.Content) + len(m.Reasoning) + len(m.ToolCalls)
		}
	}
	for _, s := range r.Segments {
		n += len(s.Text)
	}
	return max(1, n/unitBytes)
}
