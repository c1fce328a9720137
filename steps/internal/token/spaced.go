package token

import "strings"

// spaced encodes text for vocabularies of SentencePiece's kind, in which ▁ is a
// space, without writing the text anew: its model has the spaces themselves.
type spaced struct {
	model *bpe
	words *spacedWords

	always bool // a space is put in front of every text
	first  bool // … of the text that begins the input
	unless bool // … unless it has one
}

const lowLine = "▁"

// newSpaced returns nil for tokenizers of other kinds.
func newSpaced(t *Tokenizer) *spaced {
	m := t.bpe
	if m.splitAt != lowLine || len(t.normalized.nodes) > 1 {
		return nil
	}
	s := &spaced{words: &spacedWords{}}
	switch pre := t.pre.(type) {
	case nil:
		all, ok := t.normalizer.(normalizers)
		if !ok {
			all = normalizers{t.normalizer}
		}
		if n := len(all); n == 2 && all[0] == prepend(lowLine) {
			s.always, all = true, all[1:]
		}
		if len(all) != 1 || all[0] != (replaceLiteral{" ", lowLine}) {
			return nil
		}
	case metaspace:
		if t.normalizer != nil || pre.char != lowLine {
			return nil
		}
		s.always, s.first, s.unless, s.words.each = pre.always, pre.first, true, pre.cut
	default:
		return nil
	}
	if s.model = m.withSpaces(); s.model == nil {
		return nil
	}
	return s
}

// withSpaces returns the model with ▁ read as a space; nil if spaces have
// pieces of their own, or the model would not be walked.
func (m *bpe) withSpaces() *bpe {
	out := *m
	out.vocab = make(map[string]int32, len(m.vocab))
	for piece, id := range m.vocab {
		if strings.Contains(piece, " ") {
			return nil
		}
		out.vocab[strings.ReplaceAll(piece, lowLine, " ")] = id
	}
	out.ascii[' '], out.splitAt = m.vocab[lowLine], " "
	out.prepare(out.tokens / oddShare)
	if out.trie == nil {
		return nil
	}
	return &out
}

// encode appends the ids of a text to s. A ▁ in the text is a space too.
func (p *spaced) encode(s *scratch, t text) {
	t.s = strings.ReplaceAll(t.s, lowLine, " ")
	i := 0
	if (p.always || p.first && t.base == 0) && t.s != "" && !(p.unless && t.s[0] == ' ') {
		if !p.words.each || t.s[0] != ' ' {
			i = p.words.next(t.s, 0)
		}
		s.ids = p.model.afterSpace(s, s.ids, t.s[:i])
	}
	for i < len(t.s) {
		n := p.words.fill(t.s, i, s.ends[:])
		p.model.words(s, t.s, i, s.ends[:n])
		i = s.ends[n-1]
	}
}

// afterSpace appends the ids of a pretoken to which a space is put in front.
func (m *bpe) afterSpace(s *scratch, dst []int32, piece string) []int32 {
	if n := len(piece); n < maxKey {
		k := shortKey(piece, n)
		k.hi = k.hi<<8 | k.lo>>56 | uint64(n+1)<<56
		k.lo = k.lo<<8 | ' '
		if e := s.cache.get(k); e != nil {
			return s.cache.add(dst, e)
		}
	}
	piece = " " + piece
	return m.word(s, dst, piece, 0, len(piece))
}

// spacedWords cuts before spaces: before each, or before each that follows
// something else.
type spacedWords struct{ each bool }

func (p *spacedWords) fill(s string, i int, ends []int) int {
	n := 0
	for ; n < len(ends) && i < len(s); n++ {
		i = p.next(s, i)
		ends[n] = i
	}
	return n
}

func (p *spacedWords) next(s string, i int) int {
	if p.each {
		i++
	} else {
		for i < len(s) && s[i] == ' ' {
			i++
		}
	}
	if end := strings.IndexByte(s[min(i, len(s)):], ' '); end >= 0 {
		return i + end
	}
	return len(s)
}
