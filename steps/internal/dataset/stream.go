package dataset

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/ipc"
	"github.com/apache/arrow/go/v17/arrow/memory"
)

// maxMetadata bounds the flatbuffer of one Arrow message.
const maxMetadata = 64 << 20

// fileMagic opens and ends the Arrow file format, whose middle is a stream.
var fileMagic = []byte("ARROW1")

// batches reads the record batches of an Arrow file or stream in order, with
// every length checked against the bytes that are there, and memory bounded.
type batches struct {
	file     io.Closer
	messages *messageReader
	reader   *ipc.Reader
}

// A source is an open file that can be read at any offset.
type source interface {
	io.ReaderAt
	io.Closer
}

// openFile opens a regular file of this machine and returns its size.
func openFile(path string) (source, int64, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, 0, err
	}
	return checkFile(file)
}

// openIn opens a regular file of a file system and returns its size.
func openIn(fsys fs.FS, name string) (source, int64, error) {
	file, err := fsys.Open(name)
	if err != nil {
		return nil, 0, err
	}
	return checkFile(file)
}

func checkFile(file fs.File) (source, int64, error) {
	info, err := file.Stat()
	at, ok := file.(source)
	switch {
	case err != nil:
	case !info.Mode().IsRegular():
		err = errors.New("not a regular file")
	case !ok:
		err = errors.New("cannot be read at any offset")
	}
	if err != nil {
		file.Close()
		return nil, 0, err
	}
	return at, info.Size(), nil
}

// newBatches reads from file, which it owns unless it fails; limit is how much
// memory one batch may take.
func newBatches(file source, size, limit int64) (*batches, error) {
	start, length, err := streamExtent(file, size)
	if err != nil {
		return nil, err
	}
	body := bufio.NewReaderSize(io.NewSectionReader(file, start, length), int(min(length, 1<<20)))
	b := &batches{file: file, messages: &messageReader{r: body, left: length, limit: limit}}
	err = guard(func() error {
		var err error
		b.reader, err = ipc.NewReaderFromMessageReader(b.messages, ipc.WithAllocator(newBounded(limit)))
		return b.messages.explain(err)
	})
	if err != nil {
		return nil, err
	}
	return b, nil
}

// streamExtent finds the stream of messages in an Arrow file of either format:
// the whole of it, or what stands between the magic and the footer.
func streamExtent(file io.ReaderAt, size int64) (start, length int64, err error) {
	var head [8]byte
	if n, _ := file.ReadAt(head[:], 0); n < len(head) {
		return 0, 0, fmt.Errorf("%d bytes are too few for an Arrow stream", size)
	}
	if !bytes.HasPrefix(head[:], fileMagic) {
		return 0, size, nil
	}
	var tail [10]byte // footer length, magic
	if size < int64(len(head)+len(tail)) {
		return 0, 0, fmt.Errorf("%d bytes are too few for an Arrow file", size)
	}
	if _, err := file.ReadAt(tail[:], size-int64(len(tail))); err != nil {
		return 0, 0, err
	}
	if !bytes.Equal(tail[4:], fileMagic) {
		return 0, 0, errors.New("the Arrow file is truncated: it does not end with ARROW1")
	}
	footer := int64(int32(binary.LittleEndian.Uint32(tail[:])))
	length = size - int64(len(head)+len(tail)) - footer
	if footer < 0 || length < 0 {
		return 0, 0, fmt.Errorf("the Arrow file's footer length %d does not fit the file's %d bytes", footer, size)
	}
	return int64(len(head)), length, nil
}

// schema returns the columns.
func (b *batches) schema() *arrow.Schema { return b.reader.Schema() }

// next returns the next batch, valid until the call after, or io.EOF.
func (b *batches) next() (batch arrow.Record, err error) {
	err = guard(func() error {
		var err error
		batch, err = b.reader.Read()
		return b.messages.explain(err)
	})
	return batch, err
}

// ended reports whether the stream had its end mark; without it, it may have
// been cut between two messages.
func (b *batches) ended() bool { return b.messages.ended }

func (b *batches) close() error {
	return errors.Join(guard(func() error { b.reader.Release(); return nil }), b.file.Close())
}

// messageReader splits a stream into messages. Arrow's own reader allocates what
// the lengths in the stream say; this one compares them with what is left.
type messageReader struct {
	r     io.Reader
	left  int64 // bytes of the stream not read yet
	limit int64 // of one message
	ended bool  // the end mark was seen
	err   error // the first failure, for ipc.Reader wraps or drops it

	schema message // counts of views that batches must have
}

var _ ipc.MessageReader = (*messageReader)(nil)

// Message returns the next message or io.EOF.
func (m *messageReader) Message() (*ipc.Message, error) {
	if m.err != nil {
		return nil, m.err
	}
	message, err := m.read()
	m.err = err
	return message, err
}

func (m *messageReader) read() (*ipc.Message, error) {
	if m.left == 0 {
		return nil, io.EOF
	}
	length, err := m.length()
	if err != nil {
		return nil, err
	}
	if length == 0xFFFFFFFF { // the continuation mark of format 0.15 and later
		if length, err = m.length(); err != nil {
			return nil, err
		}
	}
	if length == 0 {
		m.ended = true
		return nil, io.EOF
	}
	if int64(length) > min(m.left, maxMetadata) {
		return nil, fmt.Errorf("a message says its metadata takes %d bytes where %d are left", length, m.left)
	}
	meta, err := m.take(int64(length))
	if err != nil {
		return nil, err
	}
	checked, err := checkMessage(meta)
	if err != nil {
		return nil, err
	}
	if err := m.checkViews(checked); err != nil {
		return nil, err
	}
	size := checked.body
	if size > m.left {
		return nil, fmt.Errorf("a message says its body takes %d bytes where %d are left", size, m.left)
	}
	if size > m.limit {
		return nil, fmt.Errorf("a record batch takes %d bytes; at most %d are read", size, m.limit)
	}
	body, err := m.take(size)
	if err != nil {
		return nil, err
	}
	return ipc.NewMessage(memory.NewBufferBytes(meta), memory.NewBufferBytes(body)), nil
}

// checkViews refuses batches with fewer counts of buffers than columns of view
// types: Arrow's reader takes what stands behind the counts for one.
func (m *messageReader) checkViews(checked message) error {
	want := m.schema.views
	switch checked.header {
	case headerSchema:
		m.schema = checked
		return nil
	case headerDictionaryBatch:
		want = m.schema.dictionaryViews
	}
	if checked.views < want {
		return fmt.Errorf("a batch counts the buffers of %d columns of views where the schema has %d", checked.views, want)
	}
	return nil
}

func (m *messageReader) length() (uint32, error) {
	if m.left < 4 {
		return 0, fmt.Errorf("the stream ends within a message length, %d bytes short", 4-m.left)
	}
	b, err := m.take(4)
	if err != nil {
		return 0, err
	}
	return binary.LittleEndian.Uint32(b), nil
}

// take reads n bytes, n being at most left.
func (m *messageReader) take(n int64) ([]byte, error) {
	b := make([]byte, n)
	if _, err := io.ReadFull(m.r, b); err != nil {
		return nil, fmt.Errorf("reading the stream: %w", err)
	}
	m.left -= n
	return b, nil
}

// explain prefers the framing's own error over what ipc.Reader made of it.
func (m *messageReader) explain(err error) error {
	if m.err != nil && m.err != io.EOF {
		return m.err
	}
	return err
}

// Retain and Release do nothing: the garbage collector owns the messages.
func (m *messageReader) Retain()  {}
func (m *messageReader) Release() {}
