package optim

import (
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"slices"
)

// A State is what training must remember: a number of updates, and tensors and
// codes of known sizes. Its layout is kind (8 bytes), updates, number of
// tensors, then each tensor's length and its elements, then each code's length
// and its bytes; integers are 64-bit and all is little-endian.
type State struct {
	Kind    string
	Updates *int
	Tensors [][]float32
	Codes   [][]uint8
}

// WriteTo implements io.WriterTo.
func (s State) WriteTo(w io.Writer) (n int64, err error) {
	put := func(b []byte) {
		if err == nil {
			var k int
			k, err = w.Write(b)
			n += int64(k)
		}
	}
	integer := func(v int) { put(binary.LittleEndian.AppendUint64(nil, uint64(v))) }
	put([]byte(fmt.Sprintf("%-8s", s.Kind)))
	integer(*s.Updates)
	integer(len(s.Tensors))
	buf := make([]byte, 0, 4*chunk)
	for _, t := range s.Tensors {
		integer(len(t))
		for c := range slices.Chunk(t, chunk) {
			buf = buf[:0]
			for _, v := range c {
				buf = binary.LittleEndian.AppendUint32(buf, math.Float32bits(v))
			}
			put(buf)
		}
	}
	for _, c := range s.Codes {
		integer(len(c))
		put(c)
	}
	return n, err
}

// maxUpdates bounds the number of updates that a state may claim.
const maxUpdates = 1 << 40

// ReadFrom implements io.ReaderFrom. It fails unless kind, number and sizes are
// those of s; what it has read by then stays in the tensors.
func (s State) ReadFrom(r io.Reader) (n int64, err error) {
	buf := make([]byte, 4*chunk)
	get := func(k int) []byte {
		if err == nil {
			var m int
			m, err = io.ReadFull(r, buf[:k])
			n += int64(m)
		}
		return buf[:k]
	}
	expect := func(what string, want int) {
		if v := binary.LittleEndian.Uint64(get(8)); err == nil && v != uint64(want) {
			err = fmt.Errorf("state has %s %d, want %d", what, v, want)
		}
	}
	if kind := string(get(8)); err == nil && kind != fmt.Sprintf("%-8s", s.Kind) {
		return n, fmt.Errorf("state is of kind %q, want %q", kind, s.Kind)
	}
	updates := binary.LittleEndian.Uint64(get(8))
	if err == nil && updates > maxUpdates {
		return n, fmt.Errorf("state claims %d updates", updates)
	}
	expect("tensors", len(s.Tensors))
	for i, t := range s.Tensors {
		expect(fmt.Sprintf("tensor %d of size", i), len(t))
		for c := range slices.Chunk(t, chunk) {
			b := get(4 * len(c))
			if err != nil {
				break
			}
			for j := range c {
				c[j] = math.Float32frombits(binary.LittleEndian.Uint32(b[4*j:]))
			}
		}
		if err != nil {
			return n, fmt.Errorf("reading %s state: %w", s.Kind, err)
		}
	}
	for i, c := range s.Codes {
		expect(fmt.Sprintf("code %d of size", i), len(c))
		if err == nil {
			var k int
			k, err = io.ReadFull(r, c)
			n += int64(k)
		}
	}
	if err != nil {
		return n, fmt.Errorf("reading %s state: %w", s.Kind, err)
	}
	*s.Updates = int(updates)
	return n, nil
}
