// Package safetensors reads and writes the safetensors format: eight bytes of
// header length (little endian), a JSON header that names every tensor with
// its dtype, shape and offsets, and the tensors' bytes without a gap.
//
// The reader trusts nothing: lengths are bounded by the file's size and by
// MaxHeader before anything is allocated, and duplicate names, overlaps, gaps,
// trailing bytes, unknown dtypes and shapes whose size does not fit are errors
// that name the tensor. The writer is canonical: equal tensors give equal bytes.
package safetensors

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"sort"
)

// MaxHeader is the largest header accepted, in bytes, as in the format's
// reference implementation.
const MaxHeader = 100_000_000

// File is an open safetensors file. Its methods may be called from several
// goroutines at once.
type File struct {
	r        io.ReaderAt
	close    func() error
	dataAt   int64
	tensors  []Tensor
	metadata map[string]string
}

// Open opens the file at path and checks its header. The caller closes it.
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

// New reads the header of a safetensors file of size bytes. r must stay
// readable as long as the File is used.
func New(r io.ReaderAt, size int64) (*File, error) {
	var length [8]byte
	if size < int64(len(length)) {
		return nil, fmt.Errorf("not a safetensors file: it has %d bytes, fewer than the 8 of a header length", size)
	}
	if err := readFull(r, length[:], 0); err != nil {
		return nil, fmt.Errorf("header length: %w", err)
	}
	n := binary.LittleEndian.Uint64(length[:])
	switch {
	case n > uint64(size-8):
		return nil, fmt.Errorf("not a safetensors file: header of %d bytes in a file of %d", n, size)
	case n > MaxHeader:
		return nil, fmt.Errorf("header of %d bytes exceeds the limit of %d", n, MaxHeader)
	}
	raw := make([]byte, n)
	if err := readFull(r, raw, 8); err != nil {
		return nil, fmt.Errorf("header: %w", err)
	}
	dataAt := 8 + int64(n)
	tensors, metadata, err := parseHeader(raw, size-dataAt)
	if err != nil {
		return nil, err
	}
	return &File{r: r, dataAt: dataAt, tensors: tensors, metadata: metadata}, nil
}

// Tensors lists the tensors, sorted by name.
func (f *File) Tensors() []Tensor { return f.tensors }

// Metadata is the header's metadata; nil if there is none.
func (f *File) Metadata() map[string]string { return f.metadata }

// Tensor finds a tensor by name.
func (f *File) Tensor(name string) (Tensor, bool) {
	i := sort.Search(len(f.tensors), func(i int) bool { return f.tensors[i].Name >= name })
	if i == len(f.tensors) || f.tensors[i].Name != name {
		return Tensor{}, false
	}
	return f.tensors[i], true
}

// ReadAt fills p from byte offset of the tensor's data. Reading past the
// tensor's end is an error.
func (f *File) ReadAt(t Tensor, p []byte, offset int64) error {
	if offset < 0 || offset > t.Bytes() || int64(len(p)) > t.Bytes()-offset {
		return fmt.Errorf("tensor %q: bytes %d to %d lie outside its %d", t.Name, offset, offset+int64(len(p)), t.Bytes())
	}
	if err := readFull(f.r, p, f.dataAt+t.begin+offset); err != nil {
		return fmt.Errorf("tensor %q: %w", t.Name, err)
	}
	return nil
}

// Read returns a copy of a tensor's bytes.
func (f *File) Read(t Tensor) ([]byte, error) {
	p := make([]byte, t.Bytes())
	return p, f.ReadAt(t, p, 0)
}

// Close closes the file if Open opened it.
func (f *File) Close() error {
	if f.close == nil {
		return nil
	}
	return f.close()
}

// readFull fills p; a file that ends early is io.ErrUnexpectedEOF.
func readFull(r io.ReaderAt, p []byte, at int64) error {
	n, err := r.ReadAt(p, at)
	if n == len(p) {
		return nil
	}
	if err == nil || err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return err
}
