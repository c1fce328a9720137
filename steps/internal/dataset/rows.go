package dataset

import (
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"
)

// Container is a file format that holds rows.
type Container string

const (
	Auto      Container = "auto" // by the file's name and first bytes
	JSON      Container = "json" // a list of rows, an object that holds one, or rows one after another
	JSONL     Container = "jsonl"
	CSV       Container = "csv"
	TSV       Container = "tsv"
	Parquet   Container = "parquet"
	Arrow     Container = "arrow" // IPC, file or stream
	PlainText Container = "text"
)

// Unit is what becomes one row of plain text.
type Unit string

const (
	File      Unit = "file"      // the whole file
	Paragraph Unit = "paragraph" // what stands between blank lines
	Line      Unit = "line"      // a line that is not blank
)

// Options say how files are read. The zero value reads by name, a plain text
// file being one row.
type Options struct {
	Container Container // "" is Auto
	Unit      Unit      // "" is File
	Rows      string    // the field that holds the rows of a JSON object; "" finds it

	// Columns are the fields that rows are known to have: a lone JSON object
	// with one of them is a row, not a wrapper around rows.
	Columns []string

	maxRow int64 // bytes of one row; 0 is maxRowBytes
}

// maxRowBytes bounds one row of a file.
const maxRowBytes = 64 << 20

// Raw is one row of a file: an object by column, or, of a JSON list of other
// values, such a value. A row of plain text is a string.
type Raw struct {
	Value  Value
	Record int64 // counted from 1 within the file
	Line   int64 // where it starts, counted from 1; 0 for formats without lines
}

// Rows reads the rows of one file in order.
type Rows interface {
	// Next returns the next row, io.EOF after the last, or a *RowError. Unless
	// that is Final, the row after can be read.
	Next() (Raw, error)

	// Close releases the file. Rows already returned stay valid.
	Close() error
}

// RowError names what is wrong with one row.
type RowError struct {
	File   string
	Record int64  // counted from 1; 0 when the file as a whole is meant
	Line   int64  // 0 when unknown
	Field  string // path of the field, such as messages[2].content; "" for the row
	What   string // is wrong
	Final  bool   // the file cannot be read further
}

// Error returns file, record, field and what is wrong, in this order.
func (e *RowError) Error() string {
	var b strings.Builder
	b.WriteString(e.File)
	if e.Record > 0 {
		fmt.Fprintf(&b, ": record %d", e.Record)
	}
	if e.Line > 0 {
		fmt.Fprintf(&b, " (line %d)", e.Line)
	}
	if e.Field != "" {
		b.WriteString(": " + e.Field)
	}
	b.WriteString(": " + e.What)
	return b.String()
}

// final says that a file cannot be read further than the given record.
func final(name string, record, line int64, err error) *RowError {
	var row *RowError
	if errors.As(err, &row) && row.Final {
		return row
	}
	return &RowError{File: name, Record: record, Line: line, What: err.Error(), Final: true}
}

// Open opens the file at path for reading rows; name is what errors call it.
// The caller must Close what it gets. Its error is a final *RowError.
func Open(path, name string, options Options) (Rows, error) {
	file, size, err := openFile(path)
	if err != nil {
		if inner := errors.Unwrap(err); inner != nil {
			err = inner // without the path, which is this machine's
		}
		return nil, final(name, 0, 0, err)
	}
	rows, err := newRows(file, size, name, options)
	if err != nil {
		file.Close()
		return nil, err
	}
	return rows, nil
}

// newRows reads from file, which it owns unless it fails.
func newRows(file source, size int64, name string, options Options) (Rows, error) {
	if options.maxRow == 0 {
		options.maxRow = maxRowBytes
	}
	rows, err := newContainer(file, size, name, options)
	if err != nil {
		return nil, final(name, 0, 0, err)
	}
	return rows, nil
}

func newContainer(file source, size int64, name string, options Options) (Rows, error) {
	container := options.Container
	if container == "" || container == Auto {
		head := make([]byte, 64)
		n, err := file.ReadAt(head, 0)
		if err != nil && err != io.EOF {
			return nil, err
		}
		if container, err = Detect(name, head[:n]); err != nil {
			return nil, err
		}
	}
	switch container {
	case JSON:
		return openJSON(file, name, options)
	case JSONL:
		return openJSONL(file, size, name, options)
	case CSV:
		return openCSV(file, size, name, ',', options)
	case TSV:
		return openCSV(file, size, name, '\t', options)
	case Parquet:
		return openParquet(file, size, name, options)
	case Arrow:
		return openArrow(file, size, name)
	case PlainText:
		return openText(file, size, name, options)
	}
	return nil, fmt.Errorf("unknown container %q", container)
}

// extensions are the containers by the end of a file's name.
var extensions = map[string]Container{
	".json": JSON, ".jsonl": JSONL, ".ndjson": JSONL,
	".csv": CSV, ".tsv": TSV, ".tab": TSV,
	".parquet": Parquet, ".parq": Parquet,
	".arrow": Arrow, ".arrows": Arrow, ".feather": Arrow,
	".txt": PlainText, ".text": PlainText, ".md": PlainText,
}

// Detect tells the container of a file from its name and first bytes.
func Detect(name string, head []byte) (Container, error) {
	start := string(head)
	switch {
	case strings.HasPrefix(start, "PAR1"):
		return Parquet, nil
	case strings.HasPrefix(start, "PARE"):
		return "", errors.New("an encrypted Parquet file, which cannot be read")
	case strings.HasPrefix(start, string(fileMagic)):
		return Arrow, nil
	case strings.HasPrefix(start, "FEA1"):
		return "", errors.New("a Feather file of version 1, which cannot be read; write it as version 2")
	case strings.HasPrefix(start, "\x1f\x8b"), strings.HasPrefix(start, "PK\x03\x04"),
		strings.HasPrefix(start, "\x28\xb5\x2f\xfd"), strings.HasPrefix(start, "BZh"), strings.HasPrefix(start, "\xfd7zXZ"):
		return "", errors.New("a compressed file; unpack it in the fetch step")
	}
	extension := strings.ToLower(path.Ext(name))
	container, ok := extensions[extension]
	if !ok {
		known := make([]string, 0, len(extensions))
		for e := range extensions {
			known = append(known, e)
		}
		slices.Sort(known)
		return "", fmt.Errorf("its container cannot be told from the name; set container, or name it one of %s", strings.Join(known, ", "))
	}
	return container, nil
}

// checkText refuses the beginnings of text that is not UTF-8, and returns how
// many bytes a byte order mark takes.
func checkText(head []byte) (int, error) {
	start := string(head)
	switch {
	case strings.HasPrefix(start, "\xef\xbb\xbf"):
		return 3, nil
	case strings.HasPrefix(start, "\xff\xfe"), strings.HasPrefix(start, "\xfe\xff"):
		return 0, errors.New("the text is UTF-16; save it as UTF-8")
	}
	return 0, nil
}
