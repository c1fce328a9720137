package dataset

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strings"
)

// maxColumns bounds the header of a CSV file.
const maxColumns = 10_000

// csvRows reads comma- or tab-separated values (RFC 4180): the first record
// names the columns, and every row is an object of strings. Records end in LF,
// CRLF or CR; a quoted field holds any of them as they are; a quote within an
// unquoted field is an ordinary character; blank lines are skipped.
type csvRows struct {
	file   source
	name   string
	r      *bufio.Reader
	comma  byte
	max    int64
	header []string

	record int64
	line   int64 // of the next byte, counted from 1
	at     int64 // offset of the next byte
	text   []byte
	ends   []int // of each field within text
	err    error // final
}

func openCSV(file source, size int64, name string, comma byte, options Options) (Rows, error) {
	r := bufio.NewReaderSize(io.NewSectionReader(file, 0, size), 1<<16)
	head, err := r.Peek(3)
	if err != nil && err != io.EOF {
		return nil, err
	}
	mark, err := checkText(head)
	if err != nil {
		return nil, err
	}
	if _, err := r.Discard(mark); err != nil {
		return nil, err
	}
	c := &csvRows{file: file, name: name, r: r, comma: comma, max: options.maxRow, line: 1, at: int64(mark)}
	if err := c.readHeader(); err != nil {
		return nil, err
	}
	return c, nil
}

func (c *csvRows) readHeader() error {
	what, err := c.read()
	if err == io.EOF {
		return errors.New("the file is empty; its first line must name the columns")
	}
	if err != nil {
		return err
	}
	if at := invalidUTF8(c.text); at >= 0 {
		what = invalidAt(c.text, at, 0)
	}
	if what != "" {
		return fmt.Errorf("the header: %s", what)
	}
	if len(c.ends) > maxColumns {
		return fmt.Errorf("the header names %d columns; at most %d are read", len(c.ends), maxColumns)
	}
	seen := map[string]bool{}
	for i := range c.ends {
		column := string(c.fieldText(i))
		if seen[column] {
			return fmt.Errorf("the header names column %s twice", snippet(column))
		}
		seen[column] = true
		c.header = append(c.header, column)
	}
	return nil
}

func (c *csvRows) Close() error { return c.file.Close() }

func (c *csvRows) Next() (Raw, error) {
	if c.err != nil {
		return Raw{}, c.err
	}
	for {
		line, start := c.line, c.at
		what, err := c.read()
		if err != nil {
			if err != io.EOF {
				err = final(c.name, c.record+1, line, err)
			}
			c.err = err
			return Raw{}, err
		}
		if c.ends == nil {
			continue // a blank line
		}
		c.record++
		if at := invalidUTF8(c.text); at >= 0 {
			what = fmt.Sprintf("invalid UTF-8 (byte 0x%02x) in the record at byte %d", c.text[at], start)
		}
		if what == "" && len(c.ends) != len(c.header) {
			what = fmt.Sprintf("%d fields where the header names %d: %s", len(c.ends), len(c.header), snippet(string(c.text)))
		}
		if what != "" {
			return Raw{}, &RowError{File: c.name, Record: c.record, Line: line, What: what}
		}
		row := Value{Kind: Object, Fields: make([]Field, len(c.header))}
		text := string(c.text)
		from := 0
		for i, end := range c.ends {
			row.Fields[i] = Field{c.header[i], stringValue(text[from:end])}
			from = end
		}
		return Raw{Value: row, Record: c.record, Line: line}, nil
	}
}

func (c *csvRows) fieldText(i int) []byte {
	from := 0
	if i > 0 {
		from = c.ends[i-1]
	}
	return c.text[from:c.ends[i]]
}

// read reads one record into text and ends; ends is nil for a blank line. what
// says that the record is malformed though the next one can be read; err is
// final.
func (c *csvRows) read() (what string, err error) {
	c.text, c.ends = c.text[:0], nil
	wasQuoted := false // the field being read; a second pair of quotes is malformed
	for {
		b, err := c.byte()
		if err == io.EOF {
			if len(c.text) == 0 && c.ends == nil && !wasQuoted {
				return "", io.EOF
			}
			c.ends = append(c.ends, len(c.text))
			return what, nil
		}
		if err != nil {
			return "", err
		}
		fieldStart := len(c.text) == c.lastEnd()
		switch {
		case b == '"' && fieldStart && !wasQuoted:
			wasQuoted = true
			after, err := c.quoted()
			if err != nil {
				return "", err
			}
			if after != "" && what == "" {
				what = after
			}
		case b == c.comma:
			c.ends = append(c.ends, len(c.text))
			wasQuoted = false
		case b == '\n' || b == '\r':
			c.newline(b)
			if len(c.text) == 0 && c.ends == nil && !wasQuoted {
				return "", nil // blank
			}
			c.ends = append(c.ends, len(c.text))
			return what, nil
		default:
			if err := c.add(b); err != nil {
				return "", err
			}
		}
	}
}

func (c *csvRows) lastEnd() int {
	if len(c.ends) == 0 {
		return 0
	}
	return c.ends[len(c.ends)-1]
}

// quoted reads a field from after its opening quote to its closing one. after
// says that something else than the field's end follows.
func (c *csvRows) quoted() (after string, err error) {
	line := c.line
	for {
		b, err := c.byte()
		if err == io.EOF {
			return "", fmt.Errorf("a quoted field that starts on line %d never ends", line)
		}
		if err != nil {
			return "", err
		}
		if b != '"' {
			if b == '\n' || b == '\r' && !c.follows('\n') {
				c.line++
			}
			if err := c.add(b); err != nil {
				return "", err
			}
			continue
		}
		if c.follows('"') {
			c.byte()
			if err := c.add('"'); err != nil {
				return "", err
			}
			continue
		}
		next, err := c.r.Peek(1)
		if err == nil && next[0] != c.comma && !strings.ContainsRune("\r\n", rune(next[0])) {
			return fmt.Sprintf("%q after the closing quote of a field", next[0]), nil
		}
		return "", nil
	}
}

func (c *csvRows) byte() (byte, error) {
	b, err := c.r.ReadByte()
	if err == nil {
		c.at++
	}
	return b, err
}

func (c *csvRows) follows(b byte) bool {
	next, err := c.r.Peek(1)
	return err == nil && next[0] == b
}

func (c *csvRows) newline(b byte) {
	if b == '\r' && c.follows('\n') {
		c.byte()
	}
	c.line++
}

func (c *csvRows) add(b byte) error {
	if int64(len(c.text)) == c.max {
		return fmt.Errorf("the record takes more than %d bytes", c.max)
	}
	c.text = append(c.text, b)
	return nil
}
