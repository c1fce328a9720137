package dataset

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
)

// Thrift's compact protocol (thrift-compact-protocol.md), in which Parquet
// writes its footer and page headers, read into a tree without knowing its
// schema. Lists cannot be longer than the bytes that are left, so the tree is
// bounded by its input.

// maxThriftDepth bounds the nesting of structs and lists.
const maxThriftDepth = 64

// errThriftShort says that the bytes end within a value.
var errThriftShort = errors.New("the metadata ends early")

// thrift is one value: the field that its type fills.
type thrift struct {
	int    int64 // of integers and booleans
	bytes  []byte
	list   []thrift
	fields []thriftField // of a struct
}

type thriftField struct {
	id    int
	value thrift
}

// get returns a field of a struct, and whether it is there.
func (t thrift) get(id int) (thrift, bool) {
	for _, f := range t.fields {
		if f.id == id {
			return f.value, true
		}
	}
	return thrift{}, false
}

// num returns an integer field of a struct, or what stands for its absence.
func (t thrift) num(id int, absent int64) int64 {
	if v, ok := t.get(id); ok {
		return v.int
	}
	return absent
}

// int32 is num for fields that must fit 31 bits.
func (t thrift) int32(id int, absent int64) (int, error) {
	n := t.num(id, absent)
	if n < -1 || n > math.MaxInt32 {
		return 0, fmt.Errorf("a size of %d in the metadata", n)
	}
	return int(n), nil
}

// parseThrift reads the struct at the start of b and returns how long it is.
func parseThrift(b []byte) (thrift, int, error) {
	p := thriftParser{b: b}
	t, err := p.structure(0)
	return t, p.i, err
}

type thriftParser struct {
	b []byte
	i int
}

func (p *thriftParser) byte() (byte, error) {
	if p.i >= len(p.b) {
		return 0, errThriftShort
	}
	p.i++
	return p.b[p.i-1], nil
}

func (p *thriftParser) varint() (uint64, error) {
	v, n := binary.Uvarint(p.b[p.i:])
	if n == 0 {
		return 0, errThriftShort
	}
	if n < 0 {
		return 0, errors.New("an integer of the metadata is too long")
	}
	p.i += n
	return v, nil
}

func (p *thriftParser) zigzag() (int64, error) {
	v, err := p.varint()
	return int64(v>>1) ^ -int64(v&1), err
}

func (p *thriftParser) structure(depth int) (t thrift, err error) {
	if depth > maxThriftDepth {
		return t, fmt.Errorf("the metadata is nested more than %d deep", maxThriftDepth)
	}
	id := 0
	for {
		head, err := p.byte()
		if err != nil || head == 0 {
			return t, err
		}
		if delta := int(head >> 4); delta != 0 {
			id += delta
		} else {
			v, err := p.zigzag()
			if err != nil {
				return t, err
			}
			id = int(int16(v))
		}
		value, err := p.value(head&15, depth, false)
		if err != nil {
			return t, err
		}
		t.fields = append(t.fields, thriftField{id, value})
	}
}

// value reads a value of a type; a boolean is in the type itself, except within
// a list.
func (p *thriftParser) value(kind byte, depth int, inList bool) (t thrift, err error) {
	switch kind {
	case 1, 2: // true, false
		if inList {
			kind, err = p.byte()
		}
		if kind == 1 {
			t.int = 1
		}
	case 3: // byte
		var b byte
		b, err = p.byte()
		t.int = int64(int8(b))
	case 4, 5, 6: // integers of 16, 32, 64 bits
		t.int, err = p.zigzag()
	case 7: // double
		t.bytes, err = p.take(8)
	case 8: // bytes
		var n uint64
		if n, err = p.varint(); err == nil {
			t.bytes, err = p.take(n)
		}
	case 9, 10: // list, set
		t.list, err = p.items(depth + 1)
	case 11: // map
		err = p.skipMap(depth + 1)
	case 12:
		t, err = p.structure(depth + 1)
	default:
		err = fmt.Errorf("the metadata has a value of unknown type %d", kind)
	}
	return t, err
}

func (p *thriftParser) take(n uint64) ([]byte, error) {
	if n > uint64(len(p.b)-p.i) {
		return nil, errThriftShort
	}
	p.i += int(n)
	return p.b[p.i-int(n) : p.i], nil
}

func (p *thriftParser) items(depth int) ([]thrift, error) {
	if depth > maxThriftDepth {
		return nil, fmt.Errorf("the metadata is nested more than %d deep", maxThriftDepth)
	}
	head, err := p.byte()
	if err != nil {
		return nil, err
	}
	n := uint64(head >> 4)
	if n == 15 {
		if n, err = p.varint(); err != nil {
			return nil, err
		}
	}
	if n > uint64(len(p.b)-p.i) { // every item takes a byte at least
		return nil, errThriftShort
	}
	var list []thrift // grown as items are read: most claims are true
	for range n {
		item, err := p.value(head&15, depth, true)
		if err != nil {
			return nil, err
		}
		list = append(list, item)
	}
	return list, nil
}

// skipMap passes over a map; Parquet's metadata has none that matter.
func (p *thriftParser) skipMap(depth int) error {
	n, err := p.varint()
	if err != nil || n == 0 {
		return err
	}
	kinds, err := p.byte()
	if err != nil {
		return err
	}
	if n > uint64(len(p.b)-p.i) {
		return errThriftShort
	}
	for range n {
		if _, err := p.value(kinds>>4, depth, true); err != nil {
			return err
		}
		if _, err := p.value(kinds&15, depth, true); err != nil {
			return err
		}
	}
	return nil
}
