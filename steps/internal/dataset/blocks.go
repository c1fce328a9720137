package dataset

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
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
	memory []byte // that data is the beginning of; nil when it is not used again
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
	pool *bufferPool // nil when blocks are never used again
}

// next returns the next block; the one with an error is the last.
func (c *cutter) next() block {
	buf := append(c.pool.get(2*len(c.rest)), c.rest...)
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
	b := block{data: buf[:end:end], memory: buf, at: c.at, err: err}
	c.rest = append(c.rest[:0], buf[end:]...) // the block's memory may be used again
	c.at += int64(end)
	return b
}

// bufferPool keeps the memory of blocks that nothing refers to any more.
type bufferPool struct{ free chan []byte }

// newBufferPool returns a pool for as many blocks as threads have in work.
func newBufferPool(threads int) *bufferPool {
	return &bufferPool{make(chan []byte, 2*threads+2)}
}

// get returns an empty buffer for a block, of at least a size.
func (p *bufferPool) get(size int) []byte {
	if p != nil && size <= blockBytes {
		select {
		case b := <-p.free:
			return b[:0]
		default:
		}
	}
	return make([]byte, 0, max(blockBytes, size))
}

// put takes a block's memory.
func (p *bufferPool) put(b []byte) {
	if cap(b) == blockBytes {
		select {
		case p.free <- b:
		default:
		}
	}
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
	columns *columns // in place of both, when there is a quick plan
	bad     []badRow // in order
	held    bool     // one of bad has a value
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
	checked bool // json knows whether the block is UTF-8

	shape func(Raw, []Record) ([]Record, []error) // nil when rows are wanted
	quick *quickRow                               // nil when there is no quick plan
}

func newScratch() *scratch { return &scratch{json: jsonParser{slab: slab{chunk: slabFields}}} }

func (s *scratch) begin(b block) *parsed {
	s.json.slab.reset()
	s.checked = false
	p := &parsed{block: b, rows: s.rows[:0]}
	if s.quick != nil {
		p.columns, s.quick.json.b = s.quick.to, b.data
	}
	return p
}

// parser returns a parser for parts of b.
func (s *scratch) parser(b block) *jsonParser {
	if !s.checked {
		s.checked, s.json.valid = true, utf8.Valid(b.data)
	}
	return &s.json
}

// shapeRows puts the rows of p, which the quick plan did not read, into its
// columns.
func (s *scratch) shapeRows(p *parsed) {
	if s.quick == nil {
		return
	}
	for _, raw := range p.rows {
		var errs []error
		s.records, errs = s.shape(raw, s.records[:0])
		for _, r := range s.records {
			p.columns.add(r)
		}
		for _, err := range errs {
			p.refuse(p.columns.len(), err, raw)
		}
	}
	p.rows = p.rows[:0]
	s.json.slab.reset()
}

// badRow is an error and how many rows come before it.
type badRow struct {
	after int
	err   *RowError
}

func (p *parsed) reject(record, line int64, field, what string) {
	after := len(p.rows)
	if p.columns != nil {
		after = p.columns.len()
	}
	p.bad = append(p.bad, badRow{after, &RowError{Record: record, Line: line, Field: field, What: what}})
}

// refuse notes what shaping a row says of it. Only the first value that is the
// wrong one is kept, in memory of its own: that of rows is used again.
func (p *parsed) refuse(after int, err error, raw Raw) {
	row := rowError(err, raw)
	row.Field, row.What = strings.Clone(row.Field), strings.Clone(row.What)
	if keep := !p.held && !row.Left && row.Value != nil; keep {
		value := row.Value.clone()
		row.Value, p.held = &value, true
	} else {
		row.Value = nil
	}
	p.bad = append(p.bad, badRow{after, row})
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
	quick   *quickPlan
	file    string      // of the records of quick
	pool    *bufferPool // of blocks; nil when their memory is not used again
	spare   sync.Pool   // of *scratch
	emptied sync.Pool   // of *columns
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
		if b.quick != nil {
			return b.workQuick(k, s, parse)
		}
		p := parse(k, s)
		s.rows, p.records, s.records = p.rows, s.records, nil
		p.shape(b.shape)
		return p
	}}
	return b
}

// workQuick parses a block into columns, and gives its memory back.
func (b *blockRows) workQuick(k block, s *scratch, parse func(block, *scratch) *parsed) *parsed {
	if s.quick == nil {
		s.shape, s.quick = b.shape, &quickRow{plan: b.quick}
	}
	s.quick.to, _ = b.emptied.Get().(*columns)
	if s.quick.to == nil {
		s.quick.to = &columns{shape: b.quick.shape, file: b.file}
	}
	p := parse(k, s)
	s.rows, p.rows = p.rows, nil
	s.quick.to = nil
	b.pool.put(k.memory)
	p.block.data, p.block.memory = nil, nil
	return p
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
			p.refuse(len(records), err, raw)
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

// nextRun is Next for rows that are shaped.
func (b *blockRows) nextRun() (Run, error) {
	if err := b.advance(b.current.len()); err != nil {
		return Run{}, err
	}
	p, from := b.current, b.row
	b.row = p.len()
	if b.bad < len(p.bad) {
		b.row = min(b.row, p.bad[b.bad].after)
	}
	if p.columns != nil {
		return Run{columns: p.columns, from: from, to: b.row, shift: b.records}, nil
	}
	run := Run{records: p.records[from:b.row]}
	for i := range run.records {
		run.records[i].Origin.Record += b.records
	}
	return run, nil
}

// len is the number of rows, or of records made of them.
func (p *parsed) len() int {
	if p.columns != nil {
		return p.columns.len()
	}
	return max(len(p.rows), len(p.records))
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
		n = b.current.len()
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
	if c := p.columns; c != nil && c.size(0, c.len()) <= 2*blockBytes {
		c.reset()
		b.emptied.Put(c)
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
