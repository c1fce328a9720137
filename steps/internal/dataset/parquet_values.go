package dataset

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
)

// Encodings (enum Encoding).
const (
	encPlain           = 0
	encPlainDictionary = 2
	encRLE             = 3
	encDeltaBinary     = 5
	encDeltaLength     = 6
	encDeltaBytes      = 7
	encDictionary      = 8
	encSplit           = 9
)

var errPageEnds = errors.New("a page ends before its values")

// cell is one value of a leaf, by physical type: int holds booleans and
// integers, float the bits of floats, bytes everything else. Bytes alias the page.
type cell struct {
	int   int64
	float float64
	bytes []byte
	text  bool // bytes are known to be UTF-8, and of a column of text
}

// cells yields the values of a page one by one, so that a page which claims
// billions of them costs no memory.
type cells interface {
	next() (cell, error)
}

// newCells decodes the values of a page.
func newCells(leaf *parquetNode, encoding int, b []byte, dictionary []cell) (cells, error) {
	switch encoding {
	case encPlain:
		return &plainCells{leaf: leaf, b: b}, nil
	case encPlainDictionary, encDictionary:
		if len(b) == 0 {
			return &dictionaryCells{}, nil
		}
		indices, err := newRLE(b[1:], int(b[0]))
		return &dictionaryCells{dictionary, indices}, err
	case encRLE:
		if leaf.physical != physBoolean {
			break
		}
		levels, _, err := prefixed(b, encRLE)
		if err != nil {
			return nil, err
		}
		bits, err := newRLE(levels, 1)
		return &rleCells{bits}, err
	case encDeltaBinary:
		if leaf.physical != physInt32 && leaf.physical != physInt64 {
			break
		}
		delta, err := newDelta(b)
		return &deltaCells{delta, leaf.physical == physInt32}, err
	case encDeltaLength:
		if leaf.physical == physByteArray {
			return newDeltaLength(b)
		}
	case encDeltaBytes:
		if leaf.physical == physByteArray || leaf.physical == physFixed {
			return newDeltaBytes(b)
		}
	case encSplit:
		return newSplit(leaf, b)
	}
	return nil, fmt.Errorf("encoding %d of physical type %d cannot be read", encoding, leaf.physical)
}

// plainCells reads values one after another.
type plainCells struct {
	leaf *parquetNode
	b    []byte
	bit  int // of booleans
}

func (p *plainCells) next() (c cell, err error) {
	switch p.leaf.physical {
	case physBoolean:
		if len(p.b) == 0 {
			return c, errPageEnds
		}
		c.int = int64(p.b[0] >> p.bit & 1)
		if p.bit++; p.bit == 8 {
			p.b, p.bit = p.b[1:], 0
		}
		return c, nil
	case physByteArray:
		if len(p.b) < 4 {
			return c, errPageEnds
		}
		n := binary.LittleEndian.Uint32(p.b)
		if uint64(n) > uint64(len(p.b)-4) {
			return c, errPageEnds
		}
		c.bytes, p.b = p.b[4:4+n], p.b[4+n:]
		return c, nil
	}
	n := p.leaf.byteWidth()
	if len(p.b) < n {
		return c, errPageEnds
	}
	c = p.leaf.fixed(p.b[:n])
	p.b = p.b[n:]
	return c, nil
}

// byteWidth returns the bytes of a value of fixed size.
func (n *parquetNode) byteWidth() int {
	switch n.physical {
	case physInt32, physFloat:
		return 4
	case physInt64, physDouble:
		return 8
	case physInt96:
		return 12
	}
	return n.width
}

// fixed decodes a value of fixed size.
func (n *parquetNode) fixed(b []byte) (c cell) {
	switch n.physical {
	case physInt32:
		c.int = int64(int32(binary.LittleEndian.Uint32(b)))
	case physInt64:
		c.int = int64(binary.LittleEndian.Uint64(b))
	case physFloat:
		c.float = float64(math.Float32frombits(binary.LittleEndian.Uint32(b)))
	case physDouble:
		c.float = math.Float64frombits(binary.LittleEndian.Uint64(b))
	default:
		c.bytes = b
	}
	return c
}

// dictionaryCells looks indices up.
type dictionaryCells struct {
	dictionary []cell
	indices    *rle
}

func (d *dictionaryCells) next() (cell, error) {
	if d.indices == nil {
		return cell{}, errPageEnds
	}
	i, err := d.indices.next()
	if err != nil {
		return cell{}, err
	}
	if uint64(i) >= uint64(len(d.dictionary)) {
		return cell{}, fmt.Errorf("index %d into a dictionary of %d values", i, len(d.dictionary))
	}
	return d.dictionary[i], nil
}

type rleCells struct{ bits *rle }

func (r *rleCells) next() (cell, error) {
	v, err := r.bits.next()
	return cell{int: int64(v)}, err
}

// splitCells reads values whose bytes stand in streams: the first bytes of all
// values, then the second ones.
type splitCells struct {
	leaf *parquetNode
	b    []byte
	i, n int
}

func newSplit(leaf *parquetNode, b []byte) (cells, error) {
	switch leaf.physical {
	case physInt32, physInt64, physFloat, physDouble, physFixed:
		w := leaf.byteWidth()
		return &splitCells{leaf: leaf, b: b, n: len(b) / w}, nil
	}
	return nil, fmt.Errorf("encoding %d of physical type %d cannot be read", encSplit, leaf.physical)
}

func (s *splitCells) next() (cell, error) {
	if s.i >= s.n {
		return cell{}, errPageEnds
	}
	value := make([]byte, s.leaf.byteWidth())
	for k := range value {
		value[k] = s.b[k*s.n+s.i]
	}
	s.i++
	return s.leaf.fixed(value), nil
}

// rle reads integers of the hybrid of run-length and bit-packing.
type rle struct {
	b     []byte
	width int
	left  uint64 // of the run
	value uint32 // of a run of equal values
	group []byte // of a run of packed values
	bit   int    // within group
}

func newRLE(b []byte, width int) (*rle, error) {
	if width > 32 {
		return nil, fmt.Errorf("integers of %d bits", width)
	}
	return &rle{b: b, width: width}, nil
}

func (r *rle) next() (uint32, error) {
	for r.left == 0 {
		if err := r.run(); err != nil {
			return 0, err
		}
	}
	r.left--
	if r.group == nil {
		return r.value, nil
	}
	if at := r.bit >> 3; at+8 <= len(r.group) {
		v := binary.LittleEndian.Uint64(r.group[at:]) >> (r.bit & 7)
		r.bit += r.width
		return uint32(v & (1<<r.width - 1)), nil
	}
	var v uint64
	for k := 0; k < r.width; { // at most five bytes
		shift := r.bit & 7
		v |= uint64(r.group[r.bit>>3]>>shift) << k
		step := min(8-shift, r.width-k)
		k += step
		r.bit += step
	}
	return uint32(v & (1<<r.width - 1)), nil
}

// run reads the head of the next run; each takes a byte at least.
func (r *rle) run() error {
	head, n := binary.Uvarint(r.b)
	if n <= 0 {
		return errPageEnds
	}
	r.b = r.b[n:]
	r.left, r.group = head>>1, nil
	if head&1 == 0 {
		n := (r.width + 7) / 8
		if len(r.b) < n {
			return errPageEnds
		}
		r.value = 0
		for k := range n {
			r.value |= uint32(r.b[k]) << (8 * k)
		}
		r.b = r.b[n:]
		return nil
	}
	if r.left > uint64(1)<<40 {
		return errPageEnds
	}
	size := r.left * uint64(r.width) // bytes of groups of eight values
	r.left *= 8
	r.value = 0
	if r.width == 0 {
		return nil
	}
	if size > uint64(len(r.b)) { // the last group may be cut off
		size = uint64(len(r.b))
		r.left = size * 8 / uint64(r.width)
		if r.left == 0 {
			return errPageEnds
		}
	}
	r.group, r.bit = r.b[:size], 0
	r.b = r.b[size:]
	return nil
}
