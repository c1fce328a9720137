package token

import (
	"math/bits"
	"sync"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// composedSet has the characters of the first plane that NFC leaves alone
// whatever stands around them.
type composedSet [1 << 16 / 64]uint64

// composedChars returns the set, made once.
var composedChars = sync.OnceValue(func() *composedSet {
	set := &composedSet{}
	for c := range rune(1 << 16) {
		if s := string(c); norm.NFC.PropertiesString(s).BoundaryBefore() && norm.NFC.IsNormalString(s) {
			set[c>>6] |= 1 << (c & 63)
		}
	}
	return set
})

// has tells whether all of s, which is UTF-8, is in the set; then NFC leaves it
// as it is.
func (set *composedSet) has(s string) bool {
	const high = 0x8080808080808080
	for i := 0; i < len(s); {
		if len(s)-i >= 8 {
			if wide := load64(s, i) & high; wide == 0 {
				i += 8
				continue
			} else {
				i += bits.TrailingZeros64(wide) >> 3
			}
		} else if s[i] < utf8.RuneSelf {
			i++
			continue
		}
		c, n := decode(s, i)
		if c >= 1<<16 || set[c>>6]>>(c&63)&1 == 0 {
			return false
		}
		i += n
	}
	return true
}

// decode is utf8.DecodeRuneInString(s[i:]), fast where s[i] begins three bytes
// as in Chinese.
func decode(s string, i int) (rune, int) {
	if len(s)-i >= 3 && s[i]>>4 == 0xE && s[i+1]>>6 == 2 && s[i+2]>>6 == 2 {
		if c := rune(s[i]&15)<<12 | rune(s[i+1]&63)<<6 | rune(s[i+2]&63); c >= 1<<11 && c>>11 != 0x1B {
			return c, 3
		}
	}
	return utf8.DecodeRuneInString(s[i:])
}
