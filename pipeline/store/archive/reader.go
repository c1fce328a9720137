package archive

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"hash"
	"io"
	"strconv"
	"strings"

	"github.com/klauspost/compress/zstd"

	"github.com/pipe-run/pipe/pipeline"
)

// A Reader reads an archive, which may hold anything. What it returns has
// been checked: order, digests of blobs, and in the end counts and sum. Its
// memory does not depend on what the archive says. Its owner calls Close in
// the end.
type Reader struct {
	in      *bufio.Reader
	dec     *zstd.Decoder
	threads int

	queue []*unpacking
	ended bool   // nothing is left of in
	chunk []byte // records not yet read

	sum    hash.Hash
	last   Entry
	counts Counts

	left int64     // bytes of the blob that are not read yet
	hash hash.Hash // of those that are
	err  error     // what Next and Read return from now on
}

// An unpacking is a chunk that a goroutine unpacks.
type unpacking struct {
	packed, raw []byte
	size        int
	err         error
	done        chan struct{}
}

// NewReader begins to read an archive, which up to threads goroutines unpack.
func NewReader(r io.Reader, threads int) (*Reader, error) {
	a := &Reader{in: bufio.NewReaderSize(r, 256<<10), threads: max(1, threads), sum: sha256.New()}
	if err := a.readMagic(); err != nil {
		return nil, err
	}
	var err error
	a.dec, err = zstd.NewReader(nil, zstd.WithDecoderConcurrency(a.threads), zstd.WithDecoderMaxMemory(chunkSize), zstd.WithDecodeAllCapLimit(true))
	return a, err
}

// readMagic refuses what is no archive, and one of another format.
func (a *Reader) readMagic() error {
	var head [8]byte
	_, err := io.ReadFull(a.in, head[:])
	size := binary.LittleEndian.Uint32(head[4:])
	if err != nil && err != io.EOF && err != io.ErrUnexpectedEOF {
		return err
	}
	if err != nil || binary.LittleEndian.Uint32(head[:]) != headFrame || size > 64 {
		return damaged("it is no file that pipe cache export wrote")
	}
	text := make([]byte, size)
	if _, err := io.ReadFull(a.in, text); err != nil {
		return damaged("it is no file that pipe cache export wrote")
	}
	number, ok := strings.CutPrefix(string(text), magicPrefix)
	n, err := strconv.Atoi(strings.TrimSuffix(number, "\n"))
	switch {
	case !ok || err != nil || n < 1:
		return damaged("it is no file that pipe cache export wrote")
	case n != version:
		return errVersion(n)
	}
	return nil
}

// errVersion is the format of an archive of another pipe.
type errVersion int

func (e errVersion) Error() string {
	return "the archive has format " + strconv.Itoa(int(e)) + ", this pipe knows format " + strconv.Itoa(version) + ": use the pipe that wrote it, or a newer one"
}

// Close frees what a holds.
func (a *Reader) Close() {
	for _, u := range a.queue {
		<-u.done
	}
	a.queue = nil
	if a.dec != nil {
		a.dec.Close()
	}
}

// Next returns the next record. The bytes of a blob are read from a until
// io.EOF; those that are not are checked by the next call. After the last
// record, when all is right, the error is io.EOF.
func (a *Reader) Next() (Entry, error) {
	if a.err == nil && a.last.Type == Blob {
		_, a.err = io.Copy(io.Discard, struct{ io.Reader }{a})
		if a.err == io.EOF {
			a.err = nil
		}
	}
	if a.err != nil {
		return Entry{}, a.err
	}
	e, err := a.next()
	if err != nil {
		a.err = err
		return Entry{}, err
	}
	if a.last = e; e.Type == Blob {
		a.left, a.hash = e.Size, sha256.New()
	}
	return e, nil
}

func (a *Reader) next() (e Entry, err error) {
	var head [41]byte // the longest there is
	if err := a.full(head[:1]); err != nil {
		return e, err
	}
	e.Type = Type(head[0])
	switch e.Type {
	case Blob:
		if err = a.full(head[1:41]); err == nil {
			e.Digest = pipeline.Digest(head[1:33])
			e.Size = int64(binary.LittleEndian.Uint64(head[33:]))
			a.sum.Write(head[:41])
		}
		if a.counts.Blobs++; err == nil && (e.Size < 0 || e.Size > maxBlob || a.counts.Bytes+e.Size > maxBlob) {
			return e, damaged("blob %s is said to have %d bytes", e.Digest, uint64(e.Size))
		}
		a.counts.Bytes += e.Size
	case Result:
		if err = a.full(head[1:33]); err == nil {
			e.Key = pipeline.Key(head[1:33])
			a.sum.Write(head[:33])
			e.Raw, err = a.raw(MaxResult)
		}
		a.counts.Results++
	case Tag:
		a.sum.Write(head[:1])
		e.Raw, err = a.raw(MaxTag)
		a.counts.Tags++
	case end:
		return e, a.finish()
	default:
		return e, damaged("a record of it is of no known type (%q)", head[0])
	}
	if err == nil && !after(a.last, e) {
		err = damaged("its records are out of order, or one stands in it twice")
	}
	if err == nil && a.counts.Blobs+a.counts.Results+a.counts.Tags > MaxRecords {
		err = damaged("it has more than %d records", MaxRecords)
	}
	return e, err
}

// maxBlob bounds a blob, and all of them together, in bytes.
const maxBlob = 1 << 50

// raw reads a length of at most most, and as many bytes.
func (a *Reader) raw(most int) ([]byte, error) {
	var length [4]byte
	if err := a.full(length[:]); err != nil {
		return nil, err
	}
	n := binary.LittleEndian.Uint32(length[:])
	if n > uint32(most) {
		return nil, damaged("a record of it is said to have %d bytes; at most %d are read", n, most)
	}
	a.sum.Write(length[:])
	var b bytes.Buffer // grows with what is there, not with what is said
	for left := int(n); left > 0; {
		if err := a.more(); err != nil {
			return nil, err
		}
		k := min(left, len(a.chunk))
		b.Write(a.chunk[:k])
		a.chunk = a.chunk[k:]
		left -= k
	}
	a.sum.Write(b.Bytes())
	return b.Bytes(), nil
}

// finish checks the last record, and that it is the last. All being right,
// the error is io.EOF.
func (a *Reader) finish() error {
	want := endRecord(a.counts, a.sum)[1:]
	got := make([]byte, len(want))
	if err := a.full(got); err != nil {
		return err
	}
	if !bytes.Equal(got, want) {
		return damaged("its end does not fit what it holds")
	}
	if err := a.more(); err == nil {
		return damaged("something stands behind its end")
	} else if !errors.Is(err, errShort) {
		return err
	}
	return io.EOF
}

// Counts returns what was read so far.
func (a *Reader) Counts() Counts { return a.counts }

// Read reads bytes of the blob that Next returned. Its end is io.EOF only when
// they have the digest of the blob.
func (a *Reader) Read(p []byte) (int, error) {
	if a.err != nil {
		return 0, a.err
	}
	if a.left == 0 {
		if a.hash == nil {
			return 0, io.EOF
		}
		got := pipeline.Digest(a.hash.Sum(nil))
		a.hash = nil
		if got != a.last.Digest {
			a.err = damaged("blob %s has the SHA-256 %s", a.last.Digest, got)
			return 0, a.err
		}
		return 0, io.EOF
	}
	if err := a.more(); err != nil {
		a.err = err
		return 0, err
	}
	n := copy(p[:min(int64(len(p)), a.left)], a.chunk)
	a.hash.Write(p[:n])
	a.chunk = a.chunk[n:]
	a.left -= int64(n)
	return n, nil
}

// full fills b with the next bytes of the records.
func (a *Reader) full(b []byte) error {
	for len(b) > 0 {
		if err := a.more(); err != nil {
			return err
		}
		n := copy(b, a.chunk)
		a.chunk, b = a.chunk[n:], b[n:]
	}
	return nil
}

// errShort reports that the file ends where more should come.
var errShort = damaged("it ends in the middle: it was cut off, or is still being written")

// more makes sure that the chunk holds a byte.
func (a *Reader) more() error {
	for len(a.chunk) == 0 {
		for !a.ended && len(a.queue) <= a.threads {
			if err := a.start(); err != nil {
				return err
			}
		}
		if len(a.queue) == 0 {
			return errShort
		}
		u := a.queue[0]
		a.queue = a.queue[1:]
		if <-u.done; u.err != nil {
			return u.err
		}
		a.chunk = u.raw
	}
	return nil
}

// start reads a packed chunk and begins to unpack it.
func (a *Reader) start() error {
	var head [16]byte
	_, err := io.ReadFull(a.in, head[:])
	if err == io.EOF {
		a.ended = true
		return nil
	}
	le := binary.LittleEndian
	switch {
	case err == io.ErrUnexpectedEOF:
		return errShort
	case err != nil:
		return err
	case le.Uint32(head[:]) != chunkFrame || le.Uint32(head[4:]) != 8:
		return damaged("a frame of it is not where it should be")
	}
	packed, size := le.Uint32(head[8:]), le.Uint32(head[12:])
	if size == 0 || size > chunkSize || packed > size+size>>7+1024 {
		return damaged("a frame of it is said to have %d bytes that become %d", packed, size)
	}
	u := &unpacking{packed: make([]byte, packed), size: int(size), done: make(chan struct{})}
	if _, err := io.ReadFull(a.in, u.packed); err == io.EOF || err == io.ErrUnexpectedEOF {
		return errShort
	} else if err != nil {
		return err
	}
	a.queue = append(a.queue, u)
	go a.unpack(u)
	return nil
}

// unpack decodes u, and nothing longer than what u is said to become.
func (a *Reader) unpack(u *unpacking) {
	defer close(u.done)
	raw, err := a.dec.DecodeAll(u.packed, make([]byte, 0, u.size))
	switch {
	case err != nil:
		u.err = damaged("a frame of it cannot be unpacked (%v)", err)
	case len(raw) != u.size:
		u.err = damaged("a frame of it becomes %d bytes, not %d", len(raw), u.size)
	}
	u.raw, u.packed = raw, nil
}
