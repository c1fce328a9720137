package dataset

import "errors"

var errLZ4 = errors.New("malformed LZ4 block")

// decodeLZ4 uncompresses one LZ4 block (lz4_Block_format.md) into out and
// returns how many bytes it holds; more than out is an error.
func decodeLZ4(out, b []byte) (int, error) {
	o, i := 0, 0
	for i < len(b) {
		token := b[i]
		i++
		literals, next, ok := lz4Length(b, i, int(token>>4))
		if !ok || literals > len(b)-next || literals > len(out)-o {
			return 0, errLZ4
		}
		i = next
		o += copy(out[o:], b[i:i+literals])
		i += literals
		if i == len(b) { // the last sequence is of literals alone
			return o, nil
		}
		if len(b)-i < 2 {
			return 0, errLZ4
		}
		offset := int(b[i]) | int(b[i+1])<<8
		match, next, ok := lz4Length(b, i+2, int(token&15))
		match += 4
		if !ok || offset == 0 || offset > o || match > len(out)-o {
			return 0, errLZ4
		}
		i = next
		for ; match > 0; match-- { // may overlap what it writes
			out[o] = out[o-offset]
			o++
		}
	}
	return 0, errLZ4
}

// lz4Length adds the bytes at i to a length whose four bits were all set.
func lz4Length(b []byte, i, n int) (length, next int, ok bool) {
	if n < 15 {
		return n, i, true
	}
	for ; i < len(b); i++ {
		n += int(b[i])
		if b[i] != 255 {
			return n, i + 1, true
		}
	}
	return 0, 0, false
}
