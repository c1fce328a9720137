package dataset

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"
)

// lines splits a file into lines that end in LF, CRLF or CR. A byte order mark
// at the start is no part of the first line.
type lines struct {
	text   *text
	reader io.Closer
	name   string
	r      *bufio.Reader
	at     int64 // offset of the next byte
	line   int64 // number of the line last read
	max    int64
	buf    []byte
	start  int64 // offset of the line last read
}

func openLines(t *text, name string, options Options) (*lines, error) {
	r, err := t.open(t.start)
	if err != nil {
		return nil, err
	}
	return &lines{text: t, reader: r, name: name, r: bufio.NewReaderSize(r, 1<<16), at: t.start, max: options.maxRow}, nil
}

// next returns the next line without its end, valid until the call after, and
// that end. Any error ends the reading.
func (l *lines) next() (line []byte, end string, err error) {
	l.buf = l.buf[:0]
	l.start = l.at
	l.line++
	for {
		chunk, err := l.r.Peek(1)
		if len(chunk) == 0 {
			if err == io.EOF && len(l.buf) > 0 {
				return l.buf, "", nil
			}
			return nil, "", err
		}
		chunk, _ = l.r.Peek(l.r.Buffered())
		i := bytes.IndexAny(chunk, "\r\n")
		if i < 0 {
			i = len(chunk)
		}
		if int64(len(l.buf)+i) > l.max {
			return nil, "", fmt.Errorf("the line is longer than %d bytes", l.max)
		}
		l.buf = append(l.buf, chunk[:i]...)
		l.skip(i)
		if i == len(chunk) {
			continue
		}
		return l.buf, l.terminator(), nil
	}
}

func (l *lines) skip(n int) {
	l.r.Discard(n) // cannot fail: n bytes were peeked at
	l.at += int64(n)
}

// terminator consumes the line end that the reader stands at.
func (l *lines) terminator() string {
	if next, _ := l.r.Peek(2); len(next) == 2 && next[0] == '\r' && next[1] == '\n' {
		l.skip(2)
		return "\r\n"
	}
	c, _ := l.r.Peek(1)
	end := string(c)
	l.skip(1)
	return end
}

func (l *lines) Close() error { return errors.Join(l.reader.Close(), l.text.close()) }

// textRows reads plain text, whole or by paragraph: every row is a string.
type textRows struct {
	lines  *lines
	unit   Unit
	record int64
	err    error // final
}

func openText(t *text, name string, options Options) (Rows, error) {
	switch options.Unit {
	case "":
		options.Unit = File
	case Line:
		return openTextLines(t, name, options)
	case File, Paragraph:
	default:
		return nil, fmt.Errorf("unknown unit %q of text", options.Unit)
	}
	l, err := openLines(t, name, options)
	if err != nil {
		return nil, err
	}
	return &textRows{lines: l, unit: options.Unit}, nil
}

// openTextLines reads lines without their ends; blank ones are no rows.
func openTextLines(t *text, name string, options Options) (Rows, error) {
	r, err := t.open(t.start)
	if err != nil {
		return nil, err
	}
	c := &cutter{r: r, at: t.start, max: options.maxRow, what: "line", cut: cutLines}
	return newBlockRows(t, name, r, options, c.next, func(b block, s *scratch) *parsed { return parseTextLines(b, s, options.maxRow) }), nil
}

func parseTextLines(b block, s *scratch, most int64) *parsed {
	p := s.begin(b)
	valid := utf8.Valid(b.data)
	eachLine(b.data, func(start, end int) bool {
		p.lines++
		line := b.data[start:end]
		if int64(len(line)) > most {
			p.err = &RowError{Record: p.count + 1, Line: p.lines, What: fmt.Sprintf("the line is longer than %d bytes", most), Final: true}
			return false
		}
		if len(bytes.TrimSpace(line)) == 0 {
			return true
		}
		p.count++
		if at := invalidUTF8(line); !valid && at >= 0 {
			p.reject(p.count, p.lines, "", invalidAt(line, at, b.at+int64(start)))
			return true
		}
		p.rows = append(p.rows, Raw{Value: stringValue(view(line)), Record: p.count, Line: p.lines})
		return true
	})
	return p
}

func (t *textRows) Close() error { return t.lines.Close() }

// Encoding returns the encoding that the text is read in.
func (t *textRows) Encoding() string { return string(t.lines.text.encoding) }

// Next returns the whole file but for a byte order mark; or a paragraph, without
// the line end after it. Blank lines belong to no paragraph.
func (t *textRows) Next() (Raw, error) {
	if t.err != nil {
		return Raw{}, t.err
	}
	var text []byte
	var first, offset int64 // of the row
	tail := 0               // bytes of the last line's end
	for {
		line, end, err := t.lines.next()
		if err == io.EOF {
			t.err = err
			break
		}
		if err != nil {
			t.err = final(t.lines.name, t.record+1, t.lines.line, err)
			break
		}
		if t.unit != File && len(bytes.TrimSpace(line)) == 0 {
			if len(text) > 0 {
				break
			}
			continue
		}
		if len(text) == 0 {
			first, offset = t.lines.line, t.lines.start
		}
		if int64(len(text)+len(line)+len(end)) > t.lines.max {
			t.err = final(t.lines.name, t.record+1, first,
				fmt.Errorf("longer than %d bytes; split the text into paragraphs or lines", t.lines.max))
			return Raw{}, t.err
		}
		text = append(append(text, line...), end...)
		tail = len(end)
	}
	if t.err != nil && t.err != io.EOF || len(text) == 0 {
		return Raw{}, t.err
	}
	if t.unit != File {
		text = text[:len(text)-tail]
	}
	t.record++
	if at := invalidUTF8(text); at >= 0 {
		return Raw{}, &RowError{File: t.lines.name, Record: t.record, Line: first, What: invalidAt(text, at, offset)}
	}
	return Raw{Value: stringValue(string(text)), Record: t.record, Line: first}, nil
}

// invalidUTF8 returns where b stops being UTF-8, or -1.
func invalidUTF8(b []byte) int {
	if utf8.Valid(b) {
		return -1
	}
	for i := 0; i < len(b); {
		r, size := utf8.DecodeRune(b[i:])
		if r == utf8.RuneError && size == 1 {
			return i
		}
		i += size
	}
	return -1
}

// invalidAt says that b, which starts at offset of its file, is not UTF-8 at i.
func invalidAt(b []byte, i int, offset int64) string {
	return fmt.Sprintf("invalid UTF-8 (byte 0x%02x) at byte %d%s", b[i], offset+int64(i), unsureHint)
}
