package optim

import (
	"errors"
	"fmt"
	"os"
	"unsafe"
)

// Paged is memory in a file that the system maps: it writes parts of it to disk
// when it needs the room and reads them again when they are wanted, so that the
// state of an optimizer may exceed the machine's memory. Numbers do not depend
// on it. It is not safe for concurrent use.
type Paged struct {
	dir  string
	maps [][]byte
}

// NewPaged returns memory in files below dir, or why this system has none.
func NewPaged(dir string) (*Paged, error) {
	if !canMap {
		return nil, errors.New("this system maps no files into memory")
	}
	return &Paged{dir: dir}, nil
}

// Bytes implements Memory. The room is taken on disk at once, since a full disk
// could not be reported later.
func (p *Paged) Bytes(n int) ([]byte, error) {
	if n == 0 {
		return nil, nil
	}
	b, err := p.take(n)
	if err != nil {
		return nil, fmt.Errorf("taking %d bytes of paged memory: %w", n, err)
	}
	p.maps = append(p.maps, b)
	return b[:n:n], nil
}

// Floats implements Memory.
func (p *Paged) Floats(n int) ([]float32, error) {
	b, err := p.Bytes(4 * n)
	if n == 0 || err != nil {
		return nil, err
	}
	return unsafe.Slice((*float32)(unsafe.Pointer(&b[0])), n), nil
}

// take maps a file of n zeros that has no name any more.
func (p *Paged) take(n int) ([]byte, error) {
	f, err := os.CreateTemp(p.dir, "paged-*")
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if err := os.Remove(f.Name()); err != nil {
		return nil, err
	}
	zeros := make([]byte, min(n, 1<<20))
	for left := n; left > 0; left -= len(zeros) {
		zeros = zeros[:min(left, len(zeros))]
		if _, err := f.Write(zeros); err != nil {
			return nil, err
		}
	}
	return mapFile(f, n)
}

// Close gives the memory back; what was taken from it must not be used any more.
func (p *Paged) Close() error {
	var errs []error
	for _, b := range p.maps {
		errs = append(errs, unmap(b))
	}
	p.maps = nil
	return errors.Join(errs...)
}
