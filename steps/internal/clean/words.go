package clean

import (
	"unicode"
	"unicode/utf8"
)

// Words calls visit with every word of a text, in order: a hash of the word in
// lower case, and how many characters it has.
//
// A word is a run of letters, digits and marks. In scripts that are written
// without spaces (Chinese, Japanese, Thai, Lao, Khmer, Burmese) every character,
// with the marks on it, is a word of its own, so that what counts words counts
// characters there.
func Words(text string, visit func(hash uint64, characters int)) {
	h, n := wordSeed, 0
	flush := func() {
		if n > 0 {
			visit(mix(h), n)
		}
		h, n = wordSeed, 0
	}
	for i := 0; i < len(text); {
		c := text[i]
		if c < utf8.RuneSelf {
			i++
			switch {
			case 'a' <= c && c <= 'z' || '0' <= c && c <= '9':
			case 'A' <= c && c <= 'Z':
				c += 'a' - 'A'
			default:
				flush()
				continue
			}
			h, n = (h^uint64(c))*wordPrime, n+1
			continue
		}
		r, size := utf8.DecodeRuneInString(text[i:])
		i += size
		switch {
		case unicode.IsMark(r):
			if n > 0 {
				h = (h ^ uint64(r)) * wordPrime
			}
		case unspaced(r):
			flush()
			h, n = (h^uint64(r))*wordPrime, 1
			i += marks(text[i:], &h)
			flush()
		case unicode.IsLetter(r) || unicode.IsDigit(r):
			h, n = (h^uint64(unicode.ToLower(r)))*wordPrime, n+1
		default:
			flush()
		}
	}
	flush()
}

// marks adds the marks that text begins with to h and returns their bytes.
func marks(text string, h *uint64) int {
	at := 0
	for at < len(text) {
		r, size := utf8.DecodeRuneInString(text[at:])
		if !unicode.IsMark(r) {
			break
		}
		*h = (*h ^ uint64(r)) * wordPrime
		at += size
	}
	return at
}

// unspaced reports whether r is a letter of a script without spaces.
func unspaced(r rune) bool {
	switch {
	case r < 0x0e00:
		return false
	case r < 0x3400: // Thai to kana
		return unicode.In(r, unicode.Thai, unicode.Lao, unicode.Myanmar, unicode.Khmer, unicode.Hiragana, unicode.Katakana, unicode.Han) && unicode.IsLetter(r)
	case r < 0xa000:
		return true
	case r < 0xf900:
		return unicode.Is(unicode.Myanmar, r) && unicode.IsLetter(r)
	}
	return unicode.In(r, unicode.Han, unicode.Katakana)
}

// CountWords returns how many words a text has.
func CountWords(text string) int {
	n := 0
	Words(text, func(uint64, int) { n++ })
	return n
}

// wordSeed and wordPrime are those of FNV-1a, of 64 bits, here over characters.
const (
	wordSeed  uint64 = 0xcbf29ce484222325
	wordPrime uint64 = 0x100000001b3
)

// mix is the finalizer of SplitMix64 (Steele, Lea, Flood 2014): every bit of x
// reaches every bit of the result.
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
