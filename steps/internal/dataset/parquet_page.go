package dataset

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"sync/atomic"

	"github.com/apache/arrow/go/v17/parquet/compress"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/snappy"
	"github.com/klauspost/compress/zstd"
)

// Page types (enum PageType).
const (
	pageData       = 0
	pageIndex      = 1
	pageDictionary = 2
	pageDataV2     = 3
)

// maxPageHeader bounds a page header; statistics in it may hold whole values.
const maxPageHeader = 16 << 20

// memoryBudget is shared by the columns of a file: the bytes of the pages and
// dictionaries that they hold.
type memoryBudget struct{ left atomic.Int64 }

func newMemoryBudget(n int64) *memoryBudget {
	b := &memoryBudget{}
	b.left.Store(n)
	return b
}

func (b *memoryBudget) take(n int64) error {
	if b.left.Add(-n) < 0 {
		b.left.Add(n)
		return limitError{decodeLimit}
	}
	return nil
}

func (b *memoryBudget) give(n int64) { b.left.Add(n) }

// page is one page, uncompressed.
type page struct {
	kind     int
	values   int
	encoding int
	reps     []byte // levels, without their length
	defs     []byte
	data     []byte
	size     int64 // taken from the budget
}

// pageReader reads the pages of a chunk in order.
type pageReader struct {
	file   window
	leaf   *parquetNode
	codec  int
	codecs *codecs
	at     int64
	limit  int64
	budget *memoryBudget
	packed []byte
}

// next returns the next page. The caller gives page.size back to the budget.
func (r *pageReader) next() (page, error) {
	header, err := r.header()
	if err != nil {
		return page{}, err
	}
	p := page{kind: int(header.num(1, -1))}
	plain, err := header.int32(2, -1)
	if err != nil {
		return page{}, err
	}
	packed, err := header.int32(3, -1)
	if err != nil {
		return page{}, err
	}
	if plain < 0 || packed < 0 || int64(packed) > r.limit-r.at {
		return page{}, fmt.Errorf("a page says it takes %d bytes, %d uncompressed, where %d are left", packed, plain, r.limit-r.at)
	}
	p.size = int64(packed) + int64(plain)
	if err := r.budget.take(p.size); err != nil {
		return page{}, err
	}
	body := r.body(int(packed), p.kind)
	if _, err := r.file.ReadAt(body, r.at); err != nil {
		return page{}, err
	}
	r.at += int64(packed)
	if crc, ok := header.get(4); ok && crc32.ChecksumIEEE(body) != uint32(crc.int) {
		return page{}, errors.New("a page does not match its checksum")
	}
	switch p.kind {
	case pageData:
		err = r.dataV1(&p, header, body, plain)
	case pageDataV2:
		err = r.dataV2(&p, header, body, plain)
	case pageDictionary:
		h, _ := header.get(7)
		p.encoding = int(h.num(2, -1))
		if p.values, err = h.int32(1, -1); err == nil {
			p.data, err = r.codecs.decompress(r.codec, body, plain)
		}
	case pageIndex:
	default:
		err = fmt.Errorf("a page of unknown type %d", p.kind)
	}
	if err == nil && p.values < 0 {
		err = fmt.Errorf("a page of %d values", p.values)
	}
	return p, err
}

// body returns memory for a packed page: again the last one's if nothing of a
// page stays in it.
func (r *pageReader) body(n, kind int) []byte {
	if r.codec == codecNone || kind == pageDataV2 {
		return make([]byte, n)
	}
	if n > cap(r.packed) {
		r.packed = make([]byte, n)
	}
	return r.packed[:n]
}

// window reads ahead, since pages can be tiny.
type window struct {
	file io.ReaderAt
	at   int64
	buf  []byte
}

const windowBytes = 16 << 10

func (w *window) ReadAt(b []byte, at int64) (int, error) {
	if len(b) >= windowBytes {
		return w.file.ReadAt(b, at)
	}
	if at < w.at || at+int64(len(b)) > w.at+int64(len(w.buf)) {
		if cap(w.buf) == 0 {
			w.buf = make([]byte, windowBytes)
		}
		n, err := w.file.ReadAt(w.buf[:windowBytes], at)
		if err != nil && err != io.EOF {
			return 0, err
		}
		w.at, w.buf = at, w.buf[:n]
	}
	n := copy(b, w.buf[at-w.at:])
	if n < len(b) {
		return n, io.EOF
	}
	return n, nil
}

// header reads the header at r.at, whose length is not known before.
func (r *pageReader) header() (thrift, error) {
	for size := int64(256); ; size *= 8 {
		size = min(size, maxPageHeader, r.limit-r.at)
		buf := make([]byte, size)
		if _, err := r.file.ReadAt(buf, r.at); err != nil && err != io.EOF {
			return thrift{}, err
		}
		header, n, err := parseThrift(buf)
		if err == errThriftShort && size < min(maxPageHeader, r.limit-r.at) {
			continue
		}
		if err != nil {
			return thrift{}, fmt.Errorf("a page header: %w", err)
		}
		r.at += int64(n)
		return header, nil
	}
}

func (r *pageReader) dataV1(p *page, header thrift, body []byte, plain int) (err error) {
	h, _ := header.get(5)
	p.encoding = int(h.num(2, -1))
	if p.values, err = h.int32(1, -1); err != nil {
		return err
	}
	if p.data, err = r.codecs.decompress(r.codec, body, plain); err != nil {
		return err
	}
	if r.leaf.maxRep > 0 {
		if p.reps, p.data, err = prefixed(p.data, h.num(4, -1)); err != nil {
			return err
		}
	}
	if r.leaf.maxDef > 0 {
		p.defs, p.data, err = prefixed(p.data, h.num(3, -1))
	}
	return err
}

// prefixed cuts levels off, whose length stands before them.
func prefixed(b []byte, encoding int64) (levels, rest []byte, err error) {
	if encoding != encRLE {
		return nil, nil, fmt.Errorf("levels of encoding %d cannot be read", encoding)
	}
	if len(b) < 4 {
		return nil, nil, errors.New("a page ends before its levels")
	}
	n := binary.LittleEndian.Uint32(b)
	if uint64(n) > uint64(len(b)-4) {
		return nil, nil, fmt.Errorf("a page says its levels take %d of %d bytes", n, len(b))
	}
	return b[4 : 4+n], b[4+n:], nil
}

func (r *pageReader) dataV2(p *page, header thrift, body []byte, plain int) (err error) {
	h, _ := header.get(8)
	p.encoding = int(h.num(4, -1))
	if p.values, err = h.int32(1, -1); err != nil {
		return err
	}
	defs, rep := h.num(5, 0), h.num(6, 0)
	if defs < 0 || rep < 0 || defs > int64(len(body)) || rep > int64(len(body))-defs || defs+rep > int64(plain) {
		return fmt.Errorf("a page says its levels take %d and %d of %d bytes", rep, defs, len(body))
	}
	p.reps, p.defs, p.data = body[:rep], body[rep:rep+defs], body[rep+defs:]
	if h.num(7, 1) != 0 {
		p.data, err = r.codecs.decompress(r.codec, p.data, plain-int(rep+defs))
	}
	return err
}

// Codecs (enum CompressionCodec).
const (
	codecNone   = 0
	codecSnappy = 1
	codecGzip   = 2
	codecBrotli = 4
	codecLZ4    = 5 // blocks framed as Hadoop does, or bare
	codecZstd   = 6
	codecLZ4Raw = 7
)

// codecs holds what is kept between pages.
type codecs struct{ zstd *zstd.Decoder }

func (c *codecs) close() {
	if c.zstd != nil {
		c.zstd.Close()
	}
}

// decompress returns exactly n bytes or an error; n was taken from the budget.
func (c *codecs) decompress(codec int, b []byte, n int) ([]byte, error) {
	if codec == codecNone {
		if len(b) != n {
			return nil, fmt.Errorf("a page of %d bytes says it takes %d", len(b), n)
		}
		return b, nil
	}
	if n == 0 {
		return nil, nil
	}
	out := make([]byte, n)
	got := 0
	err := guard(func() (err error) {
		switch codec {
		case codecSnappy:
			if length, err := snappy.DecodedLen(b); err != nil || length != n {
				return fmt.Errorf("it says it takes %d bytes", length)
			}
			var plain []byte
			plain, err = snappy.Decode(out, b)
			got = len(plain)
		case codecLZ4Raw:
			got, err = decodeLZ4(out, b)
		case codecLZ4:
			got, err = decodeHadoop(out, b)
		case codecZstd:
			got, err = c.decodeZstd(out, b)
		case codecGzip, codecBrotli:
			got, err = decodeStream(codec, out, b)
		default:
			return fmt.Errorf("compression codec %d is not supported", codec)
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("uncompressing a page: %w", err)
	}
	if got != n {
		return nil, fmt.Errorf("a page uncompresses to %d bytes where its header says %d", got, n)
	}
	return out, nil
}

// decodeZstd uncompresses into out. A frame that says how much it holds is taken
// at its word first; one that does not grows no further than decodeLimit.
func (c *codecs) decodeZstd(out, b []byte) (int, error) {
	var head zstd.Header
	if err := head.Decode(b); err != nil {
		return 0, err
	}
	if head.HasFCS && head.FrameContentSize > uint64(len(out)) {
		return 0, fmt.Errorf("it says it takes %d bytes", head.FrameContentSize)
	}
	if c.zstd == nil {
		var err error
		c.zstd, err = zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(decodeLimit))
		if err != nil {
			return 0, err
		}
	}
	plain, err := c.zstd.DecodeAll(b, out[:0])
	return len(plain), err
}

// decodeStream uncompresses into out and looks for one byte more.
func decodeStream(codec int, out, b []byte) (n int, err error) {
	var r io.Reader
	switch codec {
	case codecGzip:
		gz, err := gzip.NewReader(bytes.NewReader(b))
		if err != nil {
			return 0, err
		}
		defer gz.Close()
		r = gz
	case codecBrotli:
		br, err := compress.GetCodec(compress.Codecs.Brotli)
		if err != nil {
			return 0, err
		}
		stream := br.NewReader(bytes.NewReader(b))
		defer stream.Close()
		r = stream
	}
	if n, err = io.ReadFull(r, out); err != nil {
		return n, err
	}
	var more [1]byte
	if extra, _ := r.Read(more[:]); extra > 0 {
		return n + extra, nil
	}
	return n, nil
}

// decodeHadoop reads LZ4 blocks each after its two lengths, big-endian, as
// Hadoop writes them, or else one bare block.
func decodeHadoop(out, b []byte) (int, error) {
	done, rest := 0, b
	for len(rest) >= 8 {
		plain, packed := binary.BigEndian.Uint32(rest), binary.BigEndian.Uint32(rest[4:])
		if uint64(packed) > uint64(len(rest)-8) || uint64(plain) > uint64(len(out)-done) {
			break
		}
		n, err := decodeLZ4(out[done:done+int(plain)], rest[8:8+packed])
		if err != nil || n != int(plain) {
			break
		}
		done += n
		rest = rest[8+packed:]
	}
	if len(rest) == 0 && done > 0 {
		return done, nil
	}
	return decodeLZ4(out, b)
}
