package dataset

import (
	"fmt"
	"io"

	"github.com/apache/arrow/go/v17/arrow"
)

// decodeLimit bounds the memory that decoding a batch of an outside file takes.
const decodeLimit = 512 << 20

// arrowRows reads an Arrow IPC file or stream.
type arrowRows struct {
	name    string
	source  *batches
	columns []string
	batch   arrow.Record
	row     int // next one of the batch
	record  int64
	err     error // final
}

func openArrow(file source, size int64, name string) (Rows, error) {
	source, err := newBatches(file, size, decodeLimit)
	if err != nil {
		return nil, err
	}
	a := &arrowRows{name: name, source: source}
	seen := map[string]bool{}
	for _, field := range source.schema().Fields() {
		if seen[field.Name] {
			return nil, fmt.Errorf("two columns are named %s", snippet(field.Name))
		}
		seen[field.Name] = true
		a.columns = append(a.columns, field.Name)
	}
	return a, nil
}

func (a *arrowRows) Close() error { return a.source.close() }

func (a *arrowRows) Next() (Raw, error) {
	for a.err == nil && (a.batch == nil || a.row == int(a.batch.NumRows())) {
		a.batch, a.err = a.source.next()
		a.row = 0
		if a.err != nil && a.err != io.EOF {
			a.err = final(a.name, a.record+1, 0, a.err)
		}
	}
	if a.err != nil {
		return Raw{}, a.err
	}
	a.record++
	row := Value{Kind: Object, Fields: make([]Field, len(a.columns))}
	for c, column := range a.columns {
		err := guard(func() error {
			value, err := arrowValue(a.batch.Column(c), a.row, 0)
			row.Fields[c] = Field{column, value}
			return err
		})
		if err != nil {
			a.row++
			return Raw{}, &RowError{File: a.name, Record: a.record, Field: column, What: err.Error()}
		}
	}
	a.row++
	return Raw{Value: row, Record: a.record}, nil
}
