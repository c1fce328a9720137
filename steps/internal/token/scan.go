package token

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// The regular expressions that byte-level models split text with, as scanners
// written by hand: Go's regexp has no look-ahead. Each splits all of its text.
// "\s+(?!\S)" is a run of white space less its last character when something
// else follows. Letters, numbers and white space are those of Go's version of
// Unicode: characters added to Unicode since may be split otherwise.

// scanner returns the end of the match that begins at byte i of s, i < len(s).
type scanner func(s string, i int) int

// regexScanner returns the scanner of a known pattern.
func regexScanner(pattern string) (scanner, bool) {
	switch pattern {
	case `'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+`,
		`'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+`:
		return scanGPT2, true
	case `(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`:
		return tiktoken{digits: 3}.scan, true // Llama 3
	case `(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`:
		return tiktoken{digits: 1}.scan, true // Qwen 2 to 3
	case `(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`:
		return tiktoken{digits: 1, marks: true}.scan, true // Qwen 3.5
	}
	return nil, false
}

// class is what the patterns tell characters apart by.
type class uint8

const (
	other class = iota
	letter
	digit // \p{N}
	space // \s
	mark  // \p{M}
)

// classAt returns the class and length of the character at byte i.
func classAt(s string, i int) (class, int) {
	if b := s[i]; b < utf8.RuneSelf {
		switch {
		case 'a' <= b && b <= 'z' || 'A' <= b && b <= 'Z':
			return letter, 1
		case '0' <= b && b <= '9':
			return digit, 1
		case b == ' ' || '\t' <= b && b <= '\r':
			return space, 1
		}
		return other, 1
	}
	c, n := utf8.DecodeRuneInString(s[i:])
	switch {
	case unicode.IsLetter(c):
		return letter, n
	case unicode.IsNumber(c):
		return digit, n
	case unicode.IsSpace(c):
		return space, n
	case unicode.IsMark(c):
		return mark, n
	}
	return other, n
}

// run returns the end of the run of characters from i on for which in holds.
func run(s string, i int, in func(class) bool) int {
	for i < len(s) {
		c, n := classAt(s, i)
		if !in(c) {
			break
		}
		i += n
	}
	return i
}

func isLetter(c class) bool { return c == letter }
func isDigit(c class) bool  { return c == digit }
func isSpace(c class) bool  { return c == space }
func isOther(c class) bool  { return c == other || c == mark }

// scanGPT2 is the pattern of GPT-2.
func scanGPT2(s string, i int) int {
	if end := contraction(s, i, false); end > i {
		return end
	}
	from := i
	if s[i] == ' ' && i+1 < len(s) {
		from++
	}
	switch c, _ := classAt(s, from); c {
	case letter:
		return run(s, from, isLetter)
	case digit:
		return run(s, from, isDigit)
	case other, mark:
		return run(s, from, isOther)
	}
	return spaceRun(s, i)
}

// tiktoken is the family of patterns that began with GPT-4's: digits is how
// many make a match, marks whether marks count as letters.
type tiktoken struct {
	digits int
	marks  bool
}

func (p tiktoken) isLetter(c class) bool { return c == letter || p.marks && c == mark }
func (p tiktoken) isOther(c class) bool  { return c == other || !p.marks && c == mark }

func (p tiktoken) scan(s string, i int) int {
	if end := contraction(s, i, true); end > i {
		return end
	}
	c, n := classAt(s, i)
	if p.isLetter(c) {
		return run(s, i, p.isLetter)
	}
	next := other
	if i+n < len(s) {
		next, _ = classAt(s, i+n)
		if c != digit && s[i] != '\r' && s[i] != '\n' && p.isLetter(next) {
			return run(s, i+n, p.isLetter)
		}
	}
	if c == digit {
		return p.number(s, i)
	}
	from := i
	if s[i] == ' ' && i+1 < len(s) && p.isOther(next) {
		from++
	}
	if from > i || p.isOther(c) {
		end := run(s, from, p.isOther)
		for end < len(s) && (s[end] == '\r' || s[end] == '\n') {
			end++
		}
		return end
	}
	end := run(s, i, isSpace)
	if line := strings.LastIndexAny(s[i:end], "\r\n"); line >= 0 {
		return i + line + 1
	}
	return spaceRun(s, i)
}

// number returns the end of at most p.digits digits.
func (p tiktoken) number(s string, i int) int {
	for range p.digits {
		if i == len(s) {
			break
		}
		c, n := classAt(s, i)
		if c != digit {
			break
		}
		i += n
	}
	return i
}

// spaceRun matches \s+(?!\S)|\s+ at i, where white space is.
func spaceRun(s string, i int) int {
	end := run(s, i, isSpace)
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
