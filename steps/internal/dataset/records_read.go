package dataset

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"
)

// readLimit bounds the memory one batch of our own artifacts may take.
const readLimit = 1 << 30

// RecordReader reads a records artifact front to back, one batch in memory at a
// time.
type RecordReader struct {
	shape   Shape
	layout  string
	source  *batches
	columns []arrow.Array // of the batch being read
	rows    int           // in that batch
	row     int           // next one
	err     error         // the end, or what went wrong
}

// OpenRecords opens the records artifact in dir. The caller must Close it.
func OpenRecords(dir string) (*RecordReader, error) {
	return OpenRecordsFS(os.DirFS(dir))
}

// OpenRecordsFS opens the records artifact at the root of a file system whose
// files can be read at any offset ([io.ReaderAt]). The caller must Close it.
func OpenRecordsFS(fsys fs.FS) (*RecordReader, error) {
	file, size, err := openIn(fsys, recordsFile)
	if err != nil {
		return nil, fmt.Errorf("opening records: %w", err)
	}
	r, err := newRecordReader(file, size)
	if err != nil {
		file.Close()
		return nil, fmt.Errorf("opening records: %s: %w", recordsFile, err)
	}
	return r, nil
}

// newRecordReader reads from file, which it owns unless it fails.
func newRecordReader(file source, size int64) (*RecordReader, error) {
	batches, err := newBatches(file, size, readLimit)
	if err != nil {
		return nil, err
	}
	shape, err := recordsShape(batches.schema())
	if err != nil {
		return nil, err
	}
	meta := batches.schema().Metadata()
	layout, _ := meta.GetValue(metaLayout)
	return &RecordReader{shape: shape, layout: layout, source: batches}, nil
}

func recordsShape(schema *arrow.Schema) (Shape, error) {
	meta := schema.Metadata()
	if version, ok := meta.GetValue(metaVersion); !ok {
		return "", errors.New("not a records artifact: its schema has no " + metaVersion)
	} else if version != "1" {
		return "", fmt.Errorf("records of version %q are not supported; this pipe reads version 1", version)
	}
	name, _ := meta.GetValue(metaShape)
	want, err := recordsSchema(Shape(name), "")
	if err != nil {
		return "", err
	}
	if first, err := firstSchema(Shape(name)); err != nil || !schema.Equal(want) && !schema.Equal(first) {
		return "", fmt.Errorf("the columns are not those of shape %q", name)
	}
	return Shape(name), nil
}

// Shape returns the shape of every record.
func (r *RecordReader) Shape() Shape { return r.shape }

// Layout says what the rows were read as and why, for people; "" when nothing
// was noted.
func (r *RecordReader) Layout() string { return r.layout }

// Next returns the next record, or io.EOF after the last. Any other error is
// final.
func (r *RecordReader) Next() (Record, error) {
	for r.err == nil && r.row == r.rows {
		r.err = r.load()
	}
	if r.err != nil {
		return Record{}, r.err
	}
	var record Record
	r.err = guard(func() error { record = r.decode(r.row); return nil })
	if r.err != nil {
		r.err = fmt.Errorf("reading records: %s: %w", recordsFile, r.err)
		return Record{}, r.err
	}
	r.row++
	return record, nil
}

// All ranges over the records that are left; it ends after the first error.
func (r *RecordReader) All() iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) {
		for {
			record, err := r.Next()
			if err == io.EOF || !yield(record, err) || err != nil {
				return
			}
		}
	}
}

// Close releases the file. Records already returned stay valid.
func (r *RecordReader) Close() error { return r.source.close() }

func (r *RecordReader) load() error {
	batch, err := r.source.next()
	if err == io.EOF {
		if !r.source.ended() {
			return fmt.Errorf("reading records: %s: the stream has no end mark, so it was cut short", recordsFile)
		}
		return io.EOF
	}
	if err != nil {
		return fmt.Errorf("reading records: %s: %w", recordsFile, err)
	}
	r.columns, r.rows, r.row = batch.Columns(), int(batch.NumRows()), 0
	for i, column := range r.columns {
		if column.Len() != r.rows {
			return fmt.Errorf("reading records: %s: column %q has %d rows of %d", recordsFile, batch.ColumnName(i), column.Len(), r.rows)
		}
	}
	return nil
}

// decode panics on offsets that do not fit their buffers; guard catches it.
func (r *RecordReader) decode(row int) Record {
	record := Record{Shape: r.shape}
	switch r.shape {
	case Messages:
		record.Messages = decodeMessages(r.columns[0].(*array.List), row)
		record.Tools = optional(r.columns[1].(*array.String), row)
	case Preference:
		record.Messages = decodeMessages(r.columns[0].(*array.List), row)
		record.Chosen = decodeMessages(r.columns[1].(*array.List), row)
		record.Rejected = decodeMessages(r.columns[2].(*array.List), row)
		record.Tools = optional(r.columns[3].(*array.String), row)
	case PromptCompletion:
		record.Prompt = own(r.columns[0].(*array.String), row)
		record.Completion = own(r.columns[1].(*array.String), row)
	case Text:
		record.Text = own(r.columns[0].(*array.String), row)
	case Judged:
		record.Messages = decodeMessages(r.columns[0].(*array.List), row)
		record.Tools = optional(r.columns[1].(*array.String), row)
		record.Desirable = r.columns[2].(*array.Boolean).Value(row)
	case Segments:
		record.Segments = decodeSegments(r.columns[0].(*array.List), row)
	}
	origin := r.columns[len(r.columns)-1].(*array.Struct)
	record.Origin.File = own(origin.Field(0).(*array.String), row)
	record.Origin.Record = origin.Field(1).(*array.Int64).Value(row)
	return record
}

// span returns where the items of a list's row stand. It panics when they are
// none of the list's.
func span(list *array.List, row int) (items *array.Struct, start, end int64) {
	start, end = list.ValueOffsets(row)
	items = list.ListValues().(*array.Struct)
	if start < 0 || end < start || end > int64(items.Len()) {
		panic(fmt.Sprintf("items %d to %d of %d", start, end, items.Len()))
	}
	return items, start, end
}

func decodeSegments(list *array.List, row int) []Segment {
	items, start, end := span(list, row)
	segments := make([]Segment, 0, end-start)
	for i := int(start); i < int(end); i++ {
		segments = append(segments, Segment{
			Text:  own(items.Field(0).(*array.String), i),
			Train: items.Field(1).(*array.Boolean).Value(i),
		})
	}
	return segments
}

func decodeMessages(list *array.List, row int) []Message {
	items, start, end := span(list, row)
	messages := make([]Message, 0, end-start)
	for i := int(start); i < int(end); i++ {
		m := Message{
			Role:      own(items.Field(0).(*array.String), i),
			Content:   own(items.Field(1).(*array.String), i),
			Name:      optional(items.Field(2).(*array.String), i),
			ToolCalls: optional(items.Field(3).(*array.String), i),
		}
		if weight := items.Field(4).(*array.Float64); weight.IsValid(i) {
			w := weight.Value(i)
			m.Weight = &w
		}
		if items.NumField() > 5 {
			m.Reasoning = optional(items.Field(5).(*array.String), i)
			m.ToolCallID = optional(items.Field(6).(*array.String), i)
		}
		messages = append(messages, m)
	}
	return messages
}

// own copies a string out of a batch, whose memory is reused.
func own(column *array.String, row int) string {
	return string([]byte(column.Value(row)))
}

func optional(column *array.String, row int) string {
	if column.IsNull(row) {
		return ""
	}
	return own(column, row)
}
