package token

import "math/bits"

// cache remembers the ids of short pretokens. A pretoken has one line of two
// slots; a third that has the same drives out the one used earlier, which costs
// time and changes no result.
type cache struct {
	lines  [][2]slot // of 64 bytes, as the machine's
	shift  uint
	misses int
	arena  []int32 // ids of pretokens that have more than a slot holds
}

// slot is a pretoken and its ids.
type slot struct {
	key key
	n   int32 // how many ids; 0: the slot is free
	ids [3]int32
}

// key is a pretoken of 1 to maxKey bytes itself: the bytes, then zeros, and the
// length in the highest byte.
type key struct{ lo, hi uint64 }

const (
	maxKey = 15

	// A cache begins small, since many texts are, and grows while it misses
	// until it has two megabytes.
	firstLines = 1 << 9
	mostLines  = 1 << 15
	mostArena  = 1 << 16
)

// keyOf returns the key of n bytes of s from byte i on.
func keyOf(s string, i, n int) key {
	if len(s)-i < 16 {
		return shortKey(s[i:], n)
	}
	lo, hi := load64(s, i), load64(s, i+8)
	mask := &keyMasks[n&15]
	return key{lo & mask.lo, hi&mask.hi | uint64(n)<<56}
}

// shortKey is keyOf at the end of a text, where eight bytes cannot be read.
func shortKey(s string, n int) key {
	var buf [16]byte
	copy(buf[:n], s)
	b := string(buf[:])
	return key{load64(b, 0), load64(b, 8) | uint64(n)<<56}
}

// keyMasks keep the first bytes of a key.
var keyMasks = [16]key{
	{},
	{1<<8 - 1, 0}, {1<<16 - 1, 0}, {1<<24 - 1, 0}, {1<<32 - 1, 0}, {1<<40 - 1, 0}, {1<<48 - 1, 0}, {1<<56 - 1, 0}, {1<<64 - 1, 0},
	{1<<64 - 1, 1<<8 - 1}, {1<<64 - 1, 1<<16 - 1}, {1<<64 - 1, 1<<24 - 1}, {1<<64 - 1, 1<<32 - 1}, {1<<64 - 1, 1<<40 - 1}, {1<<64 - 1, 1<<48 - 1}, {1<<64 - 1, 1<<56 - 1},
}

// mix hashes two words to one, of which the high bits are the best.
func mix(a, b uint64) uint64 {
	hi, lo := bits.Mul64(a^0x9E3779B97F4A7C15, b^0xD1B54A32D192ED03)
	return hi ^ lo
}

// get returns the slot of a key, or nil.
func (c *cache) get(k key) *slot {
	line := &c.lines[mix(k.lo, k.hi)>>c.shift]
	if line[0].key == k {
		return &line[0]
	}
	if line[1].key == k {
		line[0], line[1] = line[1], line[0]
		return &line[0]
	}
	return nil
}

// put remembers the ids of a key that was missing.
func (c *cache) put(k key, ids []int32) {
	if c.misses++; c.misses > 2*len(c.lines) && len(c.lines) < mostLines {
		c.resize(8 * len(c.lines))
	}
	e := slot{key: k, n: int32(len(ids))}
	if copy(e.ids[:], ids) < len(ids) {
		if len(c.arena)+len(ids) > mostArena {
			c.resize(len(c.lines))
		}
		e.ids[0] = int32(len(c.arena))
		c.arena = append(c.arena, ids...)
	}
	line := &c.lines[mix(k.lo, k.hi)>>c.shift]
	line[0], line[1] = e, line[0]
}

// resize empties the cache and gives it a number of lines, a power of two.
func (c *cache) resize(lines int) {
	lines = min(lines, mostLines)
	c.misses, c.arena = 0, c.arena[:0]
	if lines == len(c.lines) {
		clear(c.lines)
		return
	}
	c.lines = make([][2]slot, lines)
	c.shift = uint(64 - bits.TrailingZeros(uint(lines)))
}

// add appends the ids of a slot to dst.
func (c *cache) add(dst []int32, e *slot) []int32 {
	if e.n <= 3 {
		return append(dst, e.ids[:e.n]...)
	}
	return append(dst, c.arena[e.ids[0]:e.ids[0]+e.n]...)
}
