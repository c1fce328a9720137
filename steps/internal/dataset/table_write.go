package dataset

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"unicode/utf8"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"
	"github.com/apache/arrow/go/v17/arrow/ipc"
	"github.com/apache/arrow/go/v17/arrow/memory"
)

// Column is one column of a table: []string, []int64, []float64 or []bool.
type Column struct {
	Name string
	Data any
}

// WriteTable writes columns of equal length as a new Arrow IPC stream at path,
// in batches as Hugging Face datasets writes them. Nothing in it is null.
func WriteTable(path string, columns []Column) (err error) {
	schema, rows, err := tableSchema(columns)
	if err != nil {
		return fmt.Errorf("writing table: %w", err)
	}
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
	if err != nil {
		return fmt.Errorf("creating table: %w", err)
	}
	buffer := bufio.NewWriterSize(file, 1<<20)
	stream := ipc.NewWriter(buffer, ipc.WithSchema(schema))
	builder := array.NewRecordBuilder(memory.NewGoAllocator(), schema)
	defer builder.Release()
	for lo := 0; lo < rows && err == nil; lo += batchRows {
		for i, c := range columns {
			appendColumn(builder.Field(i), c.Data, lo, min(rows, lo+batchRows))
		}
		batch := builder.NewRecord()
		err = stream.Write(batch)
		batch.Release()
	}
	if err := errors.Join(err, stream.Close(), buffer.Flush(), file.Close()); err != nil {
		return fmt.Errorf("writing table: %w", err)
	}
	return nil
}

// tableSchema checks columns and returns their schema and length.
func tableSchema(columns []Column) (*arrow.Schema, int, error) {
	var fields []arrow.Field
	rows := -1
	for _, c := range columns {
		var n int
		var typ arrow.DataType
		switch data := c.Data.(type) {
		case []string:
			n, typ = len(data), arrow.BinaryTypes.String
			for i, s := range data {
				if !utf8.ValidString(s) {
					return nil, 0, fmt.Errorf("column %q, row %d: not valid UTF-8: %s", c.Name, i+1, snippet(s))
				}
			}
		case []int64:
			n, typ = len(data), arrow.PrimitiveTypes.Int64
		case []float64:
			n, typ = len(data), arrow.PrimitiveTypes.Float64
		case []bool:
			n, typ = len(data), arrow.FixedWidthTypes.Boolean
		default:
			return nil, 0, fmt.Errorf("column %q: a table cannot hold %T", c.Name, c.Data)
		}
		if rows >= 0 && n != rows {
			return nil, 0, fmt.Errorf("column %q has %d rows, those before it %d", c.Name, n, rows)
		}
		rows = n
		fields = append(fields, arrow.Field{Name: c.Name, Type: typ})
	}
	return arrow.NewSchema(fields, nil), max(rows, 0), nil
}

// appendColumn appends the rows [lo, hi) of data.
func appendColumn(b array.Builder, data any, lo, hi int) {
	switch data := data.(type) {
	case []string:
		b.(*array.StringBuilder).AppendValues(data[lo:hi], nil)
	case []int64:
		b.(*array.Int64Builder).AppendValues(data[lo:hi], nil)
	case []float64:
		b.(*array.Float64Builder).AppendValues(data[lo:hi], nil)
	case []bool:
		b.(*array.BooleanBuilder).AppendValues(data[lo:hi], nil)
	}
}
