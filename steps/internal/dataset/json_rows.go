package dataset

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strings"
)

// jsonlRows reads JSON Lines: one value a line, blank lines between them.
type jsonlRows struct {
	lines  *lines
	record int64
	err    error // final
}

func openJSONL(file source, size int64, name string, options Options) (Rows, error) {
	l, err := openLines(file, size, name, options)
	if err != nil {
		return nil, err
	}
	return &jsonlRows{lines: l}, nil
}

func (j *jsonlRows) Close() error { return j.lines.Close() }

func (j *jsonlRows) Next() (Raw, error) {
	for j.err == nil {
		line, _, err := j.lines.next()
		if err == io.EOF {
			j.err = err
			break
		}
		if err != nil {
			j.err = final(j.lines.name, j.record+1, j.lines.line, err)
			break
		}
		if strings.Trim(string(line), " \t") == "" {
			continue
		}
		j.record++
		value, err := ParseJSON(line)
		if err != nil {
			return Raw{}, &RowError{File: j.lines.name, Record: j.record, Line: j.lines.line, What: shift(err, j.lines.start)}
		}
		return Raw{Value: value, Record: j.record, Line: j.lines.line}, nil
	}
	return Raw{}, j.err
}

// shift words a parser's error with offsets from the start of the file.
func shift(err error, offset int64) string {
	var syntax *SyntaxError
	if errors.As(err, &syntax) {
		return (&SyntaxError{Offset: syntax.Offset + offset, What: syntax.What}).Error()
	}
	return err.Error()
}

// jsonRows reads a file of JSON: a list of rows; an object of which one field
// holds such a list; one row; or several rows one after another.
type jsonRows struct {
	file   source
	name   string
	framer framer
	inList bool // rows stand between the brackets of a list
	begun  bool // the first row of the list was read
	record int64
	err    error // final
}

func openJSON(file source, name string, options Options) (Rows, error) {
	head := make([]byte, 3)
	n, err := file.ReadAt(head, 0)
	if err != nil && err != io.EOF {
		return nil, err
	}
	mark, err := checkText(head[:n])
	if err != nil {
		return nil, err
	}
	j := &jsonRows{file: file, name: name}
	start, err := j.find(int64(mark), options)
	if err != nil {
		return nil, err
	}
	j.framer = newFramer(file, start, options.maxRow)
	if j.inList {
		j.framer.skip() // the bracket
	}
	return j, nil
}

func (j *jsonRows) Close() error { return j.file.Close() }

// find returns where the rows start, looking no further than the end of the
// first object of the file.
func (j *jsonRows) find(mark int64, options Options) (int64, error) {
	f := newFramer(j.file, mark, options.maxRow)
	c, err := f.peek()
	if err == io.EOF {
		return 0, errors.New("the file is empty")
	}
	if err != nil {
		return 0, err
	}
	if c == '[' {
		j.inList = true
		return f.at, nil
	}
	if c != '{' {
		return f.at, nil // values one after another
	}
	lists, known, err := wrapped(&f, options.Columns)
	if err != nil {
		return mark, nil // reading the row will say where it is wrong
	}
	if _, err := f.peek(); err != io.EOF || known && options.Rows == "" {
		return mark, nil // rows one after another, or a single one
	}
	return j.choose(lists, mark, options)
}

// choose picks the list that holds the rows of a lone object.
func (j *jsonRows) choose(lists []listField, mark int64, options Options) (int64, error) {
	var names []string
	for _, l := range lists {
		if options.Rows == l.name || options.Rows == "" && len(lists) == 1 {
			j.inList = true
			return l.at, nil
		}
		names = append(names, l.name)
	}
	switch {
	case options.Rows != "":
		return 0, fmt.Errorf("the object has no field %q that holds a list of objects (it has %s)", options.Rows, orNone(names))
	case len(lists) > 1:
		return 0, fmt.Errorf("several fields hold lists of objects (%s); say which with rows", strings.Join(names, ", "))
	}
	return mark, nil
}

func orNone(names []string) string {
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, ", ")
}

func (j *jsonRows) Next() (Raw, error) {
	if j.err != nil {
		return Raw{}, j.err
	}
	more, err := j.advance()
	if err == nil && !more {
		err = io.EOF
	}
	var text []byte
	var start int64
	if err == nil {
		j.record++
		start = j.framer.at
		text, err = j.framer.value()
	}
	if err != nil {
		if err != io.EOF {
			err = final(j.name, max(j.record, 1), 0, err)
		}
		j.err = err
		return Raw{}, err
	}
	value, err := ParseJSON(text)
	if err != nil {
		return Raw{}, &RowError{File: j.name, Record: j.record, What: shift(err, start)}
	}
	return Raw{Value: value, Record: j.record}, nil
}

// advance moves to the start of the next row; false when there is none.
func (j *jsonRows) advance() (bool, error) {
	f := &j.framer
	c, err := f.peek()
	if !j.inList {
		if err == io.EOF {
			return false, nil
		}
		if err == nil && j.record > 0 && c != '{' {
			err = fmt.Errorf("%q where another object or the end was wanted at byte %d", c, f.at)
		}
		return err == nil, err
	}
	if err == io.EOF {
		return false, fmt.Errorf("the file ends within the list of rows, at byte %d", f.at)
	}
	if err != nil {
		return false, err
	}
	if c == ']' {
		f.skip()
		return false, j.trailer()
	}
	if j.begun {
		if c != ',' {
			return false, fmt.Errorf("%q where ',' or ']' was wanted at byte %d", c, f.at)
		}
		f.skip()
		if c, err = f.peek(); err == nil && c == ']' {
			return false, fmt.Errorf("a comma before the end of the list at byte %d", f.at)
		}
		if err == io.EOF {
			err = fmt.Errorf("the file ends within the list of rows, at byte %d", f.at)
		}
	}
	j.begun = true
	return err == nil, err
}

// trailer checks what follows the list of rows: the end, or the rest of the
// object around it, which find has walked already.
func (j *jsonRows) trailer() error {
	c, err := j.framer.peek()
	switch {
	case err == io.EOF || err == nil && (c == ',' || c == '}') && j.wraps():
		return nil
	case err != nil:
		return err
	}
	return fmt.Errorf("%q after the end of the list at byte %d", c, j.framer.at)
}

// wraps reports whether the file starts with an object.
func (j *jsonRows) wraps() bool {
	f := newFramer(j.file, 0, 1<<10)
	if c, err := f.peek(); err == nil && c == 0xef {
		f = newFramer(j.file, 3, 1<<10)
	}
	c, err := f.peek()
	return err == nil && c == '{'
}

// listField is a field of the top-level object that holds a list of objects.
type listField struct {
	name string
	at   int64 // of its bracket
}

// wrapped walks the object that f stands at: which fields hold lists of objects,
// and whether one of the named columns is there.
func wrapped(f *framer, columns []string) (lists []listField, known bool, err error) {
	f.skip()
	for {
		c, err := f.peek()
		if err != nil {
			return nil, false, err
		}
		if c == '}' { // of an empty object; after a comma the row will say so
			f.skip()
			return lists, known, nil
		}
		text, err := f.value()
		if err != nil {
			return nil, false, err
		}
		name, err := ParseJSON(text)
		if err != nil || name.Kind != String {
			return nil, false, errors.New("not a field's name")
		}
		for _, column := range columns {
			known = known || column == name.Text
		}
		if c, err := f.peek(); err != nil || c != ':' {
			return nil, false, errors.New("no colon")
		}
		f.skip()
		list, err := f.field(name.Text)
		if err != nil {
			return nil, false, err
		}
		lists = append(lists, list...)
		c, err = f.peek()
		if err != nil || c != ',' && c != '}' {
			return nil, false, errors.New("no comma")
		}
		f.skip()
		if c == '}' {
			return lists, known, nil
		}
	}
}

// framer finds the extents of JSON values in a file without parsing them:
// brackets are counted, strings skipped. What it frames is parsed strictly later.
type framer struct {
	r   *bufio.Reader
	at  int64 // offset of the next byte
	max int64 // bytes of one value
	buf []byte
}

func newFramer(file io.ReaderAt, at, limit int64) framer {
	return framer{r: bufio.NewReaderSize(io.NewSectionReader(file, at, 1<<62), 1<<16), at: at, max: limit}
}

// peek returns the next byte that is not white space.
func (f *framer) peek() (byte, error) {
	for {
		c, err := f.r.ReadByte()
		if err != nil {
			return 0, err
		}
		if !isJSONSpace(c) {
			return c, f.r.UnreadByte()
		}
		f.at++
	}
}

// skip consumes the byte that peek returned.
func (f *framer) skip() {
	if _, err := f.r.ReadByte(); err == nil {
		f.at++
	}
}

// value returns the bytes of the value that starts here, valid until the next
// call.
func (f *framer) value() ([]byte, error) {
	f.buf = f.buf[:0]
	err := f.scan(func(c byte) error {
		if int64(len(f.buf)) == f.max {
			return fmt.Errorf("the row takes more than %d bytes", f.max)
		}
		f.buf = append(f.buf, c)
		return nil
	})
	return f.buf, err
}

// field skips a field's value; when it is a list of objects it returns it.
func (f *framer) field(name string) ([]listField, error) {
	c, err := f.peek()
	if err != nil {
		return nil, err
	}
	start, n := f.at, 0
	var list []listField
	err = f.scan(func(c byte) error {
		if n == 0 || n == 1 && !isJSONSpace(c) {
			n++
			if n == 2 && c == '{' {
				list = []listField{{name, start}}
			}
		}
		return nil
	})
	if c != '[' {
		list = nil
	}
	return list, err
}

// scan consumes one value, giving each byte to keep. A value that is no string,
// list or object ends before the first byte that cannot be part of it.
func (f *framer) scan(keep func(byte) error) error {
	depth, quoted, escaped := 0, false, false
	for n := 0; ; n++ {
		c, err := f.r.ReadByte()
		if err == io.EOF && n > 0 && depth == 0 && !quoted {
			return nil
		}
		if err == io.EOF {
			return fmt.Errorf("the file ends within a value, at byte %d", f.at)
		}
		if err != nil {
			return err
		}
		ends := false
		switch {
		case quoted:
			switch {
			case escaped:
				escaped = false
			case c == '\\':
				escaped = true
			case c == '"':
				quoted, ends = false, depth == 0
			}
		case c == '"':
			if depth == 0 && n > 0 {
				return f.r.UnreadByte()
			}
			quoted = true
		case c == '[' || c == '{':
			if depth == 0 && n > 0 {
				return f.r.UnreadByte()
			}
			depth++
		case (c == ']' || c == '}') && depth > 0:
			depth--
			ends = depth == 0
		case depth == 0 && n > 0 && (isJSONSpace(c) || c == ',' || c == ']' || c == '}' || c == ':'):
			return f.r.UnreadByte()
		}
		f.at++
		if err := keep(c); err != nil {
			return err
		}
		if ends {
			return nil
		}
	}
}
