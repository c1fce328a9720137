package token

import (
	"math/bits"
	"sync"
	"unicode"
	"unicode/utf8"
)

// class is what pre-tokenizers tell characters apart by. Every character has
// one class, by Go's version of Unicode: characters added to Unicode since are
// other.
type class uint8

const (
	other   class = iota
	upper         // Lu, Lt
	lower         // Ll
	letter        // Lm, Lo
	mark          // M
	digit         // N
	space         // White_Space, but not \r and \n
	newline       // \r and \n
	punct         // P
	sign          // S
)

// A set holds classes, one a bit.
type set uint16

const (
	letters  set = 1<<upper | 1<<lower | 1<<letter
	digits   set = 1 << digit
	spaces   set = 1<<space | 1<<newline
	newlines set = 1 << newline
	marks    set = 1 << mark
	anything set = 1<<(sign+1) - 1
)

func (in set) has(c class) bool { return in>>c&1 != 0 }

// classTable finds the class of a character: blocks of 256, equal ones stored
// once.
type classTable struct {
	ascii  [utf8.RuneSelf]class
	index  [(unicode.MaxRune + 1) >> 8]uint16
	blocks [][256]class
}

// classesOf returns the table, made once.
var classesOf = sync.OnceValue(newClassTable)

func newClassTable() *classTable {
	all := make([]class, unicode.MaxRune+1)
	for _, part := range []struct {
		table *unicode.RangeTable
		class class
	}{
		{unicode.L, letter}, {unicode.Lu, upper}, {unicode.Lt, upper}, {unicode.Ll, lower}, {unicode.M, mark},
		{unicode.N, digit}, {unicode.P, punct}, {unicode.S, sign}, {unicode.White_Space, space},
	} {
		for _, r := range part.table.R16 {
			for c := int(r.Lo); c <= int(r.Hi); c += int(r.Stride) {
				all[c] = part.class
			}
		}
		for _, r := range part.table.R32 {
			for c := int(r.Lo); c <= int(r.Hi); c += int(r.Stride) {
				all[c] = part.class
			}
		}
	}
	all['\r'], all['\n'] = newline, newline
	t := &classTable{}
	copy(t.ascii[:], all)
	seen := map[[256]class]uint16{}
	for i := range t.index {
		block := [256]class(all[i<<8:])
		at, ok := seen[block]
		if !ok {
			at = uint16(len(t.blocks))
			seen[block] = at
			t.blocks = append(t.blocks, block)
		}
		t.index[i] = at
	}
	return t
}

// of returns the class of a character.
func (t *classTable) of(c rune) class {
	return t.blocks[t.index[c>>8]][c&0xFF]
}

// at returns the class and length of the character at byte i.
func (t *classTable) at(s string, i int) (class, int) {
	if b := s[i]; b < utf8.RuneSelf {
		return t.ascii[b], 1
	}
	return t.wide(s, i)
}

// wide is at for characters outside ASCII.
func (t *classTable) wide(s string, i int) (class, int) {
	c, n := decode(s, i)
	return t.of(c), n
}

// run returns the end of the run of characters in a set from byte i on.
func (t *classTable) run(s string, i int, in set) int {
	for i < len(s) {
		if b := s[i]; b < utf8.RuneSelf {
			if !in.has(t.ascii[b]) {
				break
			}
			i++
			continue
		}
		c, n := t.wide(s, i)
		if !in.has(c) {
			break
		}
		i += n
	}
	return i
}

// word is run for a set that holds ASCII's letters and nothing else of ASCII:
// those are passed eight at a time.
func (t *classTable) word(s string, i int, in set) int {
	for len(s)-i >= 8 {
		n := bits.TrailingZeros64(notLetters(load64(s, i))) >> 3
		i += n
		if n < 8 {
			if s[i] < utf8.RuneSelf {
				return i
			}
			break
		}
	}
	return t.run(s, i, in)
}

// load64 returns eight bytes of s, the first lowest.
func load64(s string, i int) uint64 {
	t := s[i : i+8]
	return uint64(t[0]) | uint64(t[1])<<8 | uint64(t[2])<<16 | uint64(t[3])<<24 |
		uint64(t[4])<<32 | uint64(t[5])<<40 | uint64(t[6])<<48 | uint64(t[7])<<56
}

// notLetters sets the highest bit of each byte that is no letter of ASCII, and
// no other bit.
func notLetters(x uint64) uint64 {
	const ones = 0x0101010101010101
	low := x&(0x7F*ones) | 0x20*ones // letters become small ones
	atLeastA := low + (0x80-'a')*ones
	pastZ := low + (0x80-'z'-1)*ones
	return (^atLeastA | pastZ | x) & (0x80 * ones)
}
