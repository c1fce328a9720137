package dataset

import (
	"encoding/binary"
	"errors"
	"fmt"
)

var errDelta = errors.New("a page of differences is malformed")

// delta reads integers stored as differences in bit-packed miniblocks
// (DELTA_BINARY_PACKED).
type delta struct {
	b     []byte
	mini  int // values in a miniblock
	minis int // miniblocks in a block
	left  uint64
	value int64
	first bool

	least  int64 // difference of the block
	widths []byte
	packed []byte // of the miniblock
	width  int
	bit    int
	ready  int // values left in the miniblock
}

func newDelta(b []byte) (*delta, error) {
	d := &delta{b: b, first: true}
	block, err := d.varint()
	if err != nil {
		return nil, err
	}
	minis, err := d.varint()
	if err != nil {
		return nil, err
	}
	if d.left, err = d.varint(); err != nil {
		return nil, err
	}
	if d.value, err = d.zigzag(); err != nil {
		return nil, err
	}
	if block == 0 || block > 1<<20 || minis == 0 || minis > 1<<12 || block%minis != 0 || block/minis%8 != 0 {
		return nil, fmt.Errorf("%w: blocks of %d values in %d parts", errDelta, block, minis)
	}
	d.mini, d.minis = int(block/minis), int(minis)
	return d, nil
}

func (d *delta) varint() (uint64, error) {
	v, n := binary.Uvarint(d.b)
	if n <= 0 {
		return 0, errPageEnds
	}
	d.b = d.b[n:]
	return v, nil
}

func (d *delta) zigzag() (int64, error) {
	v, err := d.varint()
	return int64(v>>1) ^ -int64(v&1), err
}

func (d *delta) next() (int64, error) {
	if d.left == 0 {
		return 0, errPageEnds
	}
	d.left--
	if d.first {
		d.first = false
		return d.value, nil
	}
	if d.ready == 0 {
		if err := d.miniblock(); err != nil {
			return 0, err
		}
	}
	d.ready--
	var v uint64
	for k := 0; k < d.width; {
		shift := d.bit & 7
		v |= uint64(d.packed[d.bit>>3]>>shift) << k
		step := min(8-shift, d.width-k)
		k += step
		d.bit += step
	}
	if d.width < 64 {
		v &= 1<<d.width - 1
	}
	d.value += d.least + int64(v) // wraps, as the format wants
	return d.value, nil
}

// miniblock moves to the next miniblock, and block when the last one is done.
func (d *delta) miniblock() error {
	if len(d.widths) == 0 {
		var err error
		if d.least, err = d.zigzag(); err != nil {
			return err
		}
		if len(d.b) < d.minis {
			return errPageEnds
		}
		d.widths, d.b = d.b[:d.minis], d.b[d.minis:]
	}
	d.width = int(d.widths[0])
	d.widths = d.widths[1:]
	size := d.width * d.mini / 8
	if d.width > 64 || size > len(d.b) {
		return errDelta
	}
	d.packed, d.b, d.bit, d.ready = d.b[:size], d.b[size:], 0, d.mini
	return nil
}

// rest returns what follows the values, without decoding them.
func (d delta) rest() ([]byte, error) {
	if d.first && d.left > 0 {
		d.first = false
		d.left--
	}
	for d.left > 0 {
		if err := d.miniblock(); err != nil {
			return nil, err
		}
		d.left -= min(d.left, uint64(d.mini))
	}
	return d.b, nil
}

type deltaCells struct {
	values *delta
	narrow bool // 32 bits, which the sums wrap within
}

func (d *deltaCells) next() (cell, error) {
	v, err := d.values.next()
	if d.narrow {
		v = int64(int32(v))
	}
	return cell{int: v}, err
}

// deltaLength reads byte strings after all their lengths
// (DELTA_LENGTH_BYTE_ARRAY).
type deltaLength struct {
	lengths *delta
	b       []byte
}

func newDeltaLength(b []byte) (*deltaLength, error) {
	lengths, err := newDelta(b)
	if err != nil {
		return nil, err
	}
	data, err := lengths.rest()
	return &deltaLength{lengths, data}, err
}

func (d *deltaLength) next() (cell, error) {
	n, err := d.lengths.next()
	if err != nil {
		return cell{}, err
	}
	if n < 0 || n > int64(len(d.b)) {
		return cell{}, errPageEnds
	}
	value := d.b[:n]
	d.b = d.b[n:]
	return cell{bytes: value}, nil
}

// deltaBytes reads byte strings that share a beginning with the one before
// (DELTA_BYTE_ARRAY).
type deltaBytes struct {
	prefixes *delta
	suffixes *deltaLength
	last     []byte
}

func newDeltaBytes(b []byte) (*deltaBytes, error) {
	prefixes, err := newDelta(b)
	if err != nil {
		return nil, err
	}
	rest, err := prefixes.rest()
	if err != nil {
		return nil, err
	}
	suffixes, err := newDeltaLength(rest)
	return &deltaBytes{prefixes: prefixes, suffixes: suffixes}, err
}

func (d *deltaBytes) next() (cell, error) {
	n, err := d.prefixes.next()
	if err != nil {
		return cell{}, err
	}
	suffix, err := d.suffixes.next()
	if err != nil {
		return cell{}, err
	}
	if n < 0 || n > int64(len(d.last)) {
		return cell{}, fmt.Errorf("%w: %d bytes of a value of %d", errDelta, n, len(d.last))
	}
	value := make([]byte, 0, int(n)+len(suffix.bytes))
	value = append(append(value, d.last[:n]...), suffix.bytes...)
	d.last = value
	return cell{bytes: value}, nil
}
