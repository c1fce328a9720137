package gguf

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"unicode/utf8"
)

// Value types of metadata.
const (
	kindU8 = iota
	kindI8
	kindU16
	kindI16
	kindU32
	kindI32
	kindF32
	kindBool
	kindString
	kindArray
	kindU64
	kindI64
	kindF64
)

// maxName bounds metadata keys and tensor names; ggml's own tensor names have
// fewer than 64 bytes.
const maxName = 1 << 16

// maxDims is ggml's limit on a tensor's dimensions.
const maxDims = 4

// errTruncated is a length or count that points past the end of the file.
var errTruncated = errors.New("reaches past the end of the file")

// parser reads the header in order and knows how much is left of it.
type parser struct {
	r    *bufio.Reader
	at   int64 // bytes read so far
	left int64 // bytes that may still be read
	word [8]byte
}

func newParser(r io.ReaderAt, size int64) *parser {
	limit := min(size, MaxHeader)
	return &parser{r: bufio.NewReaderSize(io.NewSectionReader(r, 0, limit), 1<<16), left: limit}
}

// room checks that count items of at least size bytes each can follow.
func (p *parser) room(count uint64, size int64) error {
	if count > uint64(p.left/size) {
		return errTruncated
	}
	return nil
}

// read fills b.
func (p *parser) read(b []byte) error {
	if int64(len(b)) > p.left {
		return errTruncated
	}
	if _, err := io.ReadFull(p.r, b); err != nil {
		return err
	}
	p.at += int64(len(b))
	p.left -= int64(len(b))
	return nil
}

// bytes reads n bytes, bounded before they are allocated.
func (p *parser) bytes(n uint64) ([]byte, error) {
	if err := p.room(n, 1); err != nil {
		return nil, fmt.Errorf("%d bytes: %w", n, err)
	}
	b := make([]byte, n)
	return b, p.read(b)
}

func (p *parser) u32() (uint32, error) {
	err := p.read(p.word[:4])
	return binary.LittleEndian.Uint32(p.word[:4]), err
}

func (p *parser) u64() (uint64, error) {
	err := p.read(p.word[:8])
	return binary.LittleEndian.Uint64(p.word[:8]), err
}

func (p *parser) text() (string, error) {
	n, err := p.u64()
	if err != nil {
		return "", err
	}
	b, err := p.bytes(n)
	return string(b), err
}

// name reads a key or a tensor's name.
func (p *parser) name() (string, error) {
	s, err := p.text()
	switch {
	case err != nil:
		return "", err
	case s == "":
		return "", errors.New("empty name")
	case len(s) > maxName:
		return "", fmt.Errorf("name of %d bytes", len(s))
	case !utf8.ValidString(s):
		return "", fmt.Errorf("name %q is not valid UTF-8", s)
	}
	return s, nil
}

// value reads a typed value: one of Go's sized numbers, a bool, a string, or a
// slice of such.
func (p *parser) value() (any, error) {
	kind, err := p.u32()
	if err != nil {
		return nil, err
	}
	if kind == kindArray {
		return p.array()
	}
	return p.scalar(kind)
}

func (p *parser) scalar(kind uint32) (any, error) {
	if kind == kindString {
		return p.text()
	}
	size := scalarSize(kind)
	if size == 0 {
		return nil, fmt.Errorf("unknown value type %d", kind)
	}
	b := p.word[:size]
	if err := p.read(b); err != nil {
		return nil, err
	}
	switch kind {
	case kindU8:
		return b[0], nil
	case kindI8:
		return int8(b[0]), nil
	case kindU16:
		return binary.LittleEndian.Uint16(b), nil
	case kindI16:
		return int16(binary.LittleEndian.Uint16(b)), nil
	case kindU32:
		return binary.LittleEndian.Uint32(b), nil
	case kindI32:
		return int32(binary.LittleEndian.Uint32(b)), nil
	case kindF32:
		return math.Float32frombits(binary.LittleEndian.Uint32(b)), nil
	case kindBool:
		if b[0] > 1 {
			return nil, fmt.Errorf("bool of value %d", b[0])
		}
		return b[0] == 1, nil
	case kindU64:
		return binary.LittleEndian.Uint64(b), nil
	case kindI64:
		return int64(binary.LittleEndian.Uint64(b)), nil
	}
	return math.Float64frombits(binary.LittleEndian.Uint64(b)), nil
}

// scalarSize is the size in bytes of a value other than a string or an array; 0 for an unknown kind.
func scalarSize(kind uint32) int {
	switch kind {
	case kindU8, kindI8, kindBool:
		return 1
	case kindU16, kindI16:
		return 2
	case kindU32, kindI32, kindF32:
		return 4
	case kindU64, kindI64, kindF64:
		return 8
	}
	return 0
}

// array reads an array; arrays do not nest.
func (p *parser) array() (any, error) {
	kind, err := p.u32()
	if err != nil {
		return nil, err
	}
	count, err := p.u64()
	if err != nil {
		return nil, err
	}
	size := int64(scalarSize(kind))
	if kind == kindString {
		size = 8
	}
	if size == 0 {
		return nil, fmt.Errorf("array of value type %d", kind)
	}
	if err := p.room(count, size); err != nil {
		return nil, fmt.Errorf("array of %d values: %w", count, err)
	}
	switch kind {
	case kindU8:
		return elements[uint8](p, kind, count)
	case kindI8:
		return elements[int8](p, kind, count)
	case kindU16:
		return elements[uint16](p, kind, count)
	case kindI16:
		return elements[int16](p, kind, count)
	case kindU32:
		return elements[uint32](p, kind, count)
	case kindI32:
		return elements[int32](p, kind, count)
	case kindF32:
		return elements[float32](p, kind, count)
	case kindBool:
		return elements[bool](p, kind, count)
	case kindString:
		return elements[string](p, kind, count)
	case kindU64:
		return elements[uint64](p, kind, count)
	case kindI64:
		return elements[int64](p, kind, count)
	}
	return elements[float64](p, kind, count)
}

// elements reads count scalars of a kind whose Go type is T.
func elements[T any](p *parser, kind uint32, count uint64) ([]T, error) {
	list := make([]T, count)
	for i := range list {
		v, err := p.scalar(kind)
		if err != nil {
			return nil, fmt.Errorf("value %d: %w", i, err)
		}
		list[i] = v.(T)
	}
	return list, nil
}

// tensor reads what follows a tensor's name and works out its size.
func (p *parser) tensor(t *Tensor) error {
	dims, err := p.u32()
	if err != nil {
		return err
	}
	if dims > maxDims {
		return fmt.Errorf("%d dimensions, more than %d", dims, maxDims)
	}
	t.Shape = make([]int, dims)
	for i := range t.Shape {
		d, err := p.u64()
		if err != nil {
			return err
		}
		if d > math.MaxInt {
			return fmt.Errorf("dimension %d is too large", d)
		}
		t.Shape[len(t.Shape)-1-i] = int(d)
	}
	kind, err := p.u32()
	if err != nil {
		return err
	}
	t.Type = Type(kind)
	offset, err := p.u64()
	if err != nil {
		return err
	}
	if offset > math.MaxInt64 {
		return fmt.Errorf("offset %d is too large", offset)
	}
	t.offset = int64(offset)
	t.size, err = byteSize(t.Type, t.Shape)
	return err
}

// byteSize is the size of a tensor, whose rows are whole blocks.
func byteSize(kind Type, shape []int) (int64, error) {
	l := kind.layout()
	if l.elements == 0 {
		return 0, fmt.Errorf("unknown ggml type %d", uint32(kind))
	}
	row := 1
	if len(shape) > 0 {
		row = shape[len(shape)-1]
	}
	if row%l.elements != 0 {
		return 0, fmt.Errorf("rows of %d elements are not whole blocks of %s (%d)", row, l.name, l.elements)
	}
	size := int64(l.bytes)
	dims := append([]int{row / l.elements}, shape[:max(len(shape)-1, 0)]...)
	empty := false
	for _, d := range dims {
		if d == 0 {
			empty = true
		} else if int64(d) > math.MaxInt64/size/int64(l.elements) {
			return 0, fmt.Errorf("shape %v is too large", shape)
		} else {
			size *= int64(d)
		}
	}
	if empty {
		return 0, nil
	}
	return size, nil
}
