package archive

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"io"

	"github.com/klauspost/compress/zstd"

	"github.com/pipe-run/pipe/pipeline"
)

// A Writer writes an archive. The order of the calls is that of the records.
// Its owner calls Close in the end, also after an error.
type Writer struct {
	w       io.Writer
	enc     *zstd.Encoder
	threads int

	chunk []byte // records not yet packed
	queue []*packing
	spare [][]byte // chunks to use again

	sum    hash.Hash // of the records, blobs without their bytes
	last   Entry
	counts Counts
	err    error
}

// A packing is a chunk that a goroutine packs.
type packing struct {
	raw, packed []byte
	done        chan struct{}
}

// NewWriter begins an archive, which up to threads goroutines pack.
func NewWriter(w io.Writer, threads int) (*Writer, error) {
	threads = max(1, threads)
	enc, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(threads), zstd.WithEncoderLevel(zstd.SpeedDefault), zstd.WithEncoderCRC(false))
	if err != nil {
		return nil, err
	}
	a := &Writer{w: w, enc: enc, threads: threads, sum: sha256.New()}
	if _, err := w.Write(skippable(headFrame, []byte(magic))); err != nil {
		return nil, err
	}
	return a, nil
}

// skippable is a frame that decoders pass over.
func skippable(kind uint32, content []byte) []byte {
	b := binary.LittleEndian.AppendUint32(nil, kind)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(content)))
	return append(b, content...)
}

// Blob adds the size bytes of r, whose digest must be d.
func (a *Writer) Blob(d pipeline.Digest, size int64, r io.Reader) error {
	a.begin(Entry{Type: Blob, Digest: d, Size: size})
	head := append([]byte{byte(Blob)}, d[:]...)
	a.head(binary.LittleEndian.AppendUint64(head, uint64(size)))
	h := sha256.New()
	for left := size; left > 0 && a.err == nil; {
		n := min(left, int64(chunkSize-len(a.chunk)))
		start := len(a.chunk)
		part := a.chunk[start : start+int(n)]
		if _, err := io.ReadFull(r, part); err != nil {
			a.fail(fmt.Errorf("reading blob %s: %w", d, err))
			break
		}
		h.Write(part)
		a.chunk = a.chunk[:start+int(n)]
		left -= n
		a.room()
	}
	if got := pipeline.Digest(h.Sum(nil)); got != d {
		a.fail(fmt.Errorf("blob %s has the SHA-256 %s", d, got))
	}
	a.counts.Blobs++
	a.counts.Bytes += size
	return a.err
}

// Result adds the result under k, as it stands in a cache.
func (a *Writer) Result(k pipeline.Key, raw []byte) error {
	a.begin(Entry{Type: Result, Key: k, Raw: raw})
	if len(raw) > MaxResult {
		a.fail(fmt.Errorf("result %s has %d bytes, more than %d", k, len(raw), MaxResult))
	}
	a.head(appendRaw(append([]byte{byte(Result)}, k[:]...), raw))
	a.counts.Results++
	return a.err
}

// Tag adds a tag.
func (a *Writer) Tag(raw []byte) error {
	a.begin(Entry{Type: Tag, Raw: raw})
	if len(raw) > MaxTag {
		a.fail(fmt.Errorf("a tag has %d bytes, more than %d", len(raw), MaxTag))
	}
	a.head(appendRaw([]byte{byte(Tag)}, raw))
	a.counts.Tags++
	return a.err
}

func appendRaw(head, raw []byte) []byte {
	return append(binary.LittleEndian.AppendUint32(head, uint32(len(raw))), raw...)
}

// Finish ends the archive.
func (a *Writer) Finish() (Counts, error) {
	a.write(endRecord(a.counts, a.sum))
	a.flush()
	for len(a.queue) > 0 {
		a.emit()
	}
	return a.counts, a.err
}

// endRecord is the last record.
func endRecord(c Counts, sum hash.Hash) []byte {
	b := []byte{byte(end)}
	for _, n := range []int64{c.Blobs, c.Results, c.Tags, c.Bytes} {
		b = binary.LittleEndian.AppendUint64(b, uint64(n))
	}
	return sum.Sum(b)
}

// Close frees what a holds.
func (a *Writer) Close() error {
	for _, p := range a.queue {
		<-p.done
	}
	a.queue = nil
	return a.enc.Close()
}

func (a *Writer) fail(err error) {
	if a.err == nil {
		a.err = err
	}
}

// begin checks that e comes after what came before it.
func (a *Writer) begin(e Entry) {
	if !after(a.last, e) {
		a.fail(errors.New("writing an archive: the records are out of order"))
	}
	if a.counts.Blobs+a.counts.Results+a.counts.Tags >= MaxRecords {
		a.fail(fmt.Errorf("writing an archive: it would have more than %d records", MaxRecords))
	}
	a.last = e
}

// after reports whether b may follow a.
func after(a, b Entry) bool {
	if a.Type != b.Type {
		return a.Type.order() < b.Type.order()
	}
	switch b.Type {
	case Blob:
		return bytes.Compare(a.Digest[:], b.Digest[:]) < 0
	case Result:
		return bytes.Compare(a.Key[:], b.Key[:]) < 0
	}
	return bytes.Compare(a.Raw, b.Raw) < 0
}

// head writes what the sum is of.
func (a *Writer) head(b []byte) {
	a.sum.Write(b)
	a.write(b)
}

func (a *Writer) write(b []byte) {
	for len(b) > 0 && a.err == nil {
		a.room()
		n := min(len(b), chunkSize-len(a.chunk))
		a.chunk = append(a.chunk, b[:n]...)
		b = b[n:]
	}
	a.room()
}

// room makes room in the chunk.
func (a *Writer) room() {
	if len(a.chunk) == chunkSize {
		a.flush()
	}
	if a.chunk != nil {
		return
	}
	if n := len(a.spare); n > 0 {
		a.chunk, a.spare = a.spare[n-1][:0], a.spare[:n-1]
	} else {
		a.chunk = make([]byte, 0, chunkSize)
	}
}

// flush starts to pack the chunk.
func (a *Writer) flush() {
	if len(a.chunk) == 0 || a.err != nil {
		return
	}
	for len(a.queue) > a.threads {
		a.emit()
	}
	p := &packing{raw: a.chunk, done: make(chan struct{})}
	a.chunk = nil
	a.queue = append(a.queue, p)
	go func() {
		p.packed = a.enc.EncodeAll(p.raw, nil)
		close(p.done)
	}()
}

// emit writes the oldest chunk.
func (a *Writer) emit() {
	p := a.queue[0]
	a.queue = a.queue[1:]
	<-p.done
	if a.err == nil {
		lengths := binary.LittleEndian.AppendUint32(nil, uint32(len(p.packed)))
		lengths = binary.LittleEndian.AppendUint32(lengths, uint32(len(p.raw)))
		_, err := a.w.Write(append(skippable(chunkFrame, lengths), p.packed...))
		if err != nil {
			a.fail(err)
		}
	}
	a.spare = append(a.spare, p.raw)
}
