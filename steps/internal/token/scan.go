package token

import (
	"strings"
	"unicode/utf8"
)

// The regular expressions that byte-level models split text with, as scanners
// written by hand: Go's regexp has no look-ahead, and would be slow. Each
// splits all of its text. "\s+(?!\S)" is a run of white space less its last
// character when something else follows.

// A pattern is a known regular expression. fill writes the ends of as many
// matches as ends takes, the first of which begins at byte i of s, and returns
// how many.
type pattern interface {
	next(s string, i int) int
	fill(s string, i int, ends []int) int
}

// The known patterns.
const (
	patternGPT2     = `'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+`
	patternGPT2Fast = `'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+`
	patternLlama3   = `(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`
	patternQwen2    = `(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`
	patternQwen35   = `(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`
)

// regexScanner returns the scanner of a regular expression.
func regexScanner(regex string) (pattern, bool) {
	t := classesOf()
	switch regex {
	case patternGPT2, patternGPT2Fast:
		return &gpt2{classTable: t}, true
	case patternLlama3:
		return newTiktoken(t, 3, letters), true
	case patternQwen2:
		return newTiktoken(t, 1, letters), true
	case patternQwen35:
		return newTiktoken(t, 1, letters|marks), true
	case patternO200k:
		return &cased{t, 3, true}, true
	case patternTekken:
		return &cased{t, 1, false}, true
	}
	return nil, false
}

// gpt2 is the pattern of GPT-2. With digitsApart text is split at each digit
// first, as the pre-tokenizer Digits does.
type gpt2 struct {
	*classTable
	digitsApart bool
}

func (p *gpt2) fill(s string, i int, ends []int) int {
	n := 0
	for ; n < len(ends) && i < len(s); n++ {
		i = p.next(s, i)
		ends[n] = i
	}
	return n
}

func (p *gpt2) next(s string, i int) int {
	from := i
	switch s[i] {
	case ' ':
		if i+1 < len(s) {
			from++
		}
	case '\'':
		if end := contraction(s, i, false); end > i {
			return end
		}
	}
	switch c, n := p.at(s, from); {
	case letters.has(c):
		return p.word(s, from+n, letters)
	case c == digit && p.digitsApart:
		if from > i {
			return from
		}
		return from + n
	case c == digit:
		return p.run(s, from+n, digits)
	case !spaces.has(c):
		return p.run(s, from+n, anything&^(letters|digits|spaces))
	}
	end := p.run(s, i, spaces)
	if p.digitsApart && end < len(s) {
		if c, _ := p.at(s, end); c == digit {
			return end
		}
	}
	return lessLast(s, i, end)
}

// tiktoken is the family of patterns that began with GPT-4's.
type tiktoken struct {
	*classTable
	digits int // how many make a match
	letter set // what words are made of
	others set // neither those nor digits nor white space
}

func newTiktoken(t *classTable, digitCount int, letter set) *tiktoken {
	return &tiktoken{t, digitCount, letter, anything &^ (letter | digits | spaces)}
}

func (p *tiktoken) fill(s string, i int, ends []int) int {
	n := 0
	for ; n < len(ends) && i < len(s); n++ {
		i = p.next(s, i)
		ends[n] = i
	}
	return n
}

func (p *tiktoken) next(s string, i int) int {
	if s[i] == '\'' {
		if end := contraction(s, i, true); end > i {
			return end
		}
	}
	c, n := p.at(s, i)
	switch {
	case p.letter.has(c):
		return p.word(s, i+n, p.letter)
	case c == digit:
		return p.number(s, i+n, p.digits-1)
	}
	if from := i + n; c != newline && from < len(s) {
		switch d, m := p.at(s, from); {
		case p.letter.has(d):
			return p.word(s, from+m, p.letter)
		case s[i] == ' ' && p.others.has(d):
			return p.lineEnd(s, p.run(s, from+m, p.others))
		}
	}
	if p.others.has(c) {
		return p.lineEnd(s, p.run(s, i+n, p.others))
	}
	return p.whites(s, i)
}

// number returns the end of at most count digits.
func (t *classTable) number(s string, i, count int) int {
	for ; count > 0 && i < len(s); count-- {
		c, n := t.at(s, i)
		if c != digit {
			break
		}
		i += n
	}
	return i
}

// lineEnd matches [\r\n]*.
func (t *classTable) lineEnd(s string, i int) int {
	for i < len(s) && (s[i] == '\r' || s[i] == '\n') {
		i++
	}
	return i
}

// whites matches \s*[\r\n]+|\s+(?!\S)|\s+ at i, where white space is.
func (t *classTable) whites(s string, i int) int {
	end := t.run(s, i, spaces)
	for j := end; j > i; j-- {
		if s[j-1] == '\r' || s[j-1] == '\n' {
			return j
		}
	}
	return lessLast(s, i, end)
}

// lessLast matches \s+(?!\S)|\s+ where the white space from i on ends at end.
func lessLast(s string, i, end int) int {
	if end == len(s) {
		return end
	}
	_, last := utf8.DecodeLastRuneInString(s[:end])
	if end-last > i {
		return end - last
	}
	return end
}

// contraction matches 's, 't, 're, 've, 'm, 'll or 'd at i, or returns i. With
// fold, case does not matter; then ſ (U+017F) is an s, as in Oniguruma.
func contraction(s string, i int, fold bool) int {
	if s[i] != '\'' || i+1 >= len(s) {
		return i
	}
	lower := func(j int) byte {
		if j >= len(s) {
			return 0
		}
		if fold && 'A' <= s[j] && s[j] <= 'Z' {
			return s[j] + 'a' - 'A'
		}
		return s[j]
	}
	switch a, b := lower(i+1), lower(i+2); {
	case a == 's' || a == 't' || a == 'm' || a == 'd':
		return i + 2
	case a == 'r' && b == 'e', a == 'v' && b == 'e', a == 'l' && b == 'l':
		return i + 3
	case fold && strings.HasPrefix(s[i+1:], "ſ"):
		return i + 1 + len("ſ")
	}
	return i
}
