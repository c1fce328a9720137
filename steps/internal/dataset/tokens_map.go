package dataset

import (
	"encoding/binary"
	"errors"
	"os"
	"unsafe"
)

// MapTokens is OpenTokens for artifacts in pipe's store, whose files nobody changes:
// where the system can, the shards are mapped into memory, and rows are slices into
// the map where the file has numbers as memory has. A file that were cut short
// while it is mapped would end the process, so what lies in a user's folder is read
// with OpenTokens.
func MapTokens(dir string) (*Tokens, error) {
	t, err := OpenTokens(dir)
	if err != nil {
		return nil, err
	}
	t.maps = make([][]byte, len(t.shards))
	for i, s := range t.shards {
		if file, ok := s.(*os.File); ok {
			t.maps[i] = mapFile(file) // nil where it cannot be: then it is read
		}
	}
	return t, nil
}

func (t *Tokens) mapped(shard int) []byte {
	if t.maps == nil {
		return nil
	}
	return t.maps[shard]
}

// mapWindow is how many bytes of maps stay resident, about.
const mapWindow = 32 << 20

// touch notes that bytes of the maps are used. Now and then the pages are let go,
// so that reading all rows does not make all of them resident; whoever still uses
// one gets it again from the file.
func (t *Tokens) touch(n int64) {
	if seen := t.touched.Add(n); seen > mapWindow && t.touched.CompareAndSwap(seen, 0) {
		for _, m := range t.maps {
			letGo(m)
		}
	}
}

func (t *Tokens) unmap() error {
	var errs []error
	for _, m := range t.maps {
		if m != nil {
			errs = append(errs, unmapFile(m))
		}
	}
	t.maps = nil
	return errors.Join(errs...)
}

// inPlace returns little-endian numbers of a width as a slice of T without copying
// them, where the machine is little-endian and b is aligned.
func inPlace[T int8 | int32 | int64 | float32](b []byte, width int) ([]T, bool) {
	size := int(unsafe.Sizeof(*new(T)))
	little := binary.NativeEndian.Uint16([]byte{1, 0}) == 1
	if !little || width != size || len(b) == 0 || uintptr(unsafe.Pointer(unsafe.SliceData(b)))%uintptr(size) != 0 {
		return nil, false
	}
	return unsafe.Slice((*T)(unsafe.Pointer(unsafe.SliceData(b))), len(b)/size), true
}
