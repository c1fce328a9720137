package token

import (
	"strings"
	"unicode/utf8"
)

// text is a piece of the input on its way through the stages, with the way
// back to the bytes it came from.
type text struct {
	s    string
	base int    // offset of s in the input; after a rewrite, that of its beginning
	at   []Span // per byte of s; nil while s is a plain slice of the input
}

// slice returns the bytes [lo, hi) of t.
func (t text) slice(lo, hi int) text {
	out := text{s: t.s[lo:hi], base: t.base + lo}
	if t.at != nil {
		out.at = t.at[lo:hi]
	}
	return out
}

// span returns where the bytes [lo, hi) of t lie in the input.
func (t text) span(lo, hi int) Span {
	switch {
	case t.at == nil:
		return Span{t.base + lo, t.base + hi}
	case lo < hi:
		return Span{t.at[lo].Start, t.at[hi-1].End}
	case lo < len(t.at):
		return Span{t.at[lo].Start, t.at[lo].Start}
	case lo > 0:
		return Span{t.at[lo-1].End, t.at[lo-1].End}
	}
	return Span{t.base, t.base}
}

// rewriter builds a changed copy of a text, keeping spans when asked to.
type rewriter struct {
	from  text
	track bool
	out   strings.Builder
	at    []Span
}

// keep copies the bytes [lo, hi) unchanged.
func (r *rewriter) keep(lo, hi int) {
	r.out.WriteString(r.from.s[lo:hi])
	if r.track {
		for i := lo; i < hi; i++ {
			r.at = append(r.at, r.from.span(i, i+1))
		}
	}
}

// replace writes with in the place of the bytes [lo, hi); lo == hi inserts.
func (r *rewriter) replace(lo, hi int, with string) {
	r.out.WriteString(with)
	if r.track {
		span := r.from.span(lo, hi)
		for range len(with) {
			r.at = append(r.at, span)
		}
	}
}

func (r *rewriter) done() text {
	t := text{s: r.out.String(), base: r.from.base}
	if r.track {
		t.at = r.at
		if t.at == nil {
			t.at = []Span{}
		}
	}
	return t
}

// validUTF8 replaces what is not UTF-8 by U+FFFD, one for each maximal
// subpart, as Unicode recommends and Rust and Python do.
func validUTF8(t text, track bool) text {
	r := rewriter{from: t, track: track}
	for i := 0; i < len(t.s); {
		c, n := utf8.DecodeRuneInString(t.s[i:])
		if c == utf8.RuneError && n <= 1 {
			n = badPrefix(t.s[i:])
			r.replace(i, i+n, "\uFFFD")
		} else {
			r.keep(i, i+n)
		}
		i += n
	}
	return r.done()
}

// badPrefix is the length of the maximal subpart of the ill-formed sequence at
// the beginning of s: the bytes that could begin a character, at least one
// (Unicode 3.9, table 3-7).
func badPrefix(s string) int {
	size, lo, hi := 0, byte(0x80), byte(0xBF)
	switch b := s[0]; {
	case b >= 0xC2 && b <= 0xDF:
		size = 2
	case b >= 0xE0 && b <= 0xEF:
		size = 3
	case b >= 0xF0 && b <= 0xF4:
		size = 4
	}
	switch s[0] {
	case 0xE0:
		lo = 0xA0
	case 0xED:
		hi = 0x9F
	case 0xF0:
		lo = 0x90
	case 0xF4:
		hi = 0x8F
	}
	n := 1
	for n < size && n < len(s) && lo <= s[n] && s[n] <= hi {
		n, lo, hi = n+1, 0x80, 0xBF
	}
	return n
}
