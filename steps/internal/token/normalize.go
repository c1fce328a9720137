package token

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// normalizer rewrites text before it is split.
type normalizer interface {
	normalize(t text, track bool) text
}

// normalizers apply one after another.
type normalizers []normalizer

func (n normalizers) normalize(t text, track bool) text {
	for _, each := range n {
		t = each.normalize(t, track)
	}
	return t
}

// prepend puts a string in front of text that is not empty.
type prepend string

func (p prepend) normalize(t text, track bool) text {
	if t.s == "" {
		return t
	}
	r := rewriter{from: t, track: track}
	r.replace(0, 0, string(p))
	r.keep(0, len(t.s))
	return r.done()
}

// replaceLiteral replaces every occurrence of a string.
type replaceLiteral struct{ old, new string }

func (l replaceLiteral) normalize(t text, track bool) text {
	if !strings.Contains(t.s, l.old) {
		return t
	}
	if !track {
		return text{s: strings.ReplaceAll(t.s, l.old, l.new), base: t.base}
	}
	r := rewriter{from: t, track: track}
	i := 0
	for {
		at := strings.Index(t.s[i:], l.old)
		if at < 0 {
			break
		}
		r.keep(i, i+at)
		r.replace(i+at, i+at+len(l.old), l.new)
		i += at + len(l.old)
	}
	r.keep(i, len(t.s))
	return r.done()
}

// unicodeForm is one of the four Unicode normalization forms.
type unicodeForm norm.Form

func (u unicodeForm) normalize(t text, track bool) text {
	form := norm.Form(u)
	if form == norm.NFC && composedChars().has(t.s) || form.IsNormalString(t.s) {
		return t
	}
	if !track {
		return text{s: form.String(t.s), base: t.base}
	}
	r := rewriter{from: t, track: track}
	for i := 0; i < len(t.s); {
		n := form.NextBoundaryInString(t.s[i:], true)
		if n <= 0 {
			n = len(t.s) - i
		}
		segment := t.s[i : i+n]
		if changed := form.String(segment); changed != segment {
			r.replace(i, i+n, changed)
		} else {
			r.keep(i, i+n)
		}
		i += n
	}
	return r.done()
}

// lowercase maps every character to its lower case by itself.
type lowercase struct{}

func (lowercase) normalize(t text, track bool) text {
	r := rewriter{from: t, track: track}
	for i, c := range t.s {
		n := utf8.RuneLen(c)
		switch lower := unicode.ToLower(c); {
		case c == 'İ': // the one character whose lower case is two
			r.replace(i, i+n, "i\u0307")
		case lower != c:
			r.replace(i, i+n, string(lower))
		default:
			r.keep(i, i+n)
		}
	}
	return r.done()
}

// trimSpace removes white space at the ends.
type trimSpace struct{ left, right bool }

func (s trimSpace) normalize(t text, track bool) text {
	lo, hi := 0, len(t.s)
	if s.left {
		lo = hi - len(strings.TrimLeftFunc(t.s, unicode.IsSpace))
	}
	if s.right {
		hi = lo + len(strings.TrimRightFunc(t.s[lo:], unicode.IsSpace))
	}
	r := rewriter{from: t, track: track} // which still begins where t does
	r.keep(lo, hi)
	return r.done()
}
