package token

import (
	"fmt"
	"unicode/utf8"
)

// wordPiece makes of a pretoken the longest piece it begins with, then the
// longest continuing piece, and so on, as BERT does. A pretoken that cannot be
// made so, or is too long, is unknown as a whole.
type wordPiece struct {
	first, rest *prefixes // pieces that begin a word, pieces that go on
	unk         int32
	most        int // characters of a word
}

func (m *wordPiece) encode(s *scratch, t text) {
	if t.s == "" {
		return
	}
	from, spans := len(s.ids), len(s.spans)
	unknown := utf8.RuneCountInString(t.s) > m.most
	pieces := m.first
	for at := 0; at < len(t.s) && !unknown; pieces = m.rest {
		n, id := pieces.longest(t.s[at:])
		if unknown = n == 0; !unknown {
			s.add(id, t.span(at, at+n))
			at += n
		}
	}
	if unknown {
		s.ids, s.spans = s.ids[:from], s.spans[:spans]
		s.add(m.unk, t.span(0, len(t.s)))
	}
}

func (m *modelFile) buildWordPiece() (*wordPiece, error) {
	prefix, most := "##", 100
	if m.SubwordPrefix != nil {
		prefix = *m.SubwordPrefix
	}
	if m.MaxInputChars != nil {
		most = *m.MaxInputChars
	}
	unk, err := m.unknown("[UNK]")
	if err != nil {
		return nil, err
	}
	m.settings = []string{fmt.Sprintf("wordpiece unk %d most %d prefix %s", unk, most, prefix)}
	rest := map[string]int32{}
	for piece, id := range m.vocab {
		if len(piece) > len(prefix) && piece[:len(prefix)] == prefix {
			rest[piece[len(prefix):]] = id
		}
	}
	return &wordPiece{first: newPrefixes(m.vocab), rest: newPrefixes(rest), unk: unk, most: most}, nil
}

// wordLevel looks whole pretokens up.
type wordLevel struct {
	vocab map[string]int32
	unk   int32
}

func (m *wordLevel) encode(s *scratch, t text) {
	if t.s == "" {
		return
	}
	id, ok := m.vocab[t.s]
	if !ok {
		id = m.unk
	}
	s.add(id, t.span(0, len(t.s)))
}

func (m *modelFile) buildWordLevel() (*wordLevel, error) {
	unk, err := m.unknown("<unk>")
	if err != nil {
		return nil, err
	}
	m.settings = []string{fmt.Sprintf("wordlevel unk %d", unk)}
	return &wordLevel{m.vocab, unk}, nil
}

// unknown returns the id of the unknown token.
func (m *modelFile) unknown(usual string) (int32, error) {
	if m.UnkToken != nil {
		usual = *m.UnkToken
	}
	id, ok := m.vocab[usual]
	if !ok {
		return 0, fmt.Errorf("model unk_token %q is not in the vocab: a word outside it would have no id", usual)
	}
	return id, nil
}
