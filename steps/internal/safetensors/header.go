package safetensors

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"sort"
	"strconv"
	"unicode/utf8"

	"github.com/pipe-run/pipe/steps/internal/tensor"
)

// metadataKey is the one header entry that is no tensor.
const metadataKey = "__metadata__"

// maxDims bounds the dimensions of a shape; real tensors have at most five.
const maxDims = 32

// Tensor describes one tensor of a file: where its bytes lie and how to read them.
type Tensor struct {
	Name  string
	DType tensor.DType
	Shape []int // row-major; empty for a scalar

	begin, end int64 // bytes, relative to the start of the data
}

// Bytes is the size of the tensor's data in bytes.
func (t Tensor) Bytes() int64 { return t.end - t.begin }

// Elements is the number of the tensor's elements; 1 for a scalar.
func (t Tensor) Elements() int {
	n := 1
	for _, d := range t.Shape {
		n *= d
	}
	return n
}

// parseHeader reads the JSON header and checks it against dataSize, the number
// of bytes that follow it: the tensors must cover them exactly, without a gap
// or an overlap. The tensors come sorted by name.
func parseHeader(raw []byte, dataSize int64) ([]Tensor, map[string]string, error) {
	if !utf8.Valid(raw) {
		return nil, nil, errors.New("header is not valid UTF-8")
	}
	if len(raw) == 0 || raw[0] != '{' {
		return nil, nil, errors.New("header does not begin with '{'")
	}
	p := headerParser{dec: json.NewDecoder(bytes.NewReader(raw))}
	p.dec.UseNumber()
	if err := p.header(); err != nil {
		return nil, nil, fmt.Errorf("header: %w", err)
	}
	for _, c := range raw[p.dec.InputOffset():] {
		if c != ' ' && c != '\n' && c != '\r' && c != '\t' {
			return nil, nil, errors.New("header: text after the closing '}'")
		}
	}
	if err := checkLayout(p.tensors, dataSize); err != nil {
		return nil, nil, err
	}
	sort.Slice(p.tensors, func(i, j int) bool { return p.tensors[i].Name < p.tensors[j].Name })
	return p.tensors, p.metadata, nil
}

// checkLayout demands that the tensors tile [0, dataSize).
func checkLayout(tensors []Tensor, dataSize int64) error {
	order := append([]Tensor(nil), tensors...)
	sort.Slice(order, func(i, j int) bool {
		a, b := order[i], order[j]
		if a.begin != b.begin {
			return a.begin < b.begin
		}
		if a.end != b.end {
			return a.end < b.end
		}
		return a.Name < b.Name
	})
	var at int64
	previous := ""
	for _, t := range order {
		switch {
		case t.begin < at:
			return fmt.Errorf("tensor %q begins at byte %d, inside tensor %q", t.Name, t.begin, previous)
		case t.begin > at:
			return fmt.Errorf("tensor %q begins at byte %d, %d bytes after the end of what precedes it", t.Name, t.begin, t.begin-at)
		case t.end > dataSize:
			return fmt.Errorf("tensor %q ends at byte %d of the data, but there are only %d", t.Name, t.end, dataSize)
		}
		at, previous = t.end, t.Name
	}
	if at != dataSize {
		return fmt.Errorf("%d bytes follow the last tensor", dataSize-at)
	}
	return nil
}

// headerParser walks the header token by token, because encoding/json into a
// map would drop the duplicates that must be refused.
type headerParser struct {
	dec      *json.Decoder
	tensors  []Tensor
	metadata map[string]string
}

func (p *headerParser) header() error {
	return p.object(func(name string) error {
		if name == metadataKey {
			return p.readMetadata()
		}
		t := Tensor{Name: name}
		if err := p.tensor(&t); err != nil {
			return fmt.Errorf("tensor %q: %w", name, err)
		}
		p.tensors = append(p.tensors, t)
		return nil
	})
}

func (p *headerParser) readMetadata() error {
	p.metadata = map[string]string{}
	return p.object(func(key string) error {
		token, err := p.token()
		if err != nil {
			return err
		}
		value, ok := token.(string)
		if !ok {
			return fmt.Errorf("metadata %q is not a string", key)
		}
		p.metadata[key] = value
		return nil
	})
}

// tensor reads {"dtype":…,"shape":[…],"data_offsets":[begin,end]}.
func (p *headerParser) tensor(t *Tensor) error {
	var dtype, shape, offsets bool
	err := p.object(func(field string) (err error) {
		switch field {
		case "dtype":
			dtype = true
			t.DType, err = p.dtype()
		case "shape":
			shape = true
			t.Shape, err = p.shape()
		case "data_offsets":
			offsets = true
			t.begin, t.end, err = p.offsets()
		default:
			err = fmt.Errorf("unknown field %q", field)
		}
		return err
	})
	if err != nil {
		return err
	}
	if !dtype || !shape || !offsets {
		return errors.New("needs dtype, shape and data_offsets")
	}
	size, err := byteSize(t.DType, t.Shape)
	if err != nil {
		return err
	}
	if size != t.end-t.begin {
		return fmt.Errorf("%v %v takes %d bytes, but its data_offsets span %d", t.DType, t.Shape, size, t.end-t.begin)
	}
	return nil
}

func (p *headerParser) dtype() (tensor.DType, error) {
	token, err := p.token()
	if err != nil {
		return "", err
	}
	name, ok := token.(string)
	if !ok {
		return "", errors.New("dtype is not a string")
	}
	if d := tensor.DType(name); d.Size() > 0 {
		return d, nil
	}
	return "", fmt.Errorf("unknown dtype %q", name)
}

func (p *headerParser) shape() ([]int, error) {
	numbers, err := p.numbers(maxDims)
	if err != nil {
		return nil, fmt.Errorf("shape: %w", err)
	}
	shape := make([]int, len(numbers))
	for i, n := range numbers {
		if n > math.MaxInt {
			return nil, fmt.Errorf("shape: dimension %d is too large", n)
		}
		shape[i] = int(n)
	}
	return shape, nil
}

func (p *headerParser) offsets() (begin, end int64, err error) {
	numbers, err := p.numbers(2)
	if err != nil {
		return 0, 0, fmt.Errorf("data_offsets: %w", err)
	}
	if len(numbers) != 2 {
		return 0, 0, errors.New("data_offsets needs two numbers")
	}
	if numbers[0] > numbers[1] {
		return 0, 0, fmt.Errorf("data_offsets begin at %d, after their end %d", numbers[0], numbers[1])
	}
	return numbers[0], numbers[1], nil
}

// object reads {key: …} and calls value for every key, which must read exactly
// one value. A key that comes twice is an error.
func (p *headerParser) object(value func(key string) error) error {
	if err := p.delim('{'); err != nil {
		return err
	}
	seen := map[string]bool{}
	for {
		token, err := p.token()
		if err != nil {
			return err
		}
		key, ok := token.(string)
		if !ok { // encoding/json allows nothing but a string or '}' here
			return nil
		}
		if seen[key] {
			return fmt.Errorf("%q appears twice", key)
		}
		seen[key] = true
		if err := value(key); err != nil {
			return err
		}
	}
}

// numbers reads an array of at most limit non-negative integers.
func (p *headerParser) numbers(limit int) ([]int64, error) {
	if err := p.delim('['); err != nil {
		return nil, err
	}
	var list []int64
	for {
		token, err := p.token()
		if err != nil {
			return nil, err
		}
		if token == json.Delim(']') {
			return list, nil
		}
		number, ok := token.(json.Number)
		if !ok {
			return nil, fmt.Errorf("%v is not a number", token)
		}
		n, err := strconv.ParseInt(number.String(), 10, 64)
		if err != nil || n < 0 {
			return nil, fmt.Errorf("%s is not a whole number from 0 to 2^63-1", number)
		}
		if len(list) == limit {
			return nil, fmt.Errorf("more than %d numbers", limit)
		}
		list = append(list, n)
	}
}

func (p *headerParser) delim(want json.Delim) error {
	token, err := p.token()
	if err != nil {
		return err
	}
	if token != want {
		return fmt.Errorf("%v instead of %q", token, want.String())
	}
	return nil
}

// token is the next token; the end of the header inside a value is an error.
func (p *headerParser) token() (json.Token, error) {
	token, err := p.dec.Token()
	if err != nil {
		return nil, fmt.Errorf("not valid JSON: %w", err)
	}
	return token, nil
}

// byteSize is the size of a tensor in bytes, or an error if it exceeds an int64.
func byteSize(dtype tensor.DType, shape []int) (int64, error) {
	size := int64(dtype.Size())
	if size == 0 {
		return 0, fmt.Errorf("unknown dtype %q", string(dtype))
	}
	empty := false
	for _, d := range shape {
		if d < 0 {
			return 0, fmt.Errorf("shape %v has a negative dimension", shape)
		}
		if d == 0 {
			empty = true
			continue
		}
		if int64(d) > math.MaxInt64/size {
			return 0, fmt.Errorf("shape %v has more than 2^63 bytes", shape)
		}
		size *= int64(d)
	}
	if empty {
		return 0, nil
	}
	return size, nil
}
