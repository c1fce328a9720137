package clean

import (
	"encoding/binary"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
)

// Near remembers the texts that stay, and finds the first of them that a text is
// a near-duplicate of. Their shingles lie in a file; in memory are some 30 bytes
// for each band of each text.
type Near struct {
	similarity float64
	heads      map[uint64]int32 // band → its last entry in chain
	chain      []link
	kept       []keptText
	file       *os.File
	tail       []byte // what is not written yet
	written    int64
	capped     int64
}

// link is an entry of the list of texts that share a band.
type link struct {
	text int32 // in kept
	next int32 // in chain; -1 at the end
}

// keptText is where a text's shingles lie.
type keptText struct {
	id    int64
	at    int64
	count int
}

// maxCandidates bounds how many texts one text is compared with, the latest of
// each band, so that millions of texts with one boilerplate do not take the
// square of their number.
const maxCandidates = 512

// NewNear keeps its file in the folder tmp until Close.
func NewNear(tmp string, similarity float64) (*Near, error) {
	file, err := os.Create(filepath.Join(tmp, "shingles.spool"))
	if err != nil {
		return nil, fmt.Errorf("keeping shingles: %w", err)
	}
	return &Near{similarity: similarity, heads: map[uint64]int32{}, file: file}, nil
}

// Close removes the file.
func (n *Near) Close() error {
	err := n.file.Close()
	if err2 := os.Remove(n.file.Name()); err == nil {
		err = err2
	}
	return err
}

// Capped returns how many texts had more candidates than are compared.
func (n *Near) Capped() int64 { return n.capped }

// A Twin is the text that another is a near-duplicate of.
type Twin struct {
	ID         int64
	Similarity float64 // Jaccard's, of the sets of shingles
}

// Add returns the first text whose similarity is enough, and whether there is
// one; where there is none, the text is remembered under id. A text without
// words is like no other.
func (n *Near) Add(id int64, s Sketch) (Twin, bool, error) {
	for _, candidate := range n.candidates(s) {
		k := n.kept[candidate]
		if n.tooUneven(k.count, len(s.Shingles)) {
			continue
		}
		other, err := n.read(k)
		if err != nil {
			return Twin{}, false, err
		}
		if j := Jaccard(s.Shingles, other); j >= n.similarity {
			return Twin{ID: k.id, Similarity: j}, true, nil
		}
	}
	return Twin{}, false, n.keep(id, s)
}

// candidates are the texts that share a band with s, in order.
func (n *Near) candidates(s Sketch) []int32 {
	var all []int32
	more := false
	for _, band := range s.Bands {
		at, ok := n.heads[band]
		if !ok {
			continue
		}
		for walked := 0; at >= 0 && walked < maxCandidates; walked++ {
			all = append(all, n.chain[at].text)
			at = n.chain[at].next
		}
		more = more || at >= 0
	}
	slices.Sort(all)
	all = slices.Compact(all)
	if len(all) > maxCandidates {
		all, more = all[len(all)-maxCandidates:], true
	}
	if more {
		n.capped++
	}
	return all
}

// tooUneven reports whether sets of these sizes cannot be similar enough.
func (n *Near) tooUneven(a, b int) bool {
	return float64(min(a, b)) < float64(n.similarity*float64(max(a, b)))
}

func (n *Near) keep(id int64, s Sketch) error {
	if len(s.Bands) == 0 {
		return nil
	}
	if len(n.chain) > math.MaxInt32-len(s.Bands) {
		return fmt.Errorf("more than %d texts are too many to compare", len(n.kept))
	}
	text := int32(len(n.kept))
	n.kept = append(n.kept, keptText{id: id, at: n.written + int64(len(n.tail)), count: len(s.Shingles)})
	for _, band := range s.Bands {
		next, ok := n.heads[band]
		if !ok {
			next = -1
		}
		n.heads[band] = int32(len(n.chain))
		n.chain = append(n.chain, link{text: text, next: next})
	}
	for _, x := range s.Shingles {
		n.tail = binary.LittleEndian.AppendUint64(n.tail, x)
	}
	if len(n.tail) < 1<<20 {
		return nil
	}
	if _, err := n.file.Write(n.tail); err != nil {
		return fmt.Errorf("keeping shingles: %w", err)
	}
	n.written += int64(len(n.tail))
	n.tail = n.tail[:0]
	return nil
}

func (n *Near) read(k keptText) ([]uint64, error) {
	var raw []byte
	if k.at >= n.written {
		raw = n.tail[k.at-n.written:][:8*k.count]
	} else {
		raw = make([]byte, 8*k.count)
		if _, err := n.file.ReadAt(raw, k.at); err != nil {
			return nil, fmt.Errorf("reading shingles back: %w", err)
		}
	}
	set := make([]uint64, k.count)
	for i := range set {
		set[i] = binary.LittleEndian.Uint64(raw[8*i:])
	}
	return set, nil
}
