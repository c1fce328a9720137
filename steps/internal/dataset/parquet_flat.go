package dataset

import (
	"encoding/binary"
	"errors"
	"sync"
	"unicode/utf8"
)

// flatBatch is how many values of a flat column are decoded at a time.
const flatBatch = 1024

// maxAhead bounds the columns that are decoded ahead, each in a goroutine of its
// own.
const maxAhead = 64

// isFlat reports whether a column of the root has one value, or null, in every
// row.
func (n *parquetNode) isFlat() bool { return len(n.children) == 0 && n.maxRep == 0 }

// flatValue is a Value that is no list and no object.
type flatValue struct {
	kind Kind
	bool bool
	text string
}

// flatValues are the next values of a flat column.
type flatValues struct {
	values []flatValue
	bad    []flatError // in order
	err    error       // comes after them
}

// flatError is a text that is none.
type flatError struct {
	at  int
	err *textError
}

// flatColumn yields the values of a flat column of a row group, decoded in
// batches, ahead of their use when there are threads for it.
type flatColumn struct {
	reader *columnReader
	flatValues
	next int

	ahead chan flatValues  // nil when nothing is decoded ahead
	spare chan []flatValue // memory of batches that were used
}

// start decodes ahead until stop is closed; wait waits for it.
func (f *flatColumn) start(stop chan struct{}, wait *sync.WaitGroup) {
	f.ahead, f.spare = make(chan flatValues, 1), make(chan []flatValue, 3)
	wait.Go(func() {
		for {
			var memory []flatValue
			select {
			case memory = <-f.spare:
			default:
			}
			batch := f.reader.batch(memory)
			select {
			case f.ahead <- batch:
			case <-stop:
				return
			}
			if batch.err != nil {
				return
			}
		}
	})
}

var errColumnEnds = errors.New("the column ends before its rows")

// value puts the next value into to, which is null. A *textError leaves the
// column in step.
func (f *flatColumn) value(to *Value) error {
	for f.next == len(f.values) {
		if f.err != nil {
			return f.err
		}
		if f.ahead == nil {
			f.flatValues = f.reader.batch(f.values)
		} else {
			select {
			case f.spare <- f.values:
			default:
			}
			f.flatValues = <-f.ahead
		}
		f.next = 0
	}
	i := f.next
	f.next++
	if len(f.bad) > 0 && f.bad[0].at == i {
		err := *f.bad[0].err
		f.bad = f.bad[1:]
		return &err
	}
	v := &f.values[i]
	to.Kind, to.Bool, to.Text = v.kind, v.bool, v.text
	return nil
}

// batch decodes the next values, of one page, into memory if it is enough.
func (c *columnReader) batch(memory []flatValue) (out flatValues) {
	for c.entries == 0 {
		if c.left <= 0 {
			return flatValues{err: errColumnEnds}
		}
		if err := c.turn(); err != nil {
			return flatValues{err: err}
		}
	}
	n := min(c.entries, flatBatch)
	if out.values = memory[:cap(memory)]; len(out.values) < n {
		out.values = make([]flatValue, flatBatch)
	}
	out.values = out.values[:n]
	clear(out.values)
	for i := 0; i < n && out.err == nil; {
		there, run, err := c.levelRun(n - i)
		if err == nil && there {
			run, err = c.fill(out.values[i:i+run], i, &out)
		}
		i += run
		if err != nil {
			out.values, out.err = out.values[:i], err
		}
	}
	c.entries -= len(out.values)
	return out
}

// levelRun returns how many of the next entries, n at most, have a value, or
// how many have none.
func (c *columnReader) levelRun(n int) (there bool, run int, err error) {
	if c.defs == nil {
		return true, n, nil
	}
	level, run, err := c.defs.nextRun(n)
	if err == nil && int(level) > c.leaf.maxDef {
		err = errors.New("a level that is not possible")
	}
	return int(level) == c.leaf.maxDef, run, err
}

// fill decodes values into to, which starts at the batch's at, and returns how
// many were decoded.
func (c *columnReader) fill(to []flatValue, at int, out *flatValues) (int, error) {
	plain, isPlain := c.values.(*plainCells)
	if isPlain && c.leaf.physical == physByteArray && c.leaf.isText() {
		return plain.texts(to, at, out)
	}
	for i := range to {
		cell, err := c.values.next()
		if err != nil {
			return i, err
		}
		if cell.text { // was checked with its dictionary
			to[i].kind, to[i].text = String, view(cell.bytes)
			continue
		}
		v, err := c.leaf.value(cell)
		to[i] = flatValue{v.Kind, v.Bool, v.Text}
		if err != nil {
			var text *textError
			if !errors.As(err, &text) {
				return i, err
			}
			out.bad = append(out.bad, flatError{at + i, text})
		}
	}
	return len(to), nil
}

// texts reads strings as parts of the page.
func (p *plainCells) texts(to []flatValue, at int, out *flatValues) (int, error) {
	b := p.b
	for i := range to {
		if len(b) < 4 {
			return i, errPageEnds
		}
		n := binary.LittleEndian.Uint32(b)
		if uint64(n) > uint64(len(b)-4) {
			return i, errPageEnds
		}
		text := b[4 : 4+n]
		b = b[4+n:]
		if !utf8.Valid(text) {
			out.bad = append(out.bad, flatError{at + i, badText(text)})
			continue
		}
		to[i].kind, to[i].text = String, view(text)
	}
	p.b = b
	return len(to), nil
}

// nextRun returns the next integer and how many times it comes, up to n.
func (r *rle) nextRun(n int) (value uint32, run int, err error) {
	if r.left > 0 && r.group == nil {
		run = int(min(uint64(n), r.left))
		r.left -= uint64(run)
		return r.value, run, nil
	}
	if value, err = r.next(); err != nil {
		return 0, 0, err
	}
	if r.group == nil { // a run of equal values has begun
		more := int(min(uint64(n-1), r.left))
		r.left -= uint64(more)
		return value, 1 + more, nil
	}
	return value, 1, nil
}
