package dataset

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"math"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"sync/atomic"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/ipc"
)

// Tokens reads a tokens artifact, or a directory of token ids that Hugging Face
// datasets saved, at any row. The rows stay on disk; what is held in memory is
// where the batches are. It may be used from several goroutines at once.
type Tokens struct {
	shards  []source
	maps    [][]byte     // of the shards; nil, or nil for a shard, where they are read
	touched atomic.Int64 // bytes of maps that rows were taken from since they were let go
	options TokenOptions
	batches []tokenBatch
	rows    int
}

// tokenBatch says where one record batch's columns are.
type tokenBatch struct {
	first   int // row
	rows    int
	shard   int
	columns []listColumn // input_ids, attention_mask, labels, and position_ids and loss_weights where they are
}

// listColumn is a column of lists of numbers within a shard.
type listColumn struct {
	name    string
	width   int    // bytes of a number: 1, 4 or 8
	offsets extent // rows+1 int32
	values  extent
}

// maxStateJSON bounds state.json.
const maxStateJSON = 16 << 20

// OpenTokens opens the tokens artifact in dir. The caller must Close it.
func OpenTokens(dir string) (*Tokens, error) { return OpenTokensFS(os.DirFS(dir)) }

// OpenTokensFS opens the tokens artifact at the root of a file system whose
// files can be read at any offset ([io.ReaderAt]). The caller must Close it.
func OpenTokensFS(fsys fs.FS) (*Tokens, error) {
	names, err := tokenShards(fsys)
	if err != nil {
		return nil, fmt.Errorf("opening tokens: %w", err)
	}
	t := &Tokens{}
	for _, name := range names {
		if err := t.open(fsys, name); err != nil {
			t.Close()
			return nil, fmt.Errorf("opening tokens: %s: %w", name, err)
		}
	}
	return t, nil
}

func (t *Tokens) open(fsys fs.FS, name string) error {
	file, size, err := openIn(fsys, name)
	if err != nil {
		return err
	}
	return t.add(file, size)
}

// add indexes one more shard, which is closed with t whatever the outcome.
func (t *Tokens) add(file source, size int64) error {
	t.shards = append(t.shards, file)
	return t.index(len(t.shards)-1, size)
}

// tokenShards returns the names of the shards that state.json lists.
func tokenShards(fsys fs.FS) ([]string, error) {
	file, err := fsys.Open("state.json")
	if err != nil {
		return nil, err
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, maxStateJSON))
	if err != nil {
		return nil, err
	}
	var state tokensState
	if err := json.Unmarshal(data, &state); err != nil {
		return nil, fmt.Errorf("state.json: %w", err)
	}
	var names []string
	for _, f := range state.DataFiles {
		if filepath.Base(f.Filename) != f.Filename || !filepath.IsLocal(f.Filename) {
			return nil, fmt.Errorf("state.json: data file %s is not in the directory itself", snippet(f.Filename))
		}
		names = append(names, f.Filename)
	}
	if len(names) == 0 {
		return nil, errors.New("state.json lists no data files")
	}
	return names, nil
}

// index finds the batches of one shard by its messages' metadata alone.
func (t *Tokens) index(shard int, size int64) error {
	start, length, err := streamExtent(t.shards[shard], size)
	if err != nil {
		return err
	}
	scan := &messageScan{file: t.shards[shard], at: start, end: start + length}
	schema, err := scan.schema()
	if err != nil {
		return err
	}
	columns, order, err := listColumns(schema)
	if err != nil {
		return err
	}
	has := func(name string) bool {
		return slices.ContainsFunc(columns, func(c listColumn) bool { return c.name == name })
	}
	options := TokenOptions{Packed: has("position_ids"), Weighted: has("loss_weights")}
	if shard > 0 && options != t.options {
		return errors.New("some shards have position_ids or loss_weights and some have not")
	}
	t.options = options
	for {
		m, body, err := scan.next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		batch, err := locate(m, body, columns, order)
		if err != nil {
			return err
		}
		batch.shard, batch.first = shard, t.rows
		t.rows += batch.rows
		t.batches = append(t.batches, batch)
	}
}

// listColumns finds the token columns in a schema: their names and widths in the
// order of tokenColumns, and for each its place in the file.
func listColumns(schema *arrow.Schema) (columns []listColumn, order []int, err error) {
	want := tokenColumns(TokenOptions{Packed: true, Weighted: true})
	for i := range schema.NumFields() {
		if !slices.ContainsFunc(want, func(c tokenColumn) bool { return c.name == schema.Field(i).Name }) {
			return nil, nil, fmt.Errorf("column %s is not one of tokens", snippet(schema.Field(i).Name))
		}
	}
	for _, c := range want {
		places := schema.FieldIndices(c.name)
		if len(places) == 0 && (c.name == "position_ids" || c.name == "loss_weights") {
			continue
		}
		if len(places) != 1 {
			return nil, nil, fmt.Errorf("%d columns are named %s", len(places), c.name)
		}
		list, ok := schema.Field(places[0]).Type.(*arrow.ListType)
		if !ok {
			return nil, nil, fmt.Errorf("column %s holds %s, not a list of numbers", c.name, schema.Field(places[0]).Type)
		}
		width := map[arrow.Type]int{arrow.INT8: 1, arrow.INT32: 4, arrow.INT64: 8}[list.Elem().ID()]
		if c.name == "loss_weights" {
			width = map[arrow.Type]int{arrow.FLOAT32: 4}[list.Elem().ID()]
		}
		if width == 0 {
			return nil, nil, fmt.Errorf("column %s holds lists of %s", c.name, list.Elem())
		}
		columns = append(columns, listColumn{name: c.name, width: width})
		order = append(order, places[0])
	}
	return columns, order, nil
}

// locate places the columns of one record batch whose body starts at body. A
// list column has four buffers: validity, offsets; validity, values.
func locate(m message, body int64, columns []listColumn, order []int) (tokenBatch, error) {
	if m.header != headerRecordBatch || m.packed || len(m.buffers) != 4*len(columns) {
		return tokenBatch{}, errors.New("not a plain record batch of lists")
	}
	batch := tokenBatch{rows: int(m.rows), columns: slices.Clone(columns)}
	for i := range batch.columns {
		c := &batch.columns[i]
		buffers := m.buffers[4*order[i] : 4*order[i]+4]
		if m.nulls {
			return tokenBatch{}, errors.New("a record batch of tokens holds nulls")
		}
		if m.rows > 0 && buffers[1].length < 4*(m.rows+1) {
			return tokenBatch{}, fmt.Errorf("column %s has offsets for fewer than %d rows", c.name, m.rows)
		}
		c.offsets = extent{body + buffers[1].offset, buffers[1].length}
		c.values = extent{body + buffers[3].offset, buffers[3].length}
	}
	return batch, nil
}

// Len returns the number of rows.
func (t *Tokens) Len() int { return t.rows }

// Packed reports whether rows hold several documents and have PositionIDs.
func (t *Tokens) Packed() bool { return t.options.Packed }

// Weighted reports whether rows have LossWeights.
func (t *Tokens) Weighted() bool { return t.options.Weighted }

// Row returns row i, counted from 0: in memory of its own or, of mapped tokens,
// partly in the map, which is not to be written to and ends with Close.
func (t *Tokens) Row(i int) (Row, error) {
	if i < 0 || i >= t.rows {
		return Row{}, fmt.Errorf("row %d of %d", i, t.rows)
	}
	batch := &t.batches[sort.Search(len(t.batches), func(b int) bool { return t.batches[b].first > i })-1]
	row, err := t.read(batch, i-batch.first)
	if err == nil {
		err = row.check(t.options)
	}
	if err != nil {
		return Row{}, fmt.Errorf("reading row %d of tokens: %w", i, err)
	}
	return row, nil
}

// All ranges over the rows in order; it ends after the first error.
func (t *Tokens) All() iter.Seq2[Row, error] {
	return func(yield func(Row, error) bool) {
		for i := range t.rows {
			row, err := t.Row(i)
			if !yield(row, err) || err != nil {
				return
			}
		}
	}
}

// Close releases the files. Rows already returned stay valid unless they are
// mapped.
func (t *Tokens) Close() error {
	errs := []error{t.unmap()}
	for _, file := range t.shards {
		errs = append(errs, file.Close())
	}
	return errors.Join(errs...)
}

func (t *Tokens) read(batch *tokenBatch, i int) (Row, error) {
	var row Row
	for _, c := range batch.columns {
		values, err := t.list(batch.shard, &c, i)
		if err != nil {
			return row, fmt.Errorf("%s: %w", c.name, err)
		}
		switch c.name {
		case "input_ids":
			row.InputIDs, err = decodeInts[int32](values, c.width)
		case "attention_mask":
			row.AttentionMask, err = decodeInts[int8](values, c.width)
		case "labels":
			row.Labels, err = decodeInts[int64](values, c.width)
		case "position_ids":
			row.PositionIDs, err = decodeInts[int32](values, c.width)
		case "loss_weights":
			row.LossWeights = decodeFloats(values)
		}
		if err != nil {
			return row, fmt.Errorf("%s: %w", c.name, err)
		}
	}
	return row, nil
}

// list returns the bytes of list i of a column: in memory of their own, or mapped.
func (t *Tokens) list(shard int, c *listColumn, i int) ([]byte, error) {
	pair, err := t.bytes(shard, c.offsets.offset+4*int64(i), 8)
	if err != nil {
		return nil, err
	}
	start := int64(int32(binary.LittleEndian.Uint32(pair[:4])))
	end := int64(int32(binary.LittleEndian.Uint32(pair[4:])))
	if start < 0 || end < start || end-start > maxRowTokens || end*int64(c.width) > c.values.length {
		return nil, fmt.Errorf("offsets %d to %d do not fit %d bytes of values", start, end, c.values.length)
	}
	return t.bytes(shard, c.values.offset+start*int64(c.width), (end-start)*int64(c.width))
}

// bytes returns n bytes of a shard.
func (t *Tokens) bytes(shard int, at, n int64) ([]byte, error) {
	if mapped := t.mapped(shard); mapped != nil {
		if at < 0 || n < 0 || at > int64(len(mapped))-n {
			return nil, io.ErrUnexpectedEOF
		}
		t.touch(n)
		return mapped[at : at+n : at+n], nil
	}
	b := make([]byte, n)
	if _, err := t.shards[shard].ReadAt(b, at); err != nil && n > 0 {
		return nil, err
	}
	return b, nil
}

// decodeInts converts little-endian integers of a width to T, which must hold them.
// Where b has them as memory has, it is used as it is.
func decodeInts[T int8 | int32 | int64](b []byte, width int) ([]T, error) {
	if out, ok := inPlace[T](b, width); ok {
		return out, nil
	}
	out := make([]T, len(b)/width)
	for i := range out {
		var v int64
		switch width {
		case 1:
			v = int64(int8(b[i]))
		case 4:
			v = int64(int32(binary.LittleEndian.Uint32(b[4*i:])))
		case 8:
			v = int64(binary.LittleEndian.Uint64(b[8*i:]))
		}
		if out[i] = T(v); int64(out[i]) != v {
			return nil, fmt.Errorf("value %d at %d is out of range", v, i)
		}
	}
	return out, nil
}

// decodeFloats converts little-endian float32, like decodeInts.
func decodeFloats(b []byte) []float32 {
	if out, ok := inPlace[float32](b, 4); ok {
		return out
	}
	out := make([]float32, len(b)/4)
	for i := range out {
		out[i] = math.Float32frombits(binary.LittleEndian.Uint32(b[4*i:]))
	}
	return out
}

// messageScan walks the messages of a stream without reading their bodies.
type messageScan struct {
	file    io.ReaderAt
	at, end int64
}

// next returns the next message and where its body starts, or io.EOF at the end
// mark. A stream without one was cut short.
func (s *messageScan) next() (message, int64, error) {
	var head [8]byte
	if s.end-s.at < int64(len(head)) {
		return message{}, 0, errors.New("the stream has no end mark, so it was cut short")
	}
	if _, err := s.file.ReadAt(head[:], s.at); err != nil {
		return message{}, 0, err
	}
	if binary.LittleEndian.Uint32(head[:]) != 0xFFFFFFFF {
		return message{}, 0, fmt.Errorf("no message starts at byte %d", s.at)
	}
	length := int64(binary.LittleEndian.Uint32(head[4:]))
	if length == 0 {
		return message{}, 0, io.EOF
	}
	body := s.at + int64(len(head)) + length
	if length > maxMetadata || body > s.end {
		return message{}, 0, fmt.Errorf("a message at byte %d says its metadata takes %d bytes", s.at, length)
	}
	meta := make([]byte, length)
	if _, err := s.file.ReadAt(meta, body-length); err != nil {
		return message{}, 0, err
	}
	m, err := checkMessage(meta)
	if err != nil {
		return message{}, 0, err
	}
	if m.body > s.end-body {
		return message{}, 0, fmt.Errorf("a message says its body takes %d bytes where %d are left", m.body, s.end-body)
	}
	s.at = body + m.body
	return m, body, nil
}

// schema reads the first message.
func (s *messageScan) schema() (schema *arrow.Schema, err error) {
	start := s.at
	m, _, err := s.next()
	if err != nil {
		return nil, err
	}
	if m.header != headerSchema {
		return nil, errors.New("the stream does not start with a schema")
	}
	err = guard(func() error {
		reader, err := ipc.NewReader(io.NewSectionReader(s.file, start, s.at-start), ipc.WithAllocator(newBounded(maxMetadata)))
		if err != nil {
			return err
		}
		defer reader.Release()
		schema = reader.Schema()
		return nil
	})
	return schema, err
}
