package dataset

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
)

// The rows of a block get memory for leastFields to slabFields fields at a time.
const leastFields, slabFields = 256, 64 << 10

// openJSONL reads JSON Lines: one value a line, blank lines between them.
func openJSONL(t *text, name string, options Options) (Rows, error) {
	r, err := t.open(t.start)
	if err != nil {
		return nil, err
	}
	c := &cutter{r: r, at: t.start, max: options.maxRow, what: "line", cut: cutLines, pool: newBufferPool(options.Threads)}
	rows := newBlockRows(t, name, r, options, c.next, func(b block, s *scratch) *parsed { return parseLines(b, s, options.maxRow) })
	rows.pool = c.pool
	return rows, nil
}

// parseLines parses a block of JSON Lines.
func parseLines(b block, s *scratch, most int64) *parsed {
	p := s.begin(b)
	lines := lineCutter{b: b.data}
	for at := 0; at < len(b.data); {
		if next, ok := s.quickLine(p, at, most); ok {
			at = next
			continue
		}
		start := at
		end, next := lines.cut(at)
		at = next
		p.lines++
		if int64(end-start) > most {
			p.err = &RowError{Record: p.count + 1, Line: p.lines, What: fmt.Sprintf("the line is longer than %d bytes", most), Final: true}
			return p
		}
		if blank(b.data[start:end]) {
			continue
		}
		p.count++
		parser := s.parser(b)
		parser.b, parser.i = b.data[:end], start
		p.add(parser, p.lines)
		s.shapeRows(p)
	}
	return p
}

// quickLine reads the line at a place, not longer than most, as a row of a quick
// plan. It returns where the next line starts, and false when the row must be
// parsed.
func (s *scratch) quickLine(p *parsed, at int, most int64) (next int, ok bool) {
	if s.quick == nil {
		return 0, false
	}
	j := &s.quick.json
	j.i, j.lines = at, true
	if !s.quick.read(p.count + 1) {
		return 0, false
	}
	j.peek()
	end := j.i
	switch {
	case end == len(j.b):
		next = end
	case j.b[end] == '\n':
		next = end + 1
	case j.b[end] == '\r' && end+1 < len(j.b) && j.b[end+1] == '\n':
		next = end + 2
	case j.b[end] == '\r':
		next = end + 1
	default:
		s.quick.to.drop()
		return 0, false
	}
	if int64(end-at) > most {
		s.quick.to.drop()
		return 0, false
	}
	p.count++
	p.lines++
	return next, true
}

// add parses the value that parser stands at as the next row.
func (p *parsed) add(parser *jsonParser, line int64) {
	from := parser.i
	value, err := parser.whole()
	if err != nil {
		p.reject(p.count, line, "", shift(err, parser.b, from, p.block.at))
		return
	}
	p.rows = append(p.rows, Raw{Value: value, Record: p.count, Line: line})
}

// eachLine calls use with the extent of each line of b, without its end, until
// it returns false.
func eachLine(b []byte, use func(start, end int) bool) {
	lines := lineCutter{b: b}
	for at := 0; at < len(b); {
		end, next := lines.cut(at)
		if !use(at, end) {
			return
		}
		at = next
	}
}

// lineCutter cuts a text into lines, which end in LF, CRLF or CR.
type lineCutter struct {
	b     []byte
	known bool // whether CR stands in b
	bare  bool // it does
}

// cut returns where the line that starts at a place ends, and where the next one
// starts.
func (l *lineCutter) cut(at int) (end, next int) {
	if !l.known {
		l.known, l.bare = true, bytes.IndexByte(l.b, '\r') >= 0
	}
	b := l.b
	end, next = len(b), len(b)
	if i := bytes.IndexByte(b[at:], '\n'); i >= 0 {
		end, next = at+i, at+i+1
	}
	if l.bare {
		if i := bytes.IndexByte(b[at:end], '\r'); i >= 0 {
			if end = at + i; end+1 != next-1 || b[end+1] != '\n' {
				next = end + 1
			}
		}
	}
	return end, next
}

// blank reports whether a line holds nothing but spaces and tabs.
func blank(line []byte) bool {
	for _, c := range line {
		if c != ' ' && c != '\t' {
			return false
		}
	}
	return true
}

// shift words a parser's error about b[from:] with its offset in the text and
// what stands there.
func shift(err error, b []byte, from int, offset int64) string {
	var syntax *SyntaxError
	if !errors.As(err, &syntax) {
		return err.Error()
	}
	what := (&SyntaxError{Offset: syntax.Offset + offset, What: syntax.What}).Error()
	if strings.HasPrefix(syntax.What, "invalid UTF-8") {
		return what + unsureHint
	}
	at := int(syntax.Offset)
	if near := b[max(from, at-nearBytes):min(len(b), at+nearBytes)]; len(near) > 0 {
		what += ": near " + snippet(strings.ToValidUTF8(string(near), ""))
	}
	return what
}

// nearBytes is how much text around a place an error shows.
const nearBytes = 24

// openJSON reads a file of JSON: a list of rows; an object of which one field
// holds such a list; one row; or several rows one after another.
func openJSON(t *text, name string, options Options) (Rows, error) {
	f := &jsonFrames{max: options.maxRow}
	start, err := f.find(t, options)
	if err != nil {
		return nil, err
	}
	if f.inList {
		start++ // the bracket
	}
	r, err := t.open(start)
	if err != nil {
		return nil, err
	}
	f.r, f.at, f.pool = r, start, newBufferPool(options.Threads)
	rows := newBlockRows(t, name, r, options, f.next, parseFrames)
	rows.pool = f.pool
	return rows, nil
}

// parseFrames parses a block of values of which only the extents are known.
func parseFrames(b block, s *scratch) *parsed {
	p := s.begin(b)
	for i := 0; i < len(b.frames); i += 2 {
		start, end := b.frames[i], b.frames[i+1]
		if s.quickFrame(p, start, end) {
			continue
		}
		p.count++
		parser := s.parser(b)
		parser.b, parser.i = b.data[:end], start
		p.add(parser, 0)
		s.shapeRows(p)
	}
	return p
}

// quickFrame reads a framed value as a row of a quick plan; false when it must be
// parsed.
func (s *scratch) quickFrame(p *parsed, start, end int) bool {
	if s.quick == nil {
		return false
	}
	j := &s.quick.json
	j.b, j.i, j.lines = p.block.data[:end], start, false
	if !s.quick.read(p.count + 1) {
		return false
	}
	if j.peek(); j.i < end {
		s.quick.to.drop()
		return false
	}
	p.count++
	return true
}

// jsonFrames cuts a text of JSON into blocks of whole rows without parsing
// them: brackets are counted, strings skipped. What it frames is parsed
// strictly later.
type jsonFrames struct {
	max     int64
	inList  bool // rows stand between the brackets of a list
	wrapped bool // and the list in an object

	r    io.Reader
	at   int64 // offset of what next returns
	rest []byte
	err  error // of r
	pool *bufferPool

	begun bool // the first row was read
}

// next returns the next block; the one with an error is the last.
func (f *jsonFrames) next() block {
	buf := append(f.pool.get(2*len(f.rest)), f.rest...)
	for {
		for f.err == nil && len(buf) < cap(buf) {
			var n int
			n, f.err = f.r.Read(buf[len(buf):cap(buf)])
			buf = buf[:len(buf)+n]
		}
		frames, end, err := f.frame(buf)
		if f.err != nil && f.err != io.EOF && err == nil {
			err = f.err
		}
		if f.err == nil && err == nil && end == 0 {
			if int64(len(buf)) > f.max {
				return block{data: buf, at: f.at, err: f.tooLong()}
			}
			buf = append(make([]byte, 0, 2*cap(buf)), buf...)
			continue
		}
		b := block{data: buf[:end:end], memory: buf, at: f.at, frames: frames, err: err}
		f.rest = append(f.rest[:0], buf[end:]...) // the block's memory is used again
		f.at += int64(end)
		return b
	}
}

func (f *jsonFrames) tooLong() error { return fmt.Errorf("the row takes more than %d bytes", f.max) }

// frame finds the rows of b, from the first on, that end in it: from where to
// where each is, and where what comes after the last one starts. An error ends
// the text: io.EOF when nothing is wrong.
func (f *jsonFrames) frame(b []byte) (frames []int, end int, err error) {
	done := f.err == io.EOF
	for {
		start, more, err := f.advance(b, end)
		if err == errShort && !done {
			return frames, end, nil
		}
		if err == errShort {
			err = fmt.Errorf("the file ends within the list of rows, at byte %d", f.at+int64(len(b)))
		}
		if err != nil || !more {
			if err == nil {
				err = io.EOF
			}
			return frames, end, err
		}
		stop := valueEnd(b, start, done)
		switch {
		case stop < 0 && !done:
			return frames, end, nil
		case stop < 0:
			return frames, end, fmt.Errorf("the file ends within a value, at byte %d", f.at+int64(len(b)))
		case int64(stop-start) > f.max:
			return frames, end, f.tooLong()
		}
		frames = append(frames, start, stop)
		end, f.begun = stop, true
	}
}

// errShort says that a buffer ends before what was looked for.
var errShort = errors.New("the text ends early")

// advance returns where the row after b[i:] starts; false when there is none.
func (f *jsonFrames) advance(b []byte, i int) (start int, more bool, err error) {
	i = skipSpace(b, i)
	if i == len(b) {
		if f.inList || f.err != io.EOF {
			return i, false, errShort
		}
		return i, false, nil
	}
	c := b[i]
	switch {
	case !f.inList && f.begun && c != '{':
		return i, false, fmt.Errorf("%q where another object or the end was wanted at byte %d", c, f.at+int64(i))
	case !f.inList:
		return i, true, nil
	case c == ']':
		return i, false, f.trailer(b, i+1)
	case !f.begun:
		return i, true, nil
	case c != ',':
		return i, false, fmt.Errorf("%q where ',' or ']' was wanted at byte %d", c, f.at+int64(i))
	}
	if i = skipSpace(b, i+1); i == len(b) {
		return i, false, errShort
	}
	if b[i] == ']' {
		return i, false, fmt.Errorf("a comma before the end of the list at byte %d", f.at+int64(i))
	}
	return i, true, nil
}

// trailer checks what follows the list of rows: the end, or the rest of the
// object around it, which find has walked already.
func (f *jsonFrames) trailer(b []byte, i int) error {
	if i = skipSpace(b, i); i == len(b) {
		if f.err != io.EOF {
			return errShort
		}
		return nil
	}
	if c := b[i]; !f.wrapped || c != ',' && c != '}' {
		return fmt.Errorf("%q after the end of the list at byte %d", c, f.at+int64(i))
	}
	return nil
}

func skipSpace(b []byte, i int) int {
	for i < len(b) && isJSONSpace(b[i]) {
		i++
	}
	return i
}

// valueEnd returns where the value that starts at b[i] ends, or -1 when b ends
// first. A value that is no string, list or object ends before the first byte
// that cannot be part of it, or, when done, with b.
func valueEnd(b []byte, i int, done bool) int {
	depth := 0
	for start := i; i < len(b); i++ {
		switch c := b[i]; c {
		case '"':
			if depth == 0 && i > start {
				return i
			}
			if i = stringEnd(b, i+1); i < 0 {
				return -1
			}
			if depth == 0 {
				return i + 1
			}
		case '[', '{':
			if depth == 0 && i > start {
				return i
			}
			depth++
		case ']', '}':
			if depth == 0 && i > start {
				return i
			}
			if depth == 0 {
				continue
			}
			if depth--; depth == 0 {
				return i + 1
			}
		case ' ', '\t', '\n', '\r', ',', ':':
			if depth == 0 && i > start {
				return i
			}
		}
	}
	if done && depth == 0 {
		return len(b)
	}
	return -1
}

// stringEnd returns where the closing quote is of a string whose text starts at
// b[i], or -1.
func stringEnd(b []byte, i int) int {
	for {
		n := bytes.IndexByte(b[i:], '"')
		if n < 0 {
			return -1
		}
		quote := i + n
		slashes := 0
		for quote-slashes > i && b[quote-slashes-1] == '\\' {
			slashes++
		}
		if slashes%2 == 0 {
			return quote
		}
		i = quote + 1
	}
}

// find returns where the rows start, looking no further than the end of the
// first object of the file.
func (j *jsonFrames) find(t *text, options Options) (int64, error) {
	r, err := t.open(t.start)
	if err != nil {
		return 0, err
	}
	defer r.Close()
	f := newFramer(r, t.start, options.maxRow)
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
		return t.start, nil // reading the row will say where it is wrong
	}
	if _, err := f.peek(); err != io.EOF || known && options.Rows == "" {
		return t.start, nil // rows one after another, or a single one
	}
	return j.choose(lists, t.start, options)
}

// choose picks the list that holds the rows of a lone object.
func (j *jsonFrames) choose(lists []listField, start int64, options Options) (int64, error) {
	var names []string
	for _, l := range lists {
		if options.Rows == l.name || options.Rows == "" && len(lists) == 1 {
			j.inList, j.wrapped = true, true
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
	return start, nil
}

func orNone(names []string) string {
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, ", ")
}
