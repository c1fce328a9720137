// Package gguf reads GGUF files, the container of ggml and llama.cpp, and turns
// the models in them into the Hugging Face layout.
//
// A file is the magic "GGUF", a version, the numbers of tensors and of metadata
// entries, the entries, the tensors' descriptions and their aligned data; all
// little endian. Nothing in it is trusted: every count and length is bounded by
// the bytes that are left before anything is allocated, and duplicate names,
// overlaps, unknown types and data past the end are errors.
package gguf

import (
	"errors"
	"fmt"
	"io"
	"os"
	"sort"
)

// MaxHeader is the largest metadata accepted, in bytes; the largest
// vocabularies take some 30 MB.
const MaxHeader = 128 << 20

// maxAlignment bounds general.alignment; every known file has 32.
const maxAlignment = 1 << 16

// defaultAlignment holds where a file does not say.
const defaultAlignment = 32

// File is an open GGUF file. Its methods may be called from several goroutines
// at once.
type File struct {
	Version uint32

	r       io.ReaderAt
	close   func() error
	dataAt  int64
	keys    []string
	values  map[string]any
	tensors []Tensor
}

// Tensor describes one tensor of a file.
type Tensor struct {
	Name  string
	Type  Type
	Shape []int // as in PyTorch, the fastest dimension last

	offset, size int64
}

// Elements is the number of the tensor's elements.
func (t Tensor) Elements() int {
	n := 1
	for _, d := range t.Shape {
		n *= d
	}
	return n
}

// Bytes is the size of the tensor's data.
func (t Tensor) Bytes() int64 { return t.size }

// Open opens the file at path and reads its metadata. The caller closes it.
func Open(path string) (*File, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = errors.New("not a regular file")
	}
	var file *File
	if err == nil {
		file, err = New(f, info.Size())
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("reading %s: %w", path, err)
	}
	file.close = f.Close
	return file, nil
}

// New reads the metadata of a GGUF file of size bytes. r must stay readable as
// long as the File is used.
func New(r io.ReaderAt, size int64) (*File, error) {
	f := &File{r: r, values: map[string]any{}}
	p := newParser(r, size)
	tensors, entries, err := f.preamble(p)
	if err != nil {
		return nil, err
	}
	if err := f.readMetadata(p, entries); err != nil {
		return nil, err
	}
	if err := f.readTensors(p, tensors); err != nil {
		return nil, err
	}
	if err := f.place(p.at, size); err != nil {
		return nil, err
	}
	sort.Slice(f.tensors, func(i, j int) bool { return f.tensors[i].Name < f.tensors[j].Name })
	return f, nil
}

func (f *File) preamble(p *parser) (tensors, entries uint64, err error) {
	magic, err := p.bytes(4)
	if err != nil || string(magic) != "GGUF" {
		return 0, 0, errors.New("not a GGUF file: it does not begin with \"GGUF\"")
	}
	if f.Version, err = p.u32(); err != nil {
		return 0, 0, err
	}
	switch {
	case f.Version == 2 || f.Version == 3:
	case f.Version != 0 && f.Version&0xffff == 0:
		return 0, 0, errors.New("big-endian GGUF files are not supported")
	default:
		return 0, 0, fmt.Errorf("GGUF version %d is not supported (2 and 3 are)", f.Version)
	}
	if tensors, err = p.u64(); err != nil {
		return 0, 0, err
	}
	entries, err = p.u64()
	return tensors, entries, err
}

// readMetadata reads the key-value entries; each takes at least 13 bytes.
func (f *File) readMetadata(p *parser, entries uint64) error {
	if err := p.room(entries, 13); err != nil {
		return fmt.Errorf("%d metadata entries: %w", entries, err)
	}
	for range entries {
		key, err := p.name()
		if err != nil {
			return fmt.Errorf("metadata key: %w", err)
		}
		if _, ok := f.values[key]; ok {
			return fmt.Errorf("metadata %q appears twice", key)
		}
		if f.values[key], err = p.value(); err != nil {
			return fmt.Errorf("metadata %q: %w", key, err)
		}
		f.keys = append(f.keys, key)
	}
	return nil
}

// readTensors reads the tensors' descriptions; each takes at least 24 bytes.
func (f *File) readTensors(p *parser, count uint64) error {
	if err := p.room(count, 24); err != nil {
		return fmt.Errorf("%d tensors: %w", count, err)
	}
	seen := map[string]bool{}
	for range count {
		name, err := p.name()
		if err != nil {
			return fmt.Errorf("tensor name: %w", err)
		}
		if seen[name] {
			return fmt.Errorf("tensor %q appears twice", name)
		}
		seen[name] = true
		t := Tensor{Name: name}
		if err := p.tensor(&t); err != nil {
			return fmt.Errorf("tensor %q: %w", name, err)
		}
		f.tensors = append(f.tensors, t)
	}
	return nil
}

// place finds the start of the data after a header that ends at end, and checks
// that every tensor lies inside the file, aligned, and none inside another.
func (f *File) place(end, size int64) error {
	alignment := int64(defaultAlignment)
	if _, ok := f.values["general.alignment"]; ok {
		n, ok := f.Uint("general.alignment")
		if !ok || n == 0 || n > maxAlignment || n&(n-1) != 0 {
			return fmt.Errorf("general.alignment %v is not a power of two up to %d", f.values["general.alignment"], maxAlignment)
		}
		alignment = int64(n)
	}
	f.dataAt = (end + alignment - 1) / alignment * alignment
	order := append([]Tensor(nil), f.tensors...)
	sort.Slice(order, func(i, j int) bool {
		if order[i].offset != order[j].offset {
			return order[i].offset < order[j].offset
		}
		return order[i].size < order[j].size
	})
	var at int64
	for i, t := range order {
		switch {
		case t.offset%alignment != 0:
			return fmt.Errorf("tensor %q begins at byte %d, which is not aligned to %d", t.Name, t.offset, alignment)
		case t.offset < at:
			return fmt.Errorf("tensor %q begins at byte %d, inside tensor %q", t.Name, t.offset, order[i-1].Name)
		case t.offset > size-f.dataAt || t.size > size-f.dataAt-t.offset:
			return fmt.Errorf("tensor %q needs %d bytes from byte %d on, past the end of the file", t.Name, t.size, t.offset)
		}
		at = t.offset + t.size
	}
	return nil
}

// Tensors lists the tensors, sorted by name.
func (f *File) Tensors() []Tensor { return f.tensors }

// Tensor finds a tensor by name.
func (f *File) Tensor(name string) (Tensor, bool) {
	i := sort.Search(len(f.tensors), func(i int) bool { return f.tensors[i].Name >= name })
	if i == len(f.tensors) || f.tensors[i].Name != name {
		return Tensor{}, false
	}
	return f.tensors[i], true
}

// Read returns a copy of a tensor's bytes as stored.
func (f *File) Read(t Tensor) ([]byte, error) {
	data := make([]byte, t.size)
	if n, err := f.r.ReadAt(data, f.dataAt+t.offset); n < len(data) {
		if err == nil || err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		return nil, fmt.Errorf("tensor %q: %w", t.Name, err)
	}
	return data, nil
}

// F32 returns a tensor's elements, unpacked to float32. Types other than F32,
// F16, BF16, Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, Q4_K, Q5_K and Q6_K are an error.
func (f *File) F32(t Tensor) ([]float32, error) {
	if !t.Type.Decodes() {
		return nil, fmt.Errorf("tensor %q is %s, which cannot be unpacked", t.Name, t.Type)
	}
	data, err := f.Read(t)
	if err != nil {
		return nil, err
	}
	values := make([]float32, t.Elements())
	if err := t.Type.decode(values, data); err != nil {
		return nil, fmt.Errorf("tensor %q: %w", t.Name, err)
	}
	return values, nil
}

// Close closes the file if Open opened it.
func (f *File) Close() error {
	if f.close == nil {
		return nil
	}
	return f.close()
}
