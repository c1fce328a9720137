package dataset

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/apache/arrow/go/v17/arrow/array"
	"github.com/apache/arrow/go/v17/arrow/ipc"
	"github.com/apache/arrow/go/v17/arrow/memory"
)

// RecordWriter writes a records artifact front to back.
type RecordWriter struct {
	shape   Shape
	file    *os.File
	buffer  *bufio.Writer
	stream  *ipc.Writer
	builder *array.RecordBuilder

	rows  int // in the batch being built
	bytes int // in the batch being built
	total int64
}

// CreateRecords starts a records artifact of one shape in dir, which must exist
// and hold none. The caller must Close it.
func CreateRecords(dir string, shape Shape) (*RecordWriter, error) {
	return CreateRecordsAs(dir, shape, "")
}

// CreateRecordsAs is CreateRecords, with a note of what the rows were read as
// that RecordReader.Layout returns.
func CreateRecordsAs(dir string, shape Shape, layout string) (*RecordWriter, error) {
	schema, err := recordsSchema(shape, layout)
	if err != nil {
		return nil, err
	}
	file, err := os.OpenFile(filepath.Join(dir, recordsFile), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
	if err != nil {
		return nil, fmt.Errorf("creating records: %w", err)
	}
	buffer := bufio.NewWriterSize(file, 1<<20)
	return &RecordWriter{
		shape:   shape,
		file:    file,
		buffer:  buffer,
		stream:  ipc.NewWriter(buffer, ipc.WithSchema(schema)),
		builder: array.NewRecordBuilder(memory.NewGoAllocator(), schema),
	}, nil
}

// Write appends a record.
func (w *RecordWriter) Write(r Record) error {
	if err := r.check(w.shape); err != nil {
		return fmt.Errorf("writing record %d: %w", w.total+1, err)
	}
	size := r.size()
	if w.rows > 0 && (w.rows == batchRows || w.bytes+size > batchBytes) {
		if err := w.flush(); err != nil {
			return err
		}
	}
	w.append(r)
	w.rows++
	w.bytes += size
	w.total++
	return nil
}

// Rows returns the number of records written so far.
func (w *RecordWriter) Rows() int64 { return w.total }

func (w *RecordWriter) append(r Record) {
	column := 0
	next := func() array.Builder { column++; return w.builder.Field(column - 1) }
	switch w.shape {
	case Messages:
		appendMessages(next().(*array.ListBuilder), r.Messages)
		appendOptional(next().(*array.StringBuilder), r.Tools)
	case Preference:
		for _, messages := range [][]Message{r.Messages, r.Chosen, r.Rejected} {
			appendMessages(next().(*array.ListBuilder), messages)
		}
		appendOptional(next().(*array.StringBuilder), r.Tools)
	case PromptCompletion:
		next().(*array.StringBuilder).Append(r.Prompt)
		next().(*array.StringBuilder).Append(r.Completion)
	case Text:
		next().(*array.StringBuilder).Append(r.Text)
	case Judged:
		appendMessages(next().(*array.ListBuilder), r.Messages)
		appendOptional(next().(*array.StringBuilder), r.Tools)
		next().(*array.BooleanBuilder).Append(r.Desirable)
	case Segments:
		list := next().(*array.ListBuilder)
		list.Append(true)
		item := list.ValueBuilder().(*array.StructBuilder)
		for _, s := range r.Segments {
			item.Append(true)
			item.FieldBuilder(0).(*array.StringBuilder).Append(s.Text)
			item.FieldBuilder(1).(*array.BooleanBuilder).Append(s.Train)
		}
	}
	origin := next().(*array.StructBuilder)
	origin.Append(true)
	origin.FieldBuilder(0).(*array.StringBuilder).Append(r.Origin.File)
	origin.FieldBuilder(1).(*array.Int64Builder).Append(r.Origin.Record)
}

func appendMessages(list *array.ListBuilder, messages []Message) {
	list.Append(true)
	item := list.ValueBuilder().(*array.StructBuilder)
	for _, m := range messages {
		item.Append(true)
		item.FieldBuilder(0).(*array.StringBuilder).Append(m.Role)
		item.FieldBuilder(1).(*array.StringBuilder).Append(m.Content)
		appendOptional(item.FieldBuilder(2).(*array.StringBuilder), m.Name)
		appendOptional(item.FieldBuilder(3).(*array.StringBuilder), m.ToolCalls)
		weight := item.FieldBuilder(4).(*array.Float64Builder)
		if m.Weight == nil {
			weight.AppendNull()
		} else {
			weight.Append(*m.Weight)
		}
		appendOptional(item.FieldBuilder(5).(*array.StringBuilder), m.Reasoning)
		appendOptional(item.FieldBuilder(6).(*array.StringBuilder), m.ToolCallID)
	}
}

func appendOptional(b *array.StringBuilder, s string) {
	if s == "" {
		b.AppendNull()
	} else {
		b.Append(s)
	}
}

func (w *RecordWriter) flush() error {
	sizes := builderSizes(nil, w.builder.Fields()...)
	batch := w.builder.NewRecord()
	defer batch.Release()
	reserve(sizes, w.builder.Fields()...)
	w.rows, w.bytes = 0, 0
	if err := w.stream.Write(batch); err != nil {
		return fmt.Errorf("writing records: %w", err)
	}
	return nil
}

// builderSizes appends how many values, and bytes of text, builders hold.
func builderSizes(sizes [][2]int, builders ...array.Builder) [][2]int {
	for _, b := range builders {
		size := [2]int{b.Len(), 0}
		if text, ok := b.(*array.StringBuilder); ok {
			size[1] = text.DataLen()
		}
		sizes = builderSizes(append(sizes, size), below(b)...)
	}
	return sizes
}

// reserve gives builders memory for as much as the sizes say, so that they need
// not grow as they are filled. It returns the sizes that are left.
func reserve(sizes [][2]int, builders ...array.Builder) [][2]int {
	for _, b := range builders {
		b.Reserve(sizes[0][0])
		if text, ok := b.(*array.StringBuilder); ok {
			text.ReserveData(sizes[0][1])
		}
		sizes = reserve(sizes[1:], below(b)...)
	}
	return sizes
}

// below returns the builders within a builder.
func below(b array.Builder) (children []array.Builder) {
	switch b := b.(type) {
	case *array.ListBuilder:
		children = append(children, b.ValueBuilder())
	case *array.StructBuilder:
		for i := range b.NumField() {
			children = append(children, b.FieldBuilder(i))
		}
	}
	return children
}

// Close writes what is left and ends the stream. An artifact without records is
// valid and holds the schema alone.
func (w *RecordWriter) Close() error {
	var errs []error
	if w.rows > 0 {
		errs = append(errs, w.flush())
	}
	errs = append(errs, w.stream.Close(), w.buffer.Flush(), w.file.Close())
	w.builder.Release()
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("closing records: %w", err)
	}
	return nil
}
