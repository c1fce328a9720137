package token

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// charsmap is sentencepiece's table of normalization: a double array (Darts) of
// the strings to be replaced, whose values are places in a list of replacements,
// each ended by a zero byte.
type charsmap struct {
	units   []uint32
	texts   string
	longest int // bytes of the longest replacement
}

// parseCharsmap reads a table: the size of the array in bytes, little-endian as
// its units are, the array, and the replacements.
func parseCharsmap(data []byte) (*charsmap, error) {
	if len(data) < 4 {
		return nil, errors.New("the charsmap is too short")
	}
	size := uint64(binary.LittleEndian.Uint32(data))
	data = data[4:]
	if size > uint64(len(data)) || size%4 != 0 || size == 0 {
		return nil, fmt.Errorf("the charsmap has an array of %d bytes in %d", size, len(data))
	}
	m := &charsmap{units: make([]uint32, size/4), texts: string(data[size:])}
	for i := range m.units {
		m.units[i] = binary.LittleEndian.Uint32(data[4*i:])
	}
	if !utf8.ValidString(m.texts) {
		return nil, errors.New("the charsmap's replacements are not UTF-8")
	}
	for each := range strings.SplitSeq(m.texts, "\x00") {
		m.longest = max(m.longest, len(each))
	}
	return m, nil
}

func readCharsmap(encoded string) (*charsmap, error) {
	data, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil {
		return nil, fmt.Errorf("precompiled_charsmap is not base64: %w", err)
	}
	return parseCharsmap(data)
}

// find calls f for each string of the table that s begins with, shortest first,
// until f returns false.
func (m *charsmap) find(s string, f func(size int, replacement string) bool) {
	offset := func(u uint32) uint32 { return u >> 10 << (u & (1 << 9) >> 6) }
	node := offset(m.units[0])
	for i := 0; i < len(s) && s[i] != 0; i++ {
		node ^= uint32(s[i])
		if uint64(node) >= uint64(len(m.units)) {
			return
		}
		u := m.units[node]
		if u&(1<<31|0xFF) != uint32(s[i]) {
			return
		}
		node ^= offset(u)
		if u>>8&1 == 0 {
			continue
		}
		if uint64(node) >= uint64(len(m.units)) {
			return
		}
		at := m.units[node] & (1<<31 - 1)
		if uint64(at) > uint64(len(m.texts)) {
			return
		}
		to := m.texts[at:]
		if end := strings.IndexByte(to, 0); end >= 0 {
			to = to[:end]
		}
		if !utf8.ValidString(to) || !f(i+1, to) {
			return
		}
	}
}

// shortest returns the replacement of the shortest string that s begins with.
func (m *charsmap) shortest(s string) (to string, ok bool) {
	m.find(s, func(_ int, found string) bool {
		to, ok = found, true
		return false
	})
	return to, ok
}

// longestAt returns the longest string that s begins with, and its replacement;
// size 0 if there is none.
func (m *charsmap) longestAt(s string) (size int, to string) {
	m.find(s, func(n int, found string) bool {
		size, to = n, found
		return true
	})
	return size, to
}

// normalize is the normalizer Precompiled: what users see as one character is
// replaced as a whole if it is short and begins with a string of the table, and
// by its characters otherwise. That the rest of a short one is lost is the
// library's way, and models were trained with it.
func (m *charsmap) normalize(t text, track bool) text {
	r := rewriter{from: t, track: track}
	replace := func(lo, hi int) bool {
		to, ok := m.shortest(t.s[lo:hi])
		if ok {
			r.replace(lo, hi, to)
		}
		return ok
	}
	for lo := 0; lo < len(t.s); {
		hi := graphemeEnd(t.s, lo)
		if hi-lo < 6 && replace(lo, hi) {
			lo = hi
			continue
		}
		for lo < hi {
			_, n := utf8.DecodeRuneInString(t.s[lo:])
			if !replace(lo, lo+n) {
				r.keep(lo, lo+n)
			}
			lo += n
		}
	}
	return r.done()
}
