// Package archive is the file that results travel in from one cache to
// another: blobs, the results that name them, and tags, once each.
//
// A file is a sequence of Zstandard frames (RFC 8878), so that any zstd can
// unpack it:
//
//	skippable frame 0x184D2A50   "pipe cache 1\n": what this is, and its format
//	then for each chunk of at most 4 MiB of records
//	skippable frame 0x184D2A51   uint32 length of the next frame, uint32 bytes in it
//	frame                        the chunk
//
// The chunks are independent, so that all cores pack and unpack them. Together
// they hold records (integers little-endian), in this order:
//
//	'b'  digest, uint64 size, bytes     blobs, ascending by digest
//	'r'  key, uint32 length, bytes      results as in ac/, ascending by key
//	't'  uint32 length, bytes           tags, ascending by their bytes
//	'e'  uint64 blobs, results, tags and bytes of blobs; SHA-256 of all
//	     records before, without the bytes of blobs     once, the last
//
// Equal records make equal bytes. Since everything is in order, nothing can
// stand in it twice, and since blobs come first, who reads knows what a result
// may name.
package archive

import (
	"errors"
	"fmt"

	"github.com/pipe-run/pipe/pipeline"
)

// version is the format that this package writes and reads.
const version = 1

const (
	magicPrefix = "pipe cache "
	headFrame   = 0x184D2A50
	chunkFrame  = 0x184D2A51

	chunkSize = 4 << 20 // bytes of records in a chunk, at most

	// MaxResult and MaxTag bound one record, in bytes.
	MaxResult = 1 << 20
	MaxTag    = 64 << 20
	// MaxRecords bounds how many there are.
	MaxRecords = 16 << 20
)

// magic is the content of the first frame.
var magic = fmt.Sprintf("%s%d\n", magicPrefix, version)

// ErrDamaged reports a file that no Writer wrote, or not all of one.
var ErrDamaged = errors.New("the archive is damaged")

// damaged says how.
func damaged(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrDamaged, fmt.Sprintf(format, args...))
}

// A Type says what a record is.
type Type byte

const (
	Blob   Type = 'b'
	Result Type = 'r'
	Tag    Type = 't'
	end    Type = 'e'
)

// order is the place of a type in a file.
func (t Type) order() int {
	switch t {
	case Blob:
		return 1
	case Result:
		return 2
	case Tag:
		return 3
	case end:
		return 4
	}
	return 0
}

// Counts are what an archive holds.
type Counts struct {
	Blobs   int64 `json:"blobs"`
	Results int64 `json:"results"`
	Tags    int64 `json:"tags"`
	Bytes   int64 `json:"bytes"` // of the blobs
}

// An Entry is one record.
type Entry struct {
	Type   Type
	Digest pipeline.Digest // of a blob
	Size   int64           // of a blob, in bytes
	Key    pipeline.Key    // of a result
	Raw    []byte          // of a result or tag
}
