package token

import (
	"unicode"
	"unicode/utf8"

	"github.com/pipe-run/pipe/steps/internal/token/regex"
)

// regexSplit cuts at the matches of any regular expression. Unlike those of
// matchSplit they may be empty.
type regexSplit struct {
	pattern  *regex.Regexp
	behavior behavior
	invert   bool
}

func (p regexSplit) split(t text, _ bool, emit func(text)) {
	for _, part := range p.join(p.parts(t.s)) {
		if part.lo < part.hi {
			emit(t.slice(part.lo, part.hi))
		}
	}
}

// parts returns the matches and what lies between.
func (p regexSplit) parts(s string) []part {
	var all []part
	done := 0
	p.pattern.Matches(s, func(lo, hi int) bool {
		if done < lo {
			all = append(all, part{done, lo, p.invert})
		}
		all = append(all, part{lo, hi, !p.invert})
		done = hi
		return true
	})
	if done < len(s) {
		all = append(all, part{done, len(s), p.invert})
	}
	return all
}

// join applies the behavior.
func (p regexSplit) join(all []part) []part {
	out := all[:0]
	was := false // whether the part before was a match
	switch p.behavior {
	case removed:
		for _, now := range all {
			if !now.match {
				out = append(out, now)
			}
		}
	case isolated:
		return all
	case mergedWithNext:
		for i := len(all) - 1; i >= 0; i-- { // from behind, into the end of all
			now := all[i]
			if next := i + 1; now.match && next < len(all) && !all[next].match {
				all[next] = part{now.lo, all[next].hi, false}
				all[i] = part{now.lo, now.lo, true}
			}
		}
		return all
	default:
		for _, now := range all {
			joined := now.match == was
			if p.behavior == mergedWithPrevious {
				joined = now.match && !was
			}
			was = now.match
			if last := len(out) - 1; joined && last >= 0 {
				out[last].hi = now.hi
				continue
			}
			out = append(out, now)
		}
	}
	return out
}

// lengthSplit cuts after so many characters.
type lengthSplit int

func (n lengthSplit) split(t text, _ bool, emit func(text)) {
	for i := 0; i < len(t.s); {
		from := i
		for count := 0; count < int(n) && i < len(t.s); count++ {
			_, size := utf8.DecodeRuneInString(t.s[i:])
			i += size
		}
		emit(t.slice(from, i))
	}
}

// scriptSplit cuts where the script changes, as sentencepiece does. Spaces and
// characters without a script go with what is before; those at the beginning
// are dropped.
type scriptSplit struct{}

func (scriptSplit) split(t text, _ bool, emit func(text)) {
	from, last := -1, ""
	for i, c := range t.s {
		script := scriptOf(c)
		if script == "" || script == last {
			continue
		}
		if from >= 0 {
			emit(t.slice(from, i))
		}
		from, last = i, script
	}
	if from >= 0 {
		emit(t.slice(from, len(t.s)))
	}
}

// scriptOf returns the script of a character; Japanese counts as Chinese.
func scriptOf(c rune) string {
	if c == ' ' {
		return ""
	}
	switch s := unicodeScript(c); s {
	case "Hiragana", "Katakana":
		return "Han"
	default:
		if c == 0x30FC { // ー
			return "Han"
		}
		return s
	}
}

// unicodeScript returns the script by Unicode, or "".
func unicodeScript(c rune) string {
	for _, name := range []string{"Latin", "Common", "Han", "Cyrillic"} { // most often
		if unicode.Is(unicode.Scripts[name], c) {
			return name
		}
	}
	for name, table := range unicode.Scripts { // of which one at most holds c
		if unicode.Is(table, c) {
			return name
		}
	}
	return ""
}
