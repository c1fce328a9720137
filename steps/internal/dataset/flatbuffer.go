package dataset

import (
	"encoding/binary"
	"errors"
	"fmt"
	"unicode/utf8"
)

// The metadata of Arrow messages is a flatbuffer (Arrow format/Message.fbs and
// Schema.fbs; flatbuffers.dev "internals"). The Arrow library trusts it: a vector
// length of 2^31 is allocated, a deep nest of fields overflows the stack, and
// neither can be recovered from. checkMessage walks all of it first.

// Limits of the metadata of one message.
const (
	maxFieldDepth  = 64
	maxFieldTables = 100_000
	maxBatchRows   = 1 << 24
)

// The header types of a message (union MessageHeader).
const (
	headerSchema          = 1
	headerDictionaryBatch = 2
	headerRecordBatch     = 3
)

var errFlatbuffer = errors.New("the metadata of a message is malformed")

// message is what checkMessage learns.
type message struct {
	header  byte  // headerSchema, …
	body    int64 // bytes that follow the metadata
	rows    int64 // of a record batch
	buffers []extent
	packed  bool // the buffers are compressed
	nulls   bool // some node has nulls

	// Columns of the view types, of which each record batch counts the buffers:
	// in a schema, how many there are, and how many of them are in dictionaries;
	// in a batch, how many have counts.
	views, dictionaryViews int
}

// extent is a range of bytes of a message's body.
type extent struct{ offset, length int64 }

// checkMessage verifies that every offset and vector of a message's metadata
// lies within it, and every buffer within the body of the size it announces.
func checkMessage(b []byte) (message, error) {
	w := &walker{b: b, budget: maxFieldTables}
	root, err := w.root()
	if err != nil {
		return message{}, err
	}
	var m message
	m.header = byte(w.scalar(root, 1, 1))
	m.body = w.scalar(root, 3, 8)
	if m.body < 0 {
		return m, fmt.Errorf("a message says its body takes %d bytes", m.body)
	}
	w.keyValues(root, 4)
	switch header, ok := w.child(root, 2); {
	case !ok:
		w.fail()
	case m.header == headerSchema:
		w.fields(header, 1, 0, &m.views, &m.dictionaryViews)
		w.keyValues(header, 2)
		w.vector(header, 3, 8)
	case m.header == headerRecordBatch:
		w.recordBatch(header, &m)
	case m.header == headerDictionaryBatch:
		if data, ok := w.child(header, 1); ok {
			w.recordBatch(data, &m)
		} else {
			w.fail()
		}
	default:
		return m, fmt.Errorf("a message of unknown type %d", m.header)
	}
	return m, w.err
}

// walker reads tables of a flatbuffer; the first malformed one sets err, and
// everything after reads as absent.
type walker struct {
	b      []byte
	budget int // tables that may still be visited
	err    error
}

// table is a checked table: where its fields start, and its vtable.
type table struct {
	at     int
	size   int
	vtable []byte // without its two leading lengths
}

func (w *walker) fail() {
	if w.err == nil {
		w.err = errFlatbuffer
	}
}

func (w *walker) root() (table, error) {
	t := w.follow(0)
	return t, w.err
}

// follow reads the offset at i and the table it leads to.
func (w *walker) follow(i int) table {
	target, ok := w.jump(i)
	if !ok {
		return table{}
	}
	if w.budget--; w.budget < 0 {
		w.err = fmt.Errorf("the metadata of a message holds more than %d tables", maxFieldTables)
		return table{}
	}
	if target > len(w.b)-4 {
		w.fail()
		return table{}
	}
	v := int64(target) - int64(int32(binary.LittleEndian.Uint32(w.b[target:])))
	if v < 0 || v > int64(len(w.b)-4) {
		w.fail()
		return table{}
	}
	length := int(binary.LittleEndian.Uint16(w.b[v:]))
	size := int(binary.LittleEndian.Uint16(w.b[v+2:]))
	if length < 4 || length%2 != 0 || int(v)+length > len(w.b) || size < 4 || target+size > len(w.b) {
		w.fail()
		return table{}
	}
	return table{at: target, size: size, vtable: w.b[v+4 : int(v)+length]}
}

// jump reads the unsigned offset at i, relative to i.
func (w *walker) jump(i int) (int, bool) {
	if w.err != nil || i < 0 || i > len(w.b)-4 {
		w.fail()
		return 0, false
	}
	target := int64(i) + int64(binary.LittleEndian.Uint32(w.b[i:]))
	if target > int64(len(w.b)-4) {
		w.fail()
		return 0, false
	}
	return int(target), true
}

// field returns where field n of t stands, and false when it is absent.
func (w *walker) field(t table, n, width int) (int, bool) {
	if w.err != nil || 2*n+2 > len(t.vtable) {
		return 0, false
	}
	offset := int(binary.LittleEndian.Uint16(t.vtable[2*n:]))
	if offset == 0 {
		return 0, false
	}
	if offset < 4 || offset+width > t.size {
		w.fail()
		return 0, false
	}
	return t.at + offset, true
}

// scalar returns field n of t, of width 1, 2, 4 or 8 bytes, 0 when absent.
func (w *walker) scalar(t table, n, width int) int64 {
	i, ok := w.field(t, n, width)
	if !ok {
		return 0
	}
	switch width {
	case 1:
		return int64(w.b[i])
	case 2:
		return int64(int16(binary.LittleEndian.Uint16(w.b[i:])))
	case 4:
		return int64(int32(binary.LittleEndian.Uint32(w.b[i:])))
	}
	return int64(binary.LittleEndian.Uint64(w.b[i:]))
}

// child returns the table that field n of t refers to.
func (w *walker) child(t table, n int) (table, bool) {
	i, ok := w.field(t, n, 4)
	if !ok {
		return table{}, false
	}
	c := w.follow(i)
	return c, w.err == nil
}

// vector returns where the elements of the vector in field n of t start and how
// many there are, each of the given width. A string is a vector of bytes.
func (w *walker) vector(t table, n, width int) (start, count int) {
	i, ok := w.field(t, n, 4)
	if !ok {
		return 0, 0
	}
	at, ok := w.jump(i)
	if !ok {
		return 0, 0
	}
	length := int64(binary.LittleEndian.Uint32(w.b[at:]))
	if length*int64(width) > int64(len(w.b)-at-4) {
		w.fail()
		return 0, 0
	}
	return at + 4, int(length)
}

func (w *walker) keyValues(t table, n int) {
	start, count := w.vector(t, n, 4)
	for i := range count {
		pair := w.follow(start + 4*i)
		w.vector(pair, 0, 1)
		w.vector(pair, 1, 1)
		if w.err != nil {
			return
		}
	}
}

// fields checks a vector of Field tables and all below them. It counts those of
// a view type in views, or in dictionaryViews below a dictionary.
func (w *walker) fields(t table, n, depth int, views, dictionaryViews *int) {
	if depth > maxFieldDepth {
		w.err = fmt.Errorf("the columns are nested more than %d deep", maxFieldDepth)
		return
	}
	start, count := w.vector(t, n, 4)
	for i := range count {
		field := w.follow(start + 4*i)
		if at, n := w.vector(field, 0, 1); !utf8.Valid(w.b[at : at+n]) {
			w.err = fmt.Errorf("a column's name is not UTF-8: %s", snippet(string(w.b[at:at+n])))
		}
		if kind, ok := w.child(field, 3); ok {
			switch w.scalar(field, 2, 1) {
			case 10: // Timestamp: unit, timezone
				w.vector(kind, 1, 1)
			case 14: // Union: mode, typeIds
				w.vector(kind, 1, 4)
			case 16: // FixedSizeList: listSize
				if w.scalar(kind, 0, 4) < 0 {
					w.fail()
				}
			}
		}
		views := views
		if encoding, ok := w.child(field, 4); ok {
			w.child(encoding, 1)
			views = dictionaryViews
		}
		if kind := w.scalar(field, 2, 1); kind == 23 || kind == 24 { // BinaryView, Utf8View
			*views++
		}
		w.fields(field, 5, depth+1, views, dictionaryViews)
		w.keyValues(field, 6)
		if w.err != nil {
			return
		}
	}
}

// recordBatch checks a RecordBatch table against the body it describes.
func (w *walker) recordBatch(t table, m *message) {
	m.rows = w.scalar(t, 0, 8)
	if m.rows < 0 || m.rows > maxBatchRows {
		w.err = fmt.Errorf("a record batch says it has %d rows; at most %d are read", m.rows, maxBatchRows)
		return
	}
	nodes, count := w.vector(t, 1, 16)
	for i := range count {
		length := int64(binary.LittleEndian.Uint64(w.b[nodes+16*i:]))
		nulls := int64(binary.LittleEndian.Uint64(w.b[nodes+16*i+8:]))
		if length < 0 || nulls < 0 || nulls > length || length > max(m.body, maxBatchRows)*8 {
			w.fail()
			return
		}
		m.nulls = m.nulls || nulls > 0
	}
	start, count := w.vector(t, 2, 16)
	m.buffers = make([]extent, count)
	for i := range m.buffers {
		e := extent{
			offset: int64(binary.LittleEndian.Uint64(w.b[start+16*i:])),
			length: int64(binary.LittleEndian.Uint64(w.b[start+16*i+8:])),
		}
		if e.offset < 0 || e.length < 0 || e.offset > m.body || e.length > m.body-e.offset {
			w.err = fmt.Errorf("buffer %d of a record batch lies outside of its %d bytes", i, m.body)
			return
		}
		m.buffers[i] = e
	}
	_, m.packed = w.child(t, 3)
	counts, n := w.vector(t, 4, 8)
	m.views = n
	for i := range n {
		if c := int64(binary.LittleEndian.Uint64(w.b[counts+8*i:])); c < 0 || c > int64(len(m.buffers)) {
			w.fail()
			return
		}
	}
}
