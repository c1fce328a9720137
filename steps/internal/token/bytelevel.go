package token

// The byte-level alphabet writes each byte as one printable character, so that
// any text can be a vocabulary of strings (GPT-2's encoder.py): bytes that are
// printable stand for themselves, the other 68 follow U+0100 in order.
// Vocabularies in it are kept here as the bytes they mean.

// byteLevel is the alphabet in both directions.
type byteLevel struct {
	runes [256]rune
	bytes map[rune]byte
}

func newByteLevel() *byteLevel {
	a := &byteLevel{bytes: make(map[rune]byte, 256)}
	next := rune(0x100)
	for b := range 256 {
		r := rune(b)
		if !(b >= 0x21 && b <= 0x7E || b >= 0xA1 && b <= 0xAC || b >= 0xAE) {
			r, next = next, next+1
		}
		a.runes[b] = r
		a.bytes[r] = byte(b)
	}
	return a
}

// raw returns the bytes that piece spells, or false if it holds a character
// outside the alphabet.
func (a *byteLevel) raw(piece string) (string, bool) {
	out := make([]byte, 0, len(piece))
	for _, c := range piece {
		b, ok := a.bytes[c]
		if !ok {
			return "", false
		}
		out = append(out, b)
	}
	return string(out), true
}
