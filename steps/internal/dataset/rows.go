package dataset

import (
	"errors"
	"fmt"
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
	Excel     Container = "xlsx"
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

	Encoding  string   // of text, as charset.Parse reads it; "" tells it
	Delimiter string   // of CSV, one byte; "" tells it
	Fields    []string // the columns of CSV without a header, or of a sheet; nil for those that the first record names
	Skip      int      // lines of CSV, or rows of a sheet, before the header or the first row
	Sheet     string   // of a workbook; "" is its only one that holds rows

	Threads int    // that may parse at once; 0 is one
	Tmp     string // folder for what must be unpacked to be read; "" is the system's

	member string // of a zip archive
	maxRow int64  // bytes of one row; 0 is maxRowBytes
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

	// Close releases the file. Rows already returned stay valid; a row's text
	// may share memory with that of its neighbours.
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
	Left   bool   // nothing is wrong: the row is left out, as was asked, for a reason that is What
	Value  *Value // the row, where its layout is what is wrong; else nil
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
		return nil, final(name, 0, 0, pathless(err))
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
	in, err := newInput(file, size, name, options.member)
	if err != nil {
		return nil, err
	}
	container := options.Container
	if container == "" || container == Auto {
		if container, err = Detect(in.name, in.head); err != nil {
			return nil, err
		}
	}
	switch container {
	case JSON, JSONL, CSV, TSV, PlainText:
		return openAsText(in, name, container, options)
	case Parquet, Arrow, Excel:
		return openBinary(in, name, container, options)
	}
	return nil, fmt.Errorf("unknown container %q", container)
}

func openAsText(in *input, name string, container Container, options Options) (Rows, error) {
	t, err := in.text(options.Encoding)
	if err != nil {
		return nil, err
	}
	switch container {
	case JSON:
		return openJSON(t, name, options)
	case JSONL:
		return openJSONL(t, name, options)
	case PlainText:
		return openText(t, name, options)
	}
	return openCSV(t, name, container, options)
}

func openBinary(in *input, name string, container Container, options Options) (rows Rows, err error) {
	file, size, err := in.random(options.Tmp)
	if err != nil {
		return nil, err
	}
	switch container {
	case Parquet:
		rows, err = openParquet(file, size, name, options)
	case Arrow:
		rows, err = openArrow(file, size, name)
	default:
		rows, err = openExcel(file, size, name, options)
	}
	if copied, ok := file.(temporary); ok && err != nil {
		return nil, errors.Join(err, copied.remove())
	}
	return rows, err
}

// extensions are the containers by the end of a file's name.
var extensions = map[string]Container{
	".json": JSON, ".jsonl": JSONL, ".ndjson": JSONL,
	".csv": CSV, ".tsv": TSV, ".tab": TSV,
	".parquet": Parquet, ".parq": Parquet,
	".arrow": Arrow, ".arrows": Arrow, ".feather": Arrow,
	".xlsx": Excel, ".xlsm": Excel,
	".txt": PlainText, ".text": PlainText, ".md": PlainText,
}

// Detect tells the container of a file from its name and first bytes, both
// without what it is packed in; an archive must be a workbook.
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
	case strings.HasPrefix(start, "PK\x03\x04"):
		return Excel, nil
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
