package token

import "unicode/utf8"

// scratch is the working memory of one Encode call. The cache of pretokens
// lives in it, so that calls share results without sharing a lock.
type scratch struct {
	track bool
	ids   []int32
	spans []Span // filled when track

	work   merger
	walker walker
	cache  cache
	ends   [batch]int
}

// batch is how many pretokens are found before their ids are looked up.
const batch = 64

// maxFree bounds how many scratches wait for the next call.
const maxFree = 64

func (t *Tokenizer) borrow(track bool) *scratch {
	t.mu.Lock()
	defer t.mu.Unlock()
	var s *scratch
	if n := len(t.free); n > 0 {
		s, t.free = t.free[n-1], t.free[:n-1]
	} else {
		s = &scratch{}
		s.cache.resize(firstLines)
	}
	s.track = track
	return s
}

func (t *Tokenizer) giveBack(s *scratch) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.free) < maxFree {
		t.free = append(t.free, s)
	}
}

// encode appends the ids of in to s.ids, and their spans when s.track.
func (t *Tokenizer) encode(s *scratch, in string, addSpecial bool) {
	whole := text{s: in}
	if !utf8.ValidString(in) {
		whole = validUTF8(whole, s.track)
	}
	from := len(s.ids)
	t.raw.cut(whole, func(part text, id int32) {
		if id >= 0 {
			s.add(id, part.span(0, len(part.s)))
			return
		}
		t.encodePart(s, part)
	})
	if addSpecial {
		t.wrap(s, from, len(in))
	}
}

// encodePart encodes text between the added tokens that are matched raw.
func (t *Tokenizer) encodePart(s *scratch, part text) {
	if t.spaced != nil && !s.track {
		t.spaced.encode(s, part)
		return
	}
	if t.normalizer != nil {
		part = t.normalizer.normalize(part, s.track)
	}
	t.normalized.cut(part, func(part text, id int32) {
		if id >= 0 {
			s.add(id, part.span(0, len(part.s)))
			return
		}
		t.encodePlain(s, part)
	})
}

// encodePlain encodes normalized text that holds no added token.
func (t *Tokenizer) encodePlain(s *scratch, part text) {
	if part.s == "" {
		return
	}
	if t.pre == nil {
		t.model.encode(s, part)
		return
	}
	if p := t.pattern; p != nil && !s.track {
		for i := 0; i < len(part.s); {
			n := p.fill(part.s, i, s.ends[:])
			t.bpe.words(s, part.s, i, s.ends[:n])
			i = s.ends[n-1]
		}
		return
	}
	t.pre.split(part, s.track, func(piece text) { t.model.encode(s, piece) })
}

func (s *scratch) add(id int32, span Span) {
	s.ids = append(s.ids, id)
	if s.track {
		s.spans = append(s.spans, span)
	}
}

// wrap puts the post-processor's ids around s.ids[from:]; size is the length
// of the text in bytes.
func (t *Tokenizer) wrap(s *scratch, from, size int) {
	for _, w := range t.post {
		if len(w.before) > 0 {
			s.ids = append(s.ids, w.before...)
			copy(s.ids[from+len(w.before):], s.ids[from:])
			copy(s.ids[from:], w.before)
			if s.track {
				s.spans = append(make([]Span, len(w.before)), s.spans...)
			}
		}
		for _, id := range w.after {
			s.add(id, Span{size, size})
		}
	}
}

// wrapIDs returns ids inside the post-processor's special tokens.
func (t *Tokenizer) wrapIDs(ids []int32) []int32 {
	for _, w := range t.post {
		ids = append(append(append([]int32{}, w.before...), ids...), w.after...)
	}
	return ids
}

// setPattern finds the one pattern that the pre-tokenizer of a BPE model
// amounts to, if there is one.
func (t *Tokenizer) setPattern() {
	var ok bool
	if t.bpe, ok = t.model.(*bpe); !ok {
		return
	}
	if t.spaced = newSpaced(t); t.spaced == nil {
		t.bpe.prepare(t.bpe.tokens / oddShare)
	}
	if t.pre == nil {
		return
	}
	all, ok := t.pre.(splitters)
	if !ok {
		all = splitters{t.pre}
	}
	if n := len(all); n > 1 && all[n-1] == (byteLevelSplit{}) {
		all = all[:n-1]
	}
	switch first := all[0].(type) {
	case scanSplit:
		if len(all) == 1 {
			t.pattern = first.pattern
		}
	case byteLevelSplit:
		if len(all) == 1 && first == (byteLevelSplit{regex: true}) {
			t.pattern = &gpt2{classTable: classesOf()}
		}
	case digitSplit:
		if len(all) == 2 && first.each && all[1] == (byteLevelSplit{regex: true}) {
			t.pattern = &gpt2{classTable: classesOf(), digitsApart: true}
		}
	}
}
