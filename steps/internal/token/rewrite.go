package token

import (
	"unicode"
	"unicode/utf8"

	"github.com/pipe-run/pipe/steps/internal/token/regex"
	"golang.org/x/text/unicode/norm"
)

// mapRunes replaces each character by itself. It returns -1 for those that go.
type mapRunes func(rune) rune

func (f mapRunes) normalize(t text, track bool) text {
	r := rewriter{from: t, track: track}
	for i, c := range t.s {
		n := utf8.RuneLen(c)
		switch to := f(c); {
		case to == c:
			r.keep(i, i+n)
		case to >= 0:
			r.replace(i, i+n, string(to))
		}
	}
	return r.done()
}

// dropRunes removes the characters that it returns true for.
func dropRunes(drop func(rune) bool) mapRunes {
	return func(c rune) rune {
		if drop(c) {
			return -1
		}
		return c
	}
}

// nmt cleans text as sentencepiece's rules "nmt" do: some control characters
// go, what is like a space becomes one.
func nmt(c rune) rune {
	switch {
	case 0x01 <= c && c <= 0x08, c == 0x0B, 0x0E <= c && c <= 0x1F, c == 0x7F, c == 0x8F, c == 0x9F:
		return -1
	case c == '\t', c == '\n', c == '\f', c == '\r', c == 0x1680, 0x200B <= c && c <= 0x200F,
		c == 0x2028, c == 0x2029, c == 0x2581, c == 0xFEFF, c == 0xFFFD:
		return ' '
	}
	return c
}

// bert returns the steps of a BertNormalizer.
func (c component) bert() normalizers {
	var out normalizers
	if isTrue(c.CleanText) {
		out = append(out, mapRunes(bertClean))
	}
	if isTrue(c.ChineseChars) {
		out = append(out, spaceHan{})
	}
	lower := isTrue(c.Lowercase)
	if accents := c.StripAccents; accents != nil && *accents || accents == nil && lower {
		out = append(out, unicodeForm(norm.NFD), dropRunes(func(c rune) bool { return unicode.Is(unicode.Mn, c) }))
	}
	if lower {
		out = append(out, lowercase{})
	}
	return out
}

// bertClean removes control characters and makes all white space a space.
func bertClean(c rune) rune {
	switch {
	case c == '\t', c == '\n', c == '\r':
		return ' '
	case c == 0, c == 0xFFFD, unicode.In(c, unicode.Cc, unicode.Cf, unicode.Co):
		return -1
	case unicode.IsSpace(c):
		return ' '
	}
	return c
}

// spaceHan puts spaces around Chinese characters.
type spaceHan struct{}

func (spaceHan) normalize(t text, track bool) text {
	r := rewriter{from: t, track: track}
	for i, c := range t.s {
		n := utf8.RuneLen(c)
		if !isHan(c) {
			r.keep(i, i+n)
			continue
		}
		r.replace(i, i, " ")
		r.keep(i, i+n)
		r.replace(i+n, i+n, " ")
	}
	return r.done()
}

// isHan is what BERT takes for a Chinese character.
func isHan(c rune) bool {
	for _, r := range [][2]rune{
		{0x4E00, 0x9FFF}, {0x3400, 0x4DBF}, {0x20000, 0x2A6DF}, {0x2A700, 0x2B73F}, {0x2B740, 0x2B81F}, {0x2B920, 0x2CEAF}, {0xF900, 0xFAFF}, {0x2F800, 0x2FA1F},
	} {
		if r[0] <= c && c <= r[1] {
			return true
		}
	}
	return false
}

// spell writes each byte as a character of the byte-level alphabet.
type spell struct{ alphabet *byteLevel }

func (p spell) normalize(t text, track bool) text {
	r := rewriter{from: t, track: track}
	for i := range len(t.s) {
		r.replace(i, i+1, string(p.alphabet.runes[t.s[i]]))
	}
	return r.done()
}

func (p spell) split(t text, track bool, emit func(text)) {
	emit(p.normalize(t, track))
}

// replaceRegex replaces every match of a regular expression.
type replaceRegex struct {
	old *regex.Regexp
	new string
}

func (p replaceRegex) normalize(t text, track bool) text {
	if t.s == "" {
		return t
	}
	r := rewriter{from: t, track: track}
	done := 0
	p.old.Matches(t.s, func(lo, hi int) bool {
		r.keep(done, lo)
		r.replace(lo, hi, p.new)
		done = hi
		return true
	})
	r.keep(done, len(t.s))
	return r.done()
}

func (p replaceRegex) decode(pieces []string) []string {
	for i, piece := range pieces {
		pieces[i] = p.normalize(text{s: piece}, false).s
	}
	return pieces
}

// replacer is both a normalizer and a decoder.
type replacer interface {
	normalizer
	decoder
}

// replacement reads a Replace.
func (c component) replacement() (replacer, error) {
	literal, pattern, err := c.pattern()
	if err != nil {
		return nil, err
	}
	if literal != "" {
		return replaceLiteral{literal, c.Content}, nil
	}
	re, err := regex.Compile(pattern)
	if err != nil {
		return nil, err
	}
	return replaceRegex{re, c.Content}, nil
}
