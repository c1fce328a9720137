package dataset

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"math"
	"os"
	"path/filepath"
	"slices"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"
	"github.com/apache/arrow/go/v17/arrow/ipc"
	"github.com/apache/arrow/go/v17/arrow/memory"
)

// TokenOptions says what rows a tokens artifact holds.
type TokenOptions struct {
	Packed   bool // rows hold several documents, told apart by PositionIDs
	Weighted bool // rows have LossWeights
}

// TokenWriter writes a tokens artifact: the directory that Hugging Face datasets
// writes with save_to_disk (datasets 5.0, arrow_dataset.py), made of
// data-0000i-of-0000N.arrow, state.json and dataset_info.json.
type TokenWriter struct {
	dir     string
	options TokenOptions
	schema  *arrow.Schema
	builder *array.RecordBuilder
	shard   *tokenShard
	shards  int // finished or begun
	limit   int64
	content hash.Hash // of all rows, for the fingerprint
	scratch []byte    // of hash

	rows  int // in the batch being built
	bytes int // in the batch being built
	total int64
}

type tokenShard struct {
	file   *os.File
	buffer *bufio.Writer
	stream *ipc.Writer
	bytes  int64
}

// CreateTokens starts a tokens artifact in dir, which must exist and hold none.
// The caller must Close it.
func CreateTokens(dir string, options TokenOptions) (*TokenWriter, error) {
	schema, err := tokensSchema(options)
	if err != nil {
		return nil, err
	}
	w := &TokenWriter{
		dir:     dir,
		options: options,
		schema:  schema,
		builder: array.NewRecordBuilder(memory.NewGoAllocator(), schema),
		limit:   shardBytes,
		content: sha256.New(),
	}
	if err := w.begin(); err != nil {
		return nil, err
	}
	return w, nil
}

func tokensSchema(o TokenOptions) (*arrow.Schema, error) {
	var fields []arrow.Field
	for _, c := range tokenColumns(o) {
		fields = append(fields, arrow.Field{Name: c.name, Type: arrow.ListOf(c.item), Nullable: true})
	}
	info, err := json.Marshal(map[string]any{"info": map[string]any{"features": features(o)}})
	if err != nil {
		return nil, err
	}
	meta := arrow.NewMetadata([]string{"huggingface"}, []string{string(info)})
	return arrow.NewSchema(fields, &meta), nil
}

// features is the "features" object of dataset_info.json. "Sequence" with length
// -1 is read by every version; the "List" that replaced it only since datasets 4.
func features(o TokenOptions) json.RawMessage {
	var b bytes.Buffer
	b.WriteByte('{')
	for i, c := range tokenColumns(o) {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `%q:{"feature":{"dtype":%q,"_type":"Value"},"length":-1,"_type":"Sequence"}`, c.name, c.dtype)
	}
	b.WriteByte('}')
	return b.Bytes()
}

// Write appends a row.
func (w *TokenWriter) Write(r Row) error {
	if err := r.check(w.options); err != nil {
		return fmt.Errorf("writing row %d of tokens: %w", w.total+1, err)
	}
	size := len(r.InputIDs) * (4 + 1 + 8 + 4)
	if w.rows > 0 && (w.rows == batchRows || w.bytes+size > 4*batchBytes) {
		if err := w.flush(); err != nil {
			return err
		}
	}
	w.append(r)
	w.hash(r)
	w.rows++
	w.bytes += size
	w.total++
	return nil
}

// Rows returns the number of rows written so far.
func (w *TokenWriter) Rows() int64 { return w.total }

func (w *TokenWriter) append(r Row) {
	item := func(column int) array.Builder {
		list := w.builder.Field(column).(*array.ListBuilder)
		list.Append(true)
		return list.ValueBuilder()
	}
	item(0).(*array.Int32Builder).AppendValues(r.InputIDs, nil)
	item(1).(*array.Int8Builder).AppendValues(r.AttentionMask, nil)
	item(2).(*array.Int64Builder).AppendValues(r.Labels, nil)
	next := 3
	if w.options.Packed {
		item(next).(*array.Int32Builder).AppendValues(r.PositionIDs, nil)
		next++
	}
	if w.options.Weighted {
		item(next).(*array.Float32Builder).AppendValues(r.LossWeights, nil)
	}
}

// hash adds a row to the content that the fingerprint stands for.
func (w *TokenWriter) hash(r Row) {
	b := binary.LittleEndian.AppendUint64(w.scratch[:0], uint64(len(r.InputIDs)))
	b = slices.Grow(b, 21*len(r.InputIDs)) // bytes of a token in all columns
	for i := range r.InputIDs {
		b = binary.LittleEndian.AppendUint32(b, uint32(r.InputIDs[i]))
		b = append(b, byte(r.AttentionMask[i]))
		b = binary.LittleEndian.AppendUint64(b, uint64(r.Labels[i]))
		if w.options.Packed {
			b = binary.LittleEndian.AppendUint32(b, uint32(r.PositionIDs[i]))
		}
		if w.options.Weighted {
			b = binary.LittleEndian.AppendUint32(b, math.Float32bits(r.LossWeights[i]))
		}
	}
	w.content.Write(b)
	w.scratch = b
}

// partName is a shard's name until the number of shards is known.
func (w *TokenWriter) partName(shard int) string {
	return filepath.Join(w.dir, fmt.Sprintf("data-%05d.part", shard))
}

func shardName(shard, shards int) string {
	return fmt.Sprintf("data-%05d-of-%05d.arrow", shard, shards)
}

func (w *TokenWriter) begin() error {
	file, err := os.OpenFile(w.partName(w.shards), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
	if err != nil {
		return fmt.Errorf("creating tokens: %w", err)
	}
	buffer := bufio.NewWriterSize(file, 1<<20)
	w.shard = &tokenShard{file: file, buffer: buffer, stream: ipc.NewWriter(buffer, ipc.WithSchema(w.schema))}
	w.shards++
	return nil
}

func (s *tokenShard) close() error {
	return errors.Join(s.stream.Close(), s.buffer.Flush(), s.file.Close())
}

func (w *TokenWriter) flush() error {
	if w.shard.bytes > 0 && w.shard.bytes+int64(w.bytes) > w.limit {
		if err := w.shard.close(); err != nil {
			return fmt.Errorf("writing tokens: %w", err)
		}
		if err := w.begin(); err != nil {
			return err
		}
	}
	batch := w.builder.NewRecord()
	defer batch.Release()
	w.shard.bytes += int64(w.bytes)
	w.rows, w.bytes = 0, 0
	if err := w.shard.stream.Write(batch); err != nil {
		return fmt.Errorf("writing tokens: %w", err)
	}
	return nil
}

// Close writes what is left and the two JSON files. An artifact without rows is
// valid.
func (w *TokenWriter) Close() error {
	var errs []error
	if w.rows > 0 {
		errs = append(errs, w.flush())
	}
	errs = append(errs, w.shard.close())
	w.builder.Release()
	var names []string
	for i := range w.shards {
		names = append(names, shardName(i, w.shards))
		errs = append(errs, os.Rename(w.partName(i), filepath.Join(w.dir, names[i])))
	}
	errs = append(errs, w.describe(names))
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("closing tokens: %w", err)
	}
	return nil
}

// tokensState is state.json; all seven keys are read by load_from_disk.
type tokensState struct {
	DataFiles        []dataFile `json:"_data_files"`
	Fingerprint      string     `json:"_fingerprint"`
	FormatColumns    []string   `json:"_format_columns"`
	FormatKwargs     struct{}   `json:"_format_kwargs"`
	FormatType       *string    `json:"_format_type"`
	OutputAllColumns bool       `json:"_output_all_columns"`
	Split            *string    `json:"_split"`
}

type dataFile struct {
	Filename string `json:"filename"`
}

// tokensInfo is dataset_info.json.
type tokensInfo struct {
	Citation    string          `json:"citation"`
	Description string          `json:"description"`
	Features    json.RawMessage `json:"features"`
	Homepage    string          `json:"homepage"`
	License     string          `json:"license"`
}

func (w *TokenWriter) describe(names []string) error {
	state := tokensState{Fingerprint: fmt.Sprintf("%x", w.content.Sum(nil)[:8])}
	for _, name := range names {
		state.DataFiles = append(state.DataFiles, dataFile{name})
	}
	return errors.Join(
		writeJSON(filepath.Join(w.dir, "state.json"), state),
		writeJSON(filepath.Join(w.dir, "dataset_info.json"), tokensInfo{Features: features(w.options)}),
	)
}

func writeJSON(path string, v any) error {
	data, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(data, '\n'), 0o666)
}
