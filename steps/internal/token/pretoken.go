package token

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// splitter cuts text into pretokens, given to emit in order. Pretokens are
// never empty.
type splitter interface {
	split(t text, track bool, emit func(text))
}

// splitters apply one after another, each to the pretokens of the one before.
type splitters []splitter

func (all splitters) split(t text, track bool, emit func(text)) {
	if len(all) == 0 {
		emit(t)
		return
	}
	rest := all[1:]
	if len(rest) > 0 {
		last := emit
		emit = func(piece text) { rest.split(piece, track, last) }
	}
	all[0].split(t, track, emit)
}

// scanSplit cuts at the matches of a pattern, which cover everything.
type scanSplit struct{ pattern }

func (p scanSplit) split(t text, _ bool, emit func(text)) {
	for i := 0; i < len(t.s); {
		end := p.next(t.s, i)
		emit(t.slice(i, end))
		i = end
	}
}

// byteLevelSplit is the ByteLevel pre-tokenizer without its alphabet, which
// the model takes care of.
type byteLevelSplit struct{ prefixSpace, regex bool }

func (p byteLevelSplit) split(t text, track bool, emit func(text)) {
	if p.prefixSpace && t.s != "" && t.s[0] != ' ' {
		t = prepend(" ").normalize(t, track)
	}
	switch {
	case p.regex:
		scanSplit{&gpt2{classTable: classesOf()}}.split(t, track, emit)
	case t.s != "":
		emit(t)
	}
}

// behavior is what becomes of the matches of a split.
type behavior int

const (
	removed behavior = iota
	isolated
	mergedWithPrevious
	mergedWithNext
	contiguous
)

// matchSplit cuts at characters or strings. next returns the first match at or
// after i, or lo == len(s).
type matchSplit struct {
	next     func(s string, i int) (lo, hi int)
	behavior behavior
	invert   bool // what lies between the matches is the match
}

// part is a stretch of text that is, or is not, a match.
type part struct {
	lo, hi int
	match  bool
}

func (p matchSplit) split(t text, _ bool, emit func(text)) {
	var last part // kept back, empty at first
	flush := func() {
		if last.lo < last.hi {
			emit(t.slice(last.lo, last.hi))
		}
	}
	p.parts(t.s, func(now part) {
		now.match = now.match != p.invert
		switch {
		case p.behavior == removed && now.match:
			flush()
			last = part{now.hi, now.hi, false}
		case p.behavior == mergedWithPrevious && now.match && !last.match && last.lo < last.hi,
			p.behavior == mergedWithNext && !now.match && last.match,
			p.behavior == contiguous && now.match == last.match && last.lo < last.hi:
			last = part{last.lo, now.hi, now.match}
		default:
			flush()
			last = now
		}
	})
	flush()
}

// parts calls f for every stretch of s, matches and what lies between.
func (p matchSplit) parts(s string, f func(part)) {
	for i := 0; i < len(s); {
		lo, hi := p.next(s, i)
		if i < lo {
			f(part{i, lo, false})
		}
		if lo < hi {
			f(part{lo, hi, true})
		}
		i = max(hi, lo)
	}
}

// digitSplit isolates digits: each one, or each run of them.
type digitSplit struct{ each bool }

func (p digitSplit) split(t text, _ bool, emit func(text)) {
	table := classesOf()
	for i := 0; i < len(t.s); {
		end := table.run(t.s, i, anything&^digits)
		if end == i && p.each {
			_, n := table.at(t.s, i)
			end += n
		} else if end == i {
			end = table.run(t.s, i, digits)
		}
		emit(t.slice(i, end))
		i = end
	}
}

// eachRune matches single characters.
func eachRune(is func(rune) bool) func(string, int) (int, int) {
	return func(s string, i int) (int, int) {
		for i < len(s) {
			c, n := utf8.DecodeRuneInString(s[i:])
			if is(c) {
				return i, i + n
			}
			i += n
		}
		return len(s), len(s)
	}
}

// eachString matches a string that is not empty.
func eachString(want string) func(string, int) (int, int) {
	return func(s string, i int) (int, int) {
		at := strings.Index(s[i:], want)
		if at < 0 {
			return len(s), len(s)
		}
		return i + at, i + at + len(want)
	}
}

// isPunctuation is the category P, and all of ASCII's symbols too.
func isPunctuation(c rune) bool {
	if c < utf8.RuneSelf {
		return c > ' ' && c < 0x7F && !isWord(c) || c == '_'
	}
	return unicode.IsPunct(c)
}

// wordSplit is the Whitespace pre-tokenizer: \w+|[^\w\s]+, the rest removed.
type wordSplit struct{}

func (wordSplit) split(t text, _ bool, emit func(text)) {
	kind := func(c rune) int {
		switch {
		case isWord(c):
			return 1
		case unicode.IsSpace(c):
			return 0
		}
		return 2
	}
	from, was := 0, 0
	for i, c := range t.s {
		k := kind(c)
		if k != was {
			if was != 0 {
				emit(t.slice(from, i))
			}
			from, was = i, k
		}
	}
	if was != 0 {
		emit(t.slice(from, len(t.s)))
	}
}

// metaspace replaces spaces by a visible character and may put one in front.
type metaspace struct {
	char   string
	always bool // in front of every piece
	first  bool // in front of the piece that begins the text
	cut    bool // split before every char
}

func (p metaspace) split(t text, track bool, emit func(text)) {
	t = replaceLiteral{" ", p.char}.normalize(t, track)
	if (p.always || p.first && t.base == 0) && !strings.HasPrefix(t.s, p.char) {
		t = prepend(p.char).normalize(t, track)
	}
	if !p.cut {
		emit(t)
		return
	}
	matchSplit{next: eachString(p.char), behavior: mergedWithNext}.split(t, track, emit)
}
