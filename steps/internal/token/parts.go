package token

import "unicode/utf8"

// Parts is a text that was encoded, with where added tokens cut it. What lies
// between them is encoded on its own, so that of another text that begins alike
// only what follows the last cut that both have is left to be encoded.
type Parts struct {
	t    *Tokenizer
	text string
	cuts []partCut // nil where the tokens beside a cut depend on what follows it
}

// partCut is an added token: its bytes, and how many ids there are up to its end.
type partCut struct{ lo, hi, ids int }

// AppendEncodeParts is AppendEncode without special tokens that can tell of
// prefixes of the text.
func (t *Tokenizer) AppendEncodeParts(dst []int32, in string) ([]int32, *Parts) {
	p := &Parts{t: t, text: in}
	if !t.raw.plain || !utf8.ValidString(in) {
		return t.AppendEncode(dst, in, false), p
	}
	s := t.borrow(false)
	defer t.giveBack(s)
	s.ids = dst
	p.cuts = []partCut{{0, 0, len(dst)}}
	t.raw.cut(text{s: in}, func(part text, id int32) {
		if id < 0 {
			t.encodePart(s, part)
			return
		}
		s.ids = append(s.ids, id)
		p.cuts = append(p.cuts, partCut{part.base, part.base + len(part.s), len(s.ids)})
	})
	dst, s.ids = s.ids, nil
	return dst, p
}

// Prefix tells which ids the first n bytes of the text have: the first shared ids
// of the whole, and rest, which it appends to dst. It returns false where that
// cannot be told without encoding them from the beginning.
func (p *Parts) Prefix(dst []int32, n int) (shared int, rest []int32, ok bool) {
	if p.cuts == nil || n < len(p.text) && !utf8.RuneStart(p.text[n]) {
		return 0, dst, false
	}
	k := len(p.cuts) - 1
	for k > 0 && p.cuts[k].hi > n {
		if p.cuts[k].lo < n { // part of an added token could be another
			return 0, dst, false
		}
		k--
	}
	last := p.cuts[k]
	if last.hi < n {
		s := p.t.borrow(false)
		defer p.t.giveBack(s)
		s.ids = dst
		p.t.encodePart(s, text{s: p.text}.slice(last.hi, n))
		dst, s.ids = s.ids, nil
	}
	return last.ids, dst, true
}
