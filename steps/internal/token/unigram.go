package token

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strings"
	"unicode/utf8"
)

// unigram makes of a pretoken the pieces whose scores have the largest sum
// (Kudo 2018; the search is sentencepiece's EncodeOptimized).
type unigram struct {
	pieces *prefixes
	ids    map[string]int32
	scores []float64 // by id
	worst  float64   // the score of a character that is no piece
	unk    int32
	bytes  map[byte]int32 // ids of <0xHH>; nil: no byte fallback
}

// unknownPenalty is how much less than the worst piece an unknown character
// scores.
const unknownPenalty = 10

// best is how a prefix of a pretoken is best made.
type best struct {
	score float64
	from  int // where the last piece begins; -1: no way is known
	id    int32
}

func (m *unigram) encode(s *scratch, t text) {
	if t.s == "" {
		return
	}
	path := m.search(t.s)
	var ends []int // of the pieces, last first; unknown ones joined
	for at, unknown := len(t.s), false; at > 0; at = path[at].from {
		if isUnk := path[at].id == m.unk; !(isUnk && unknown) {
			ends = append(ends, at)
			unknown = isUnk
		}
	}
	lo := 0
	for i := len(ends) - 1; i >= 0; i-- {
		m.add(s, t, lo, ends[i])
		lo = ends[i]
	}
}

// search returns the best way to each byte.
func (m *unigram) search(in string) []best {
	path := make([]best, len(in)+1)
	for i := range path[1:] {
		path[i+1].from = -1
	}
	try := func(from, to int, score float64, id int32) {
		if b := &path[to]; b.from < 0 || score > b.score {
			*b = best{score, from, id}
		}
	}
	for at := 0; at < len(in); {
		_, n := utf8.DecodeRuneInString(in[at:])
		here, single := path[at].score, false
		m.pieces.each(in[at:], func(size int, id int32) {
			try(at, at+size, here+m.scores[id], id)
			single = single || size == n
		})
		if !single {
			try(at, at+n, here+m.worst, m.unk)
		}
		at += n
	}
	return path
}

// add adds the id, or the ids of the bytes, of t[lo:hi].
func (m *unigram) add(s *scratch, t text, lo, hi int) {
	id, ok := m.ids[t.s[lo:hi]]
	if !ok && m.hasBytes(t.s[lo:hi]) {
		for i := lo; i < hi; i++ {
			s.add(m.bytes[t.s[i]], t.span(i, i+1))
		}
		return
	}
	if !ok {
		id = m.unk
	}
	s.add(id, t.span(lo, hi))
}

func (m *unigram) hasBytes(s string) bool {
	for i := range len(s) {
		if _, ok := m.bytes[s[i]]; !ok {
			return false
		}
	}
	return true
}

// scoredPiece is a piece and its score, ["▁the", -3.2].
type scoredPiece struct {
	piece string
	score float64
}

func (p *scoredPiece) UnmarshalJSON(data []byte) error {
	var pair []json.RawMessage
	if err := json.Unmarshal(data, &pair); err != nil || len(pair) != 2 {
		return errors.New("an entry is not a piece and its score")
	}
	if err := json.Unmarshal(pair[0], &p.piece); err != nil {
		return errors.New("a piece is not a string")
	}
	if err := json.Unmarshal(pair[1], &p.score); err != nil {
		return fmt.Errorf("the score of %.40q is not a number", p.piece)
	}
	return nil
}

// readUnigram decodes the vocab of a Unigram model.
func (m *modelFile) readUnigram() error {
	if err := json.Unmarshal(m.Vocab, &m.scored); err != nil {
		return fmt.Errorf("model vocab: %w", err)
	}
	if len(m.scored) > maxIDs {
		return fmt.Errorf("model vocab has %d pieces; at most %d are taken", len(m.scored), maxIDs)
	}
	m.vocab = make(map[string]int32, len(m.scored))
	for id, p := range m.scored {
		m.vocab[p.piece] = int32(id)
	}
	if m.UnkID == nil {
		return errors.New("a Unigram model without unk_id is not supported: a character outside the vocab would have no id")
	}
	if *m.UnkID < 0 || *m.UnkID >= len(m.scored) {
		return fmt.Errorf("model unk_id %d is not one of %d pieces", *m.UnkID, len(m.scored))
	}
	return nil
}

func (m *modelFile) buildUnigram() *unigram {
	u := &unigram{ids: m.vocab, pieces: newPrefixes(m.vocab), unk: int32(*m.UnkID), worst: math.Inf(1)}
	settings := []string{fmt.Sprintf("unigram unk %d byteFallback %t", u.unk, m.ByteFallback)}
	var scores strings.Builder
	for _, p := range m.scored {
		u.scores = append(u.scores, p.score)
		u.worst = min(u.worst, p.score)
		fmt.Fprintf(&scores, "%016x", math.Float64bits(p.score))
	}
	u.worst -= unknownPenalty
	if m.ByteFallback {
		u.bytes = someBytes(m.vocab)
	}
	m.settings = append(settings, scores.String())
	return u
}
