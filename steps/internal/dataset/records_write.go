package dataset

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sort"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/ipc"
)

// RecordWriter writes a records artifact front to back.
type RecordWriter struct {
	shape  Shape
	schema *arrow.Schema
	file   *os.File
	buffer *bufio.Writer
	stream *ipc.Writer

	batch columns // being built
	last  lengths // of the batch before it
	bytes int     // in the batch
	total int64
}

// writeBytes is the buffer of a writer: what is longer goes to the file as it is.
const writeBytes = 64 << 10

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
	buffer := bufio.NewWriterSize(file, writeBytes)
	return &RecordWriter{
		shape: shape, schema: schema, file: file, buffer: buffer,
		stream: ipc.NewWriter(buffer, ipc.WithSchema(schema)),
		batch:  columns{shape: shape},
	}, nil
}

// Write appends a record.
func (w *RecordWriter) Write(r Record) error {
	if err := r.check(w.shape); err != nil {
		return fmt.Errorf("writing record %d: %w", w.total+1, err)
	}
	size := r.size()
	if !w.fits(1, size) {
		if err := w.flush(); err != nil {
			return err
		}
	}
	w.batch.add(r)
	w.bytes += size
	w.total++
	return nil
}

// WriteRun appends the records of a run.
func (w *RecordWriter) WriteRun(run Run) error {
	if run.columns == nil {
		for _, r := range run.records {
			if err := w.Write(r); err != nil {
				return err
			}
		}
		return nil
	}
	for from := run.from; from < run.to; {
		n, err := w.take(run, from)
		if err != nil {
			return err
		}
		w.bytes += run.columns.size(from, from+n)
		w.batch.copy(run.columns, from, from+n, run.shift)
		w.total += int64(n)
		from += n
	}
	return nil
}

// take returns how many of the rows from one on, at least one, go into the batch
// being built, which it flushes when that is none.
func (w *RecordWriter) take(run Run, from int) (int, error) {
	if run.columns.shape != w.shape {
		return 0, fmt.Errorf("writing record %d: %w", w.total+1, wrongShape(run.columns.shape, w.shape))
	}
	if n := run.columns.size(from, from+1); n > maxRecordBytes {
		return 0, fmt.Errorf("writing record %d: %w", w.total+1, tooLarge(n))
	}
	n := sort.Search(run.to-from, func(n int) bool { return !w.fits(n+1, run.columns.size(from, from+n+1)) })
	if n > 0 {
		return n, nil
	}
	if err := w.flush(); err != nil {
		return 0, err
	}
	return w.take(run, from)
}

// fits tells whether rows of some size together go into the batch being built.
// The first one always does.
func (w *RecordWriter) fits(rows, size int) bool {
	had := w.batch.len()
	return had+rows <= batchRows && w.bytes+size <= batchBytes || had == 0 && rows == 1
}

// Rows returns the number of records written so far.
func (w *RecordWriter) Rows() int64 { return w.total }

// maxKept bounds the memory that a writer keeps from one batch for the next.
const maxKept = 2 * batchBytes

func (w *RecordWriter) flush() error {
	batch := w.batch.arrow(w.schema, &w.last)
	err := w.stream.Write(batch)
	batch.Release()
	if w.bytes > maxKept {
		w.batch = columns{shape: w.shape}
	}
	w.batch.reset()
	w.bytes = 0
	if err != nil {
		return fmt.Errorf("writing records: %w", err)
	}
	return nil
}

// Close writes what is left and ends the stream. An artifact without records is
// valid and holds the schema alone.
func (w *RecordWriter) Close() error {
	var errs []error
	if w.batch.len() > 0 {
		errs = append(errs, w.flush())
	}
	errs = append(errs, w.stream.Close(), w.buffer.Flush(), w.file.Close())
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("closing records: %w", err)
	}
	return nil
}
