package dataset

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/bits"
	"slices"
	"strings"
	"unicode/utf8"
)

// maxColumns bounds the header of a CSV file.
const maxColumns = 10_000

// csvTable is how the records of comma-separated values (RFC 4180) become rows:
// every row is an object of strings. Records end in LF, CRLF or CR; a quoted
// field holds any of them as they are; a quote within an unquoted field is an
// ordinary character; blank lines are skipped.
type csvTable struct {
	comma  byte
	header []string
	max    int64
}

// openCSV reads a table whose columns its first record names, or options.
func openCSV(t *text, name string, container Container, options Options) (Rows, error) {
	r, err := t.open(t.start)
	if err != nil {
		return nil, err
	}
	c := &cutter{r: r, at: t.start, max: options.maxRow, what: "record", cut: cutRecords}
	rows, err := newCSV(t, name, r, c, container, options)
	if err != nil {
		return nil, errors.Join(err, r.Close())
	}
	return rows, nil
}

func newCSV(t *text, name string, r io.Closer, c *cutter, container Container, options Options) (Rows, error) {
	first := c.next()
	table := &csvTable{max: options.maxRow}
	lines, err := table.begin(&first, container, options)
	if err != nil {
		return nil, err
	}
	next := func() block {
		if b := first; b.at >= 0 {
			first = block{at: -1}
			return b
		}
		return c.next()
	}
	rows := newBlockRows(t, name, r, options, next, table.parse)
	rows.lines = lines
	return rows, nil
}

// begin finds the delimiter and the columns, and takes what comes before the
// rows off b. lines is how many lines that was.
func (c *csvTable) begin(b *block, container Container, options Options) (lines int64, err error) {
	for range options.Skip {
		end := len(b.data)
		eachLine(b.data, func(start, stop int) bool {
			end = stop + 1
			if stop+1 < len(b.data) && b.data[stop] == '\r' && b.data[stop+1] == '\n' {
				end++
			}
			return false
		})
		if end > len(b.data) || end == 0 {
			return 0, fmt.Errorf("skip is %d, and the file has fewer lines", options.Skip)
		}
		b.data, b.at, lines = b.data[end:], b.at+int64(end), lines+1
	}
	c.comma = delimiter(b.data, container, options.Delimiter)
	if options.Fields != nil {
		c.header = options.Fields
		if b.err != nil && b.err != io.EOF && len(b.data) == 0 {
			return lines, b.err
		}
		return lines, nil
	}
	head, end, err := c.readHeader(*b)
	if err != nil {
		return 0, err
	}
	b.data, b.at = b.data[end:], b.at+int64(end)
	return lines + head, nil
}

// delimiterBytes is how much of a table tells its delimiter.
const delimiterBytes = 64 << 10

// delimiter is the declared one, or the container's, unless the first record is
// in one piece with it and falls apart in equally many fields as the next ones
// with another.
func delimiter(b []byte, container Container, declared string) byte {
	if declared != "" {
		return declared[0]
	}
	own := byte(',')
	if container == TSV {
		own = '\t'
	}
	sample := b[:min(len(b), delimiterBytes)]
	if n, _ := fieldsWith(sample, own); n > 1 {
		return own
	}
	best, most := own, 1
	for _, other := range []byte{';', '\t', '|', ','} {
		if n, same := fieldsWith(sample, other); same && n > most {
			best, most = other, n
		}
	}
	return best
}

// fieldsWith counts the fields of the first record, and says whether the next
// ones have as many.
func fieldsWith(b []byte, comma byte) (n int, same bool) {
	s := csvScanner{b: b, comma: comma}
	for range 10 {
		s.ends = s.ends[:0]
		what := s.record()
		switch {
		case what == scanEnd || what == scanOpen || s.i == delimiterBytes && n > 0: // perhaps cut
			return n, true
		case what == scanBlank:
		case n == 0:
			n = len(s.ends)
		case len(s.ends) != n:
			return n, false
		}
	}
	return n, true
}

// readHeader reads the names of the columns, and returns how many lines and
// bytes they take.
func (c *csvTable) readHeader(b block) (lines int64, end int, err error) {
	s := csvScanner{b: b.data, comma: c.comma}
	what := scanBlank
	for what == scanBlank {
		what = s.record()
	}
	text := b.data[s.start:s.i]
	switch {
	case what == scanEnd && b.err != nil && b.err != io.EOF:
		return 0, 0, b.err
	case what == scanEnd:
		return 0, 0, errors.New("the file is empty; its first line must name the columns")
	case what == scanOpen:
		return 0, 0, errors.New("the header: a quoted field in it never ends")
	case s.what != "":
		return 0, 0, fmt.Errorf("the header: %s", s.what)
	case len(s.ends) > maxColumns:
		return 0, 0, fmt.Errorf("the header names %d columns; at most %d are read", len(s.ends), maxColumns)
	}
	if at := invalidUTF8(text); at >= 0 {
		return 0, 0, fmt.Errorf("the header: %s", invalidAt(text, at, b.at+int64(s.start)))
	}
	seen := map[string]bool{}
	for i := range s.ends {
		column := s.field(i)
		if seen[column] {
			return 0, 0, fmt.Errorf("the header names column %s twice", snippet(column))
		}
		seen[column] = true
		c.header = append(c.header, column)
	}
	if err := c.checkHeader(s, b); err != nil {
		return 0, 0, err
	}
	return s.lines, s.i, nil
}

// checkHeader refuses a first record that is one of data: it holds numbers, and
// the record after it does where it does. A name in it that is empty or a
// number may stand.
func (c *csvTable) checkHeader(s csvScanner, b block) error {
	numbers := 0
	for _, name := range c.header {
		if isNumber(name) {
			numbers++
		}
	}
	if numbers == 0 {
		return nil
	}
	s.ends = s.ends[:0]
	next := scanBlank
	for next == scanBlank {
		next = s.record()
	}
	if next == scanOpen || next == scanEnd {
		return nil
	}
	below := 0 // numbers below numbers, from the left
	for i := range min(len(s.ends), len(c.header)) {
		if isNumber(c.header[i]) && isNumber(s.field(i)) {
			below++
		}
	}
	if below < numbers || years(c.header) {
		return nil
	}
	shown := snippet(string(bytes.TrimRight(b.data[:min(len(b.data), 100)], "\r\n")))
	if i := bytes.IndexAny(b.data, "\r\n"); i >= 0 {
		shown = snippet(string(b.data[:i]))
	}
	if len(s.ends) != len(c.header) || numbers < len(c.header) {
		return fmt.Errorf("the first line is no header: %s holds numbers, as the line after does; give header: false, fields, and skip: 1 if it is no row either", shown)
	}
	return fmt.Errorf("the first line is no header: %s is all numbers, as the line after; give header: false and fields", shown)
}

// years reports whether the numbers of a header are names: years that ascend or
// descend, or columns counted from 0.
func years(header []string) bool {
	var numbers []string
	for _, name := range header {
		if isNumber(name) {
			numbers = append(numbers, name)
		}
	}
	if len(numbers) < 2 || numbers[0] != "0" && len(numbers[0]) != 4 {
		return false
	}
	for i, n := range numbers[1:] {
		if len(n) > 4 || strings.ContainsAny(n, ".-+eE") || step(numbers[i], n) != 1 && step(n, numbers[i]) != 1 {
			return false
		}
	}
	return true
}

// step returns b-a of short natural numbers.
func step(a, b string) int {
	return natural(b) - natural(a)
}

func natural(s string) (n int) {
	for i := 0; i < len(s) && i < 6; i++ {
		n = 10*n + int(s[i]-'0')
	}
	return n
}

func isNumber(s string) bool {
	p := jsonParser{b: []byte(s)}
	var v Value
	return s != "" && (s[0] == '-' || s[0] >= '0' && s[0] <= '9') && p.number(&v) == nil && p.i == len(s)
}

// cutRecords ends after the last line whose end is in no quoted field if all
// quotes are those of fields. Where they are not, parsing finds out.
func cutRecords(b []byte) int {
	quotes := bytes.Count(b, []byte{'"'})
	for end := cutLines(b); end > 0; {
		quotes -= bytes.Count(b[end:], []byte{'"'})
		if quotes%2 == 0 {
			return end
		}
		b = b[:end]
		next := cutLines(b[:end-1])
		if next == 0 {
			break
		}
		end = next
	}
	return 0
}

// parse parses a block of records.
func (c *csvTable) parse(b block, memory *scratch) *parsed {
	p := memory.begin(b)
	s := csvScanner{b: b.data, comma: c.comma, valid: utf8.Valid(b.data)}
	for {
		line := s.lines + 1
		what := s.record()
		if s.start < len(b.data) && int64(s.i-s.start) > c.max {
			p.err = &RowError{Record: p.count + 1, Line: line, What: fmt.Sprintf("the record takes more than %d bytes", c.max), Final: true}
			return p
		}
		switch what {
		case scanEnd:
			p.lines = s.lines
			return p
		case scanBlank:
			continue
		case scanOpen:
			p.open(b, &s, line)
			return p
		}
		p.count++
		if bad := c.check(&s, b); bad != "" {
			p.reject(p.count, line, "", bad)
			continue
		}
		fields := memory.json.slab.fieldsOf(len(c.header))
		for i := range fields {
			field := &fields[i]
			if v := &field.Value; v.Items != nil || v.Fields != nil || v.Bool { // of a row before
				*v = Value{}
			}
			field.Name, field.Value.Kind, field.Value.Text = c.header[i], String, s.field(i)
		}
		if len(p.rows) == cap(p.rows) { // as many as there are, if they are as long as those so far
			p.rows = slices.Grow(p.rows, 1+len(p.rows)/8+(len(b.data)-s.i)/(s.i/(len(p.rows)+1)+1))
		}
		p.rows = append(p.rows, Raw{Value: Value{Kind: Object, Fields: fields}, Record: p.count, Line: line})
	}
}

// open notes that a block ends within a quoted field: what the field starts is
// left for the next block, or it never ends.
func (p *parsed) open(b block, s *csvScanner, line int64) {
	if b.err == nil {
		p.rest, p.lines = len(b.data)-s.start, line-1
		return
	}
	if b.err != io.EOF {
		return // which says more
	}
	p.err = &RowError{Record: p.count + 1, Line: s.opened, What: "a quoted field that starts here never ends: " + snippet(string(b.data[s.start:])), Final: true}
}

// check says what is wrong with the record that s has read.
func (c *csvTable) check(s *csvScanner, b block) string {
	text := b.data[s.start:s.stop]
	if !s.valid {
		if at := invalidUTF8(text); at >= 0 {
			return invalidAt(text, at, b.at+int64(s.start))
		}
	}
	if s.what != "" {
		return s.what
	}
	if len(s.ends) != len(c.header) {
		return fmt.Sprintf("%d fields where the header names %d: %s", len(s.ends), len(c.header), snippet(string(text)))
	}
	return ""
}

// What csvScanner.record found.
const (
	scanRecord = iota
	scanBlank
	scanEnd
	scanOpen // the text ends within a quoted field
)

// csvScanner finds the fields of records.
type csvScanner struct {
	b     []byte
	comma byte
	valid bool // all of b is UTF-8
	i     int  // next byte

	start, stop int // of the record, without its end
	lines       int64
	ends        []csvField
	what        string // is malformed about the record
	opened      int64  // line on which the quoted field begins
}

// csvField is where a field is, without its quotes.
type csvField struct {
	start, end int
	doubled    int // quotes that it holds, each written twice
}

// field returns the text of a field of the record: a part of b, unless it holds
// quotes.
func (s *csvScanner) field(i int) string {
	f := s.ends[i]
	text := s.b[f.start:f.end]
	if f.doubled > 0 {
		return view(undouble(text, f.doubled))
	}
	return view(text)
}

// undouble returns b with one quote for each of its n pairs of them.
func undouble(b []byte, n int) []byte {
	out := make([]byte, 0, len(b)-n)
	for range n {
		i := bytes.IndexByte(b, '"') + 1
		out = append(out, b[:i]...)
		b = b[i+1:]
	}
	return append(out, b...)
}

// record reads the next record.
func (s *csvScanner) record() int {
	s.ends, s.what, s.start = s.ends[:0], "", s.i
	if s.i == len(s.b) {
		return scanEnd
	}
	if c := s.b[s.i]; c == '\n' || c == '\r' {
		s.newline()
		return scanBlank
	}
	for {
		if s.i < len(s.b) && s.b[s.i] == '"' {
			if !s.quoted() {
				return scanOpen
			}
		} else {
			end := s.i + plainField(s.b[s.i:], s.comma)
			s.ends = append(s.ends, csvField{s.i, end, 0})
			s.i = end
		}
		if s.i < len(s.b) && s.b[s.i] == s.comma {
			s.i++
			continue
		}
		s.stop = s.i
		s.newline()
		return scanRecord
	}
}

// newline consumes the end of a line, if one comes next.
func (s *csvScanner) newline() {
	if s.i == len(s.b) {
		return
	}
	if s.b[s.i] == '\r' && s.i+1 < len(s.b) && s.b[s.i+1] == '\n' {
		s.i++
	}
	s.i++
	s.lines++
}

// quoted reads a field whose opening quote is next; false when it has no end.
func (s *csvScanner) quoted() bool {
	s.opened = s.lines + 1
	f := csvField{start: s.i + 1}
	for i := f.start; ; i += 2 {
		n := bytes.IndexByte(s.b[i:], '"')
		if n < 0 {
			return false
		}
		if i += n; i+1 == len(s.b) || s.b[i+1] != '"' {
			f.end = i
			break
		}
		f.doubled++
	}
	s.i = f.end + 1
	s.lines += countLines(s.b[f.start:f.end])
	if s.i < len(s.b) && s.b[s.i] != s.comma && s.b[s.i] != '\n' && s.b[s.i] != '\r' {
		if s.what == "" {
			r, _ := utf8.DecodeRune(s.b[s.i:])
			s.what = fmt.Sprintf("%q after the closing quote of a field", r)
		}
		s.i += plainField(s.b[s.i:], s.comma)
	}
	s.ends = append(s.ends, f)
	return true
}

// countLines counts the line ends in b.
func countLines(b []byte) int64 {
	n := bytes.Count(b, []byte{'\n'})
	if bytes.IndexByte(b, '\r') >= 0 {
		n += bytes.Count(b, []byte{'\r'}) - bytes.Count(b, []byte("\r\n"))
	}
	return int64(n)
}

// plainField returns how many bytes of b come before a comma or the end of a
// line. Eight bytes are looked at together, as in plainText.
func plainField(b []byte, comma byte) int {
	const (
		ones  = 0x0101010101010101
		highs = 0x8080808080808080
	)
	commas := ones * uint64(comma)
	i := 0
	for ; i+8 <= len(b); i += 8 {
		w := binary.LittleEndian.Uint64(b[i:])
		c, lf, cr := w^commas, w^('\n'*ones), w^('\r'*ones)
		found := ((c - ones) &^ c) | ((lf - ones) &^ lf) | ((cr - ones) &^ cr)
		if found &= highs; found != 0 {
			return i + bits.TrailingZeros64(found)/8
		}
	}
	for ; i < len(b); i++ {
		if c := b[i]; c == comma || c == '\n' || c == '\r' {
			return i
		}
	}
	return i
}
