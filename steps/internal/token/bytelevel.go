package token

// The byte-level alphabet writes each byte as one printable character, so that
// any text can be a vocabulary of strings (GPT-2's encoder.py): bytes that are
// printable stand for themselves, the other 68 follow U+0100 in order.
// Vocabularies in it are kept here as the bytes they mean.

// endOfAlphabet is the first character after the alphabet.
const endOfAlphabet = 0x100 + 256 - 188

// byteLevel is the alphabet in both directions.
type byteLevel struct {
	runes [256]rune
	bytes [endOfAlphabet]int16 // by character; -1: stands for none
}

func newByteLevel() *byteLevel {
	a := &byteLevel{}
	for r := range a.bytes {
		a.bytes[r] = -1
	}
	next := rune(0x100)
	for b := range 256 {
		r := rune(b)
		if !(b >= 0x21 && b <= 0x7E || b >= 0xA1 && b <= 0xAC || b >= 0xAE) {
			r, next = next, next+1
		}
		a.runes[b] = r
		a.bytes[r] = int16(b)
	}
	return a
}

// raw returns the bytes that piece spells, or false if it holds a character
// outside the alphabet.
func (a *byteLevel) raw(piece string) (string, bool) {
	var room [64]byte
	out := room[:0]
	for _, c := range piece {
		b, ok := a.byteOf(c)
		if !ok {
			return "", false
		}
		out = append(out, b)
	}
	return string(out), true
}

// byteOf returns the byte that a character of the alphabet stands for.
func (a *byteLevel) byteOf(c rune) (byte, bool) {
	if c < 0 || int(c) >= len(a.bytes) || a.bytes[c] < 0 {
		return 0, false
	}
	return byte(a.bytes[c]), true
}
