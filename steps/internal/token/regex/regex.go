// Package regex matches the regular expressions that tokenizers split text
// with: those of Oniguruma in its own syntax, which the Hugging Face library
// uses. It has what Go's regexp lacks: look-ahead and look-behind, atomic
// groups, possessive repeats, and classes with intersections.
//
// The leftmost match is found by trying alternatives in order and turning back,
// as Oniguruma does. What follows a place in the pattern at a place in the text
// depends on those two only, so when turning back becomes expensive every such
// result is remembered and none is computed twice: time is linear in the length
// of the text, whatever the pattern. For that, back references and repeats
// of what can be empty are refused when the pattern is compiled.
//
// Classes are those of Go's version of Unicode. Ignoring case compares single
// characters (Unicode's simple folding), not "ss" with "ß".
package regex

import "fmt"

// Bounds on patterns.
const (
	maxPattern = 1 << 14 // bytes
	maxNested  = 100     // groups and classes within each other
	maxProgram = 1 << 12 // instructions
	maxCount   = 1000    // of a repeat
)

// Regexp is a compiled pattern. It is immutable and safe for use by many
// goroutines.
type Regexp struct {
	pattern string
	code    []instr
	first   *set // what a match begins with; nil: anything, or nothing at all
}

// Compile compiles a pattern. An error names what is wrong or not supported.
func Compile(pattern string) (*Regexp, error) {
	if len(pattern) > maxPattern {
		return nil, fmt.Errorf("a pattern of %d bytes; at most %d are taken", len(pattern), maxPattern)
	}
	p := &parser{in: []rune(pattern)}
	n, err := p.parse()
	if err != nil {
		return nil, fmt.Errorf("%w at character %d of %q", err, p.at, pattern)
	}
	c := &compiler{}
	if err := c.program(n); err != nil {
		return nil, fmt.Errorf("%w in %q", err, pattern)
	}
	r := &Regexp{pattern: pattern, code: c.code}
	if first, ok := firstOf(n); ok {
		r.first = newSet(first)
	}
	return r, nil
}

// String returns the pattern.
func (r *Regexp) String() string { return r.pattern }

// Matches calls f with the bounds of every match in s, in order, until f
// returns false. A match that is empty is passed over where the one before
// ends. s has to be UTF-8.
func (r *Regexp) Matches(s string, f func(lo, hi int) bool) {
	m := machine{code: r.code, s: s}
	last := -1
	for i := 0; i <= len(s); {
		lo, hi := m.search(r.first, i)
		if lo < 0 {
			return
		}
		if lo == hi && hi == last {
			i = hi + runeSize(s, hi)
			continue
		}
		if !f(lo, hi) {
			return
		}
		i, last = hi, hi
	}
}
