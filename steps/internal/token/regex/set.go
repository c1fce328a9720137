package regex

import (
	"slices"
	"sort"
	"sync"
	"unicode"
	"unicode/utf8"
)

// span is the characters from lo to hi, both included.
type span struct{ lo, hi rune }

// spans are characters: sorted, and neither overlapping nor adjacent.
type spans []span

// tidy sorts and joins.
func (s spans) tidy() spans {
	slices.SortFunc(s, func(a, b span) int { return int(a.lo) - int(b.lo) })
	out := s[:0]
	for _, r := range s {
		if n := len(out); n > 0 && r.lo <= out[n-1].hi+1 {
			out[n-1].hi = max(out[n-1].hi, r.hi)
			continue
		}
		out = append(out, r)
	}
	return out
}

func (s spans) not() spans {
	var out spans
	next := rune(0)
	for _, r := range s {
		if next < r.lo {
			out = append(out, span{next, r.lo - 1})
		}
		next = r.hi + 1
	}
	if next <= unicode.MaxRune {
		out = append(out, span{next, unicode.MaxRune})
	}
	return out
}

func (s spans) and(t spans) spans {
	var out spans
	for i, j := 0, 0; i < len(s) && j < len(t); {
		if lo, hi := max(s[i].lo, t[j].lo), min(s[i].hi, t[j].hi); lo <= hi {
			out = append(out, span{lo, hi})
		}
		if s[i].hi < t[j].hi {
			i++
		} else {
			j++
		}
	}
	return out
}

func (s spans) or(t spans) spans {
	return append(slices.Clone(s), t...).tidy()
}

func (s spans) has(c rune) bool {
	i := sort.Search(len(s), func(i int) bool { return s[i].hi >= c })
	return i < len(s) && s[i].lo <= c
}

// fromTables returns the characters of tables.
func fromTables(tables ...*unicode.RangeTable) spans {
	var out spans
	add := func(lo, hi, stride rune) {
		if stride == 1 {
			out = append(out, span{lo, hi})
			return
		}
		for c := lo; c <= hi; c += stride {
			out = append(out, span{c, c})
		}
	}
	for _, t := range tables {
		for _, r := range t.R16 {
			add(rune(r.Lo), rune(r.Hi), rune(r.Stride))
		}
		for _, r := range t.R32 {
			add(rune(r.Lo), rune(r.Hi), rune(r.Stride))
		}
	}
	return out.tidy()
}

// cased are the characters that differ from another in case only.
var cased = sync.OnceValue(func() []rune {
	var out []rune
	for _, r := range fromTables(unicode.L, unicode.M, unicode.Nl, unicode.So) {
		for c := r.lo; c <= r.hi; c++ {
			if unicode.SimpleFold(c) != c {
				out = append(out, c)
			}
		}
	}
	return out
})

// folded adds the characters that differ in case only.
func (s spans) folded() spans {
	out := slices.Clone(s)
	for _, c := range cased() {
		if !s.has(c) {
			continue
		}
		for d := unicode.SimpleFold(c); d != c; d = unicode.SimpleFold(d) {
			out = append(out, span{d, d})
		}
	}
	return out.tidy()
}

// set is spans with a table for ASCII.
type set struct {
	ascii [2]uint64
	spans spans
}

func newSet(s spans) *set {
	out := &set{spans: s}
	for c := rune(0); c < utf8.RuneSelf; c++ {
		if s.has(c) {
			out.ascii[c>>6] |= 1 << (c & 63)
		}
	}
	return out
}

// at returns the size of the character at byte i if it is in the set, else 0.
func (c *set) at(s string, i int) int {
	if i >= len(s) {
		return 0
	}
	if b := s[i]; b < utf8.RuneSelf {
		return int(c.ascii[b>>6] >> (b & 63) & 1)
	}
	if r, n := utf8.DecodeRuneInString(s[i:]); c.spans.has(r) {
		return n
	}
	return 0
}

// runeSize is the size of the character at byte i, at least 1.
func runeSize(s string, i int) int {
	if i >= len(s) || s[i] < utf8.RuneSelf {
		return 1
	}
	_, n := utf8.DecodeRuneInString(s[i:])
	return n
}
