package dataset

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"unicode/utf8"
	"unsafe"
)

// blockBytes is how much text one goroutine parses at a time. It bounds what
// reading holds: rows of short fields take many times their text.
const blockBytes = 256 << 10

// block is a piece of a text that ends where a record does.
type block struct {
	data   []byte // never changed: the rows' strings are parts of it
	at     int64  // offset in the text
	frames []int  // of JSON: where each value starts and ends in data
	err    error  // what comes after it: io.EOF, or what ended the reading; nil when there is more
}

// view is b as a string without a copy; b must not change afterwards.
func view(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }

// cutter reads a text in blocks.
type cutter struct {
	r    io.Reader
	at   int64
	max  int64            // bytes of one record
	what string           // is cut: "line", "record"
	cut  func([]byte) int // how much of a text ends with a record; 0 for none
	rest []byte           // read and in no block yet
	err  error
}

// next returns the next block; the one with an error is the last.
func (c *cutter) next() block {
	size := max(blockBytes, 2*len(c.rest))
	buf := append(make([]byte, 0, size), c.rest...)
	for {
		for c.err == nil && len(buf) < cap(buf) {
			var n int
			n, c.err = c.r.Read(buf[len(buf):cap(buf)])
			buf = buf[:len(buf)+n]
		}
		if c.err == io.EOF {
			return c.block(buf, len(buf), io.EOF)
		}
		end := c.cut(buf)
		if c.err != nil { // the whole records before it count
			return c.block(buf, end, c.err)
		}
		if end > 0 {
			return c.block(buf, end, nil)
		}
		if int64(len(buf)) > c.max {
			return c.block(buf, 0, fmt.Errorf("the %s takes more than %d bytes", c.what, c.max))
		}
		buf = append(make([]byte, 0, 2*cap(buf)), buf...)
	}
}

func (c *cutter) block(buf []byte, end int, err error) block {
	b := block{data: buf[:end:end], at: c.at, err: err}
	c.rest = buf[end:]
	c.at += int64(end)
	return b
}

// cutLines ends after the last line.
func cutLines(b []byte) int {
	if i := bytes.LastIndexByte(b, '\n'); i >= 0 {
		return i + 1
	}
	// CR alone ends lines too, but a last one may be half of CRLF.
	return bytes.LastIndexByte(b[:max(len(b)-1, 0)], '\r') + 1
}

// parsed is the rows of a block, numbered within it.
type parsed struct {
	block   block
	rows    []Raw
	records []Record // in place of rows, when they are shaped
	bad     []badRow // in order
	count   int64    // records, bad ones included
	lines   int64    // line ends
	rest    int      // bytes at the block's end that are no whole record
	err     *RowError
}

// scratch is the memory of one parsing. When its rows are shaped at once, the
// next parsing uses it again.
type scratch struct {
	rows    []Raw
	records []Record // of a block whose records were taken
	json    jsonParser
}

func newScratch() *scratch { return &scratch{json: jsonParser{slab: slab{chunk: slabFields}}} }

func (s *scratch) begin(b block) *parsed {
	s.json.slab.reset()
	return &parsed{block: b, rows: s.rows[:0]}
}

// parser returns a parser for parts of b.
func (s *scratch) parser(b block) *jsonParser {
	s.json.valid = utf8.Valid(b.data)
	return &s.json
}

// badRow is an error and how many rows come before it.
type badRow struct {
	after int
	err   *RowError
}

func (p *parsed) reject(record, line int64, field, what string) {
	p.bad = append(p.bad, badRow{len(p.rows), &RowError{Record: record, Line: line, Field: field, What: what}})
}

// ordered yields the results of work on blocks in the order of the blocks. With
// more than one thread it works on some of them at once.
type ordered struct {
	next    func() block
	work    func(block) *parsed
	threads int

	queue chan chan *parsed // nil until started
	stop  chan struct{}
	wait  sync.WaitGroup
}

// take returns the next result; the one whose block has an error is the last.
func (o *ordered) take() *parsed {
	if o.queue != nil {
		return <-<-o.queue
	}
	b := o.next()
	if b.err == nil && o.threads > 1 {
		o.start()
	}
	return o.work(b)
}

// start reads and parses ahead: at most threads blocks are being worked on, and
// as many wait to be taken.
func (o *ordered) start() {
	o.queue, o.stop = make(chan chan *parsed, o.threads), make(chan struct{})
	type job struct {
		block  block
		result chan *parsed
	}
	jobs := make(chan job)
	o.wait.Go(func() {
		defer close(jobs)
		for {
			j := job{o.next(), make(chan *parsed, 1)}
			select {
			case o.queue <- j.result:
			case <-o.stop:
				return
			}
			select {
			case jobs <- j:
			case <-o.stop:
				return
			}
			if j.block.err != nil {
				return
			}
		}
	})
	for range o.threads {
		o.wait.Go(func() {
			for j := range jobs {
				j.result <- o.work(j.block)
			}
		})
	}
}

// close ends what start began.
func (o *ordered) close() {
	if o.queue != nil {
		close(o.stop)
		o.wait.Wait()
	}
}

// blockRows reads the rows of a text block by block.
type blockRows struct {
	name    string
	text    *text
	reader  io.Closer
	blocks  ordered
	shape   func(Raw, []Record) ([]Record, []error)
	spare   sync.Pool // of *scratch
	current *parsed
	row     int // next one of current
	bad     int // next one of current
	records int64
	lines   int64
	err     error // final
}

// newBlockRows reads what next yields, which comes from r; parse must be safe
// for use by several goroutines.
func newBlockRows(t *text, name string, r io.Closer, options Options, next func() block, parse func(block, *scratch) *parsed) *blockRows {
	b := &blockRows{name: name, text: t, reader: r, current: &parsed{}}
	b.spare.New = func() any { return newScratch() }
	b.blocks = ordered{next: next, threads: options.Threads, work: func(k block) *parsed {
		if b.shape == nil {
			return parse(k, newScratch())
		}
		s := b.spare.Get().(*scratch)
		defer b.spare.Put(s)
		p := parse(k, s)
		s.rows, p.records, s.records = p.rows, s.records, nil
		p.shape(b.shape)
		return p
	}}
	return b
}

// shape turns rows into records.
func (p *parsed) shape(shape func(Raw, []Record) ([]Record, []error)) {
	bad := p.bad
	p.bad = nil
	p.records = slices.Grow(p.records, len(p.rows))
	for i, raw := range p.rows {
		for len(bad) > 0 && bad[0].after == i {
			p.bad = append(p.bad, badRow{len(p.records), bad[0].err})
			bad = bad[1:]
		}
		records, errs := shape(raw, p.records)
		for _, err := range errs {
			p.bad = append(p.bad, badRow{len(records), rowError(err, raw)})
		}
		p.records = records
	}
	for _, b := range bad {
		p.bad = append(p.bad, badRow{len(p.records), b.err})
	}
	p.rows = nil
}

func rowError(err error, raw Raw) *RowError {
	var row *RowError
	if errors.As(err, &row) {
		return row
	}
	return &RowError{Record: raw.Record, Line: raw.Line, What: err.Error()}
}

func (b *blockRows) Close() error {
	b.blocks.close()
	return errors.Join(b.reader.Close(), b.text.close())
}

// Encoding returns the encoding that the text is read in.
func (b *blockRows) Encoding() string { return string(b.text.encoding) }

func (b *blockRows) Next() (Raw, error) {
	if err := b.advance(len(b.current.rows)); err != nil {
		return Raw{}, err
	}
	raw := b.current.rows[b.row]
	b.row++
	raw.Record += b.records
	if raw.Line > 0 {
		raw.Line += b.lines
	}
	return raw, nil
}

// nextRecord is Next for rows that are shaped.
func (b *blockRows) nextRecord() (Record, error) {
	if err := b.advance(len(b.current.records)); err != nil {
		return Record{}, err
	}
	record := b.current.records[b.row]
	b.row++
	record.Origin.Record += b.records
	return record, nil
}

// Shaped returns what yields the records that shape makes of rows, appending
// them to what it is given; then io.EOF. Errors are those of rows and of shape,
// *RowError; those of a row come after its records. shape is called by several goroutines, of rows of text with
// numbers that start anew: a record's origin and a *RowError of shape are
// mended before they are returned. Records must keep nothing of a row but text.
func Shaped(rows Rows, shape func(Raw, []Record) ([]Record, []error)) func() (Record, error) {
	if blocks, ok := rows.(*blockRows); ok {
		blocks.shape = shape
		return blocks.nextRecord
	}
	var ready []Record
	var errs []error
	return func() (Record, error) {
		for len(ready) == 0 {
			if len(errs) > 0 {
				err := errs[0]
				errs = errs[1:]
				return Record{}, err
			}
			raw, err := rows.Next()
			if err != nil {
				ready = nil
				return Record{}, err
			}
			ready, errs = shape(raw, ready[:0])
		}
		record := ready[0]
		ready = ready[1:]
		return record, nil
	}
}

// advance makes b.row a row of the current block, which has n; or returns the
// error that comes before it.
func (b *blockRows) advance(n int) error {
	for b.err == nil {
		p := b.current
		if b.bad < len(p.bad) && p.bad[b.bad].after == b.row {
			b.bad++
			return b.place(p.bad[b.bad-1].err)
		}
		if b.row < n {
			return nil
		}
		b.turn()
		n = max(len(b.current.rows), len(b.current.records))
	}
	return b.err
}

// turn moves to the next block, after a last one to its error.
func (b *blockRows) turn() {
	p := b.current
	switch {
	case p.err != nil:
		b.err = b.place(p.err)
		return
	case p.block.err == io.EOF:
		b.err = io.EOF
		return
	case p.block.err != nil:
		b.err = final(b.name, b.records+p.count+1, 0, p.block.err)
		return
	}
	if cap(p.records) > 0 {
		b.recycle(p.records)
	}
	rest := p.block.data[len(p.block.data)-p.rest:]
	b.records += p.count
	b.lines += p.lines
	b.row, b.bad = 0, 0
	b.current = b.blocks.take()
	if len(rest) > 0 {
		b.current = b.join(rest, b.current.block)
	}
}

// recycle gives the memory of records to a later block.
func (b *blockRows) recycle(records []Record) {
	clear(records)
	s := b.spare.Get().(*scratch)
	if s.records == nil {
		s.records = records[:0]
	}
	b.spare.Put(s)
}

// join parses a block again, together with what the one before left over.
func (b *blockRows) join(rest []byte, next block) *parsed {
	next.at -= int64(len(rest))
	next.data = append(rest[:len(rest):len(rest)], next.data...)
	return b.blocks.work(next)
}

// place tells a row's error where its block stands.
func (b *blockRows) place(err *RowError) *RowError {
	placed := *err
	placed.File = b.name
	if placed.Record > 0 {
		placed.Record += b.records
	}
	if placed.Line > 0 {
		placed.Line += b.lines
	}
	return &placed
}
