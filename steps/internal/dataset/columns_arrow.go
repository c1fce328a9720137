package dataset

import (
	"math/bits"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"
	"github.com/apache/arrow/go/v17/arrow/memory"
)

// lengths are how many values the columns of a batch held.
type lengths struct {
	rows     int
	messages [3]int
}

// arrow returns the columns as a batch that shares their memory. last is what
// the batch before held, and becomes what this one does: see validity.
func (c *columns) arrow(schema *arrow.Schema, last *lengths) arrow.Record {
	rows := c.len()
	var data []arrow.ArrayData
	next := func() arrow.DataType { return schema.Field(len(data)).Type }
	for i := range c.lists() {
		data = append(data, c.messages[i].arrow(next(), rows, last.messages[i]))
		last.messages[i] = c.messages[i].len()
	}
	for i := range c.plain() {
		data = append(data, c.texts[i].arrow(next(), rows))
	}
	switch c.shape {
	case Messages, Preference, Judged:
		data = append(data, c.tools.optionalArrow(next(), rows, last.rows))
	case Segments:
		data = append(data, c.segments.arrow(next(), rows))
	}
	if c.shape == Judged {
		data = append(data, boolsArrow(next(), c.flags))
	}
	origin := next()
	data = append(data, arrayOf(origin, rows, 0, nil, c.files.arrow(fieldType(origin, 0), rows),
		arrayOf(fieldType(origin, 1), rows, 0, buffers(nil, arrow.Int64Traits.CastToBytes(c.records)))))
	last.rows = rows

	arrays := make([]arrow.Array, len(data))
	for i := range data {
		arrays[i] = array.MakeFromData(data[i])
	}
	return array.NewRecord(schema, arrays, int64(rows))
}

// arrayOf returns an array of n values; nil buffers is one of validity that says
// nothing.
func arrayOf(kind arrow.DataType, n, nulls int, buffers []*memory.Buffer, children ...arrow.ArrayData) arrow.ArrayData {
	if buffers == nil {
		buffers = []*memory.Buffer{nil}
	}
	return array.NewData(kind, n, buffers, children, nulls, 0)
}

// buffers wraps memory; nil is no buffer.
func buffers(all ...[]byte) []*memory.Buffer {
	wrapped := make([]*memory.Buffer, len(all))
	for i, b := range all {
		if b != nil {
			wrapped[i] = memory.NewBufferBytes(b)
		}
	}
	return wrapped
}

func fieldType(of arrow.DataType, i int) arrow.DataType { return of.(*arrow.StructType).Field(i).Type }

// arrow returns n offsets: they begin with 0 even when there are none.
func (o *offsets) arrow(n, end int) []byte {
	if len(*o) == 0 {
		*o = append(*o, 0)
	}
	o.pad(n, end)
	return arrow.Int32Traits.CastToBytes(*o)
}

func (c *textColumn) arrow(kind arrow.DataType, n int) arrow.ArrayData {
	return arrayOf(kind, n, 0, buffers(nil, c.ends.arrow(n, len(c.data)), c.data))
}

// optionalArrow is arrow for texts that may be missing; last is how many the
// batch before held.
func (c *textColumn) optionalArrow(kind arrow.DataType, n, last int) arrow.ArrayData {
	ends := c.ends.arrow(n, len(c.data))
	valid, nulls := newValidity(n, last, 0), 0
	if len(c.data) == 0 {
		nulls = n
	} else {
		for i := range n {
			if c.ends[i+1] > c.ends[i] {
				valid.set(i)
			} else {
				nulls++
			}
		}
	}
	return arrayOf(kind, n, nulls, buffers(valid, ends, c.data))
}

// validity is a bitmap of which values are there.
type validity []byte

// newValidity returns the bitmap of n values that are missing. Its length is
// part of what is written, and that of Arrow's builders, whose memory doubles as
// they are filled one by one: it has room for a power of two, at least for least
// values and for more than the batch before held, but is not longer than Arrow
// pads it to (64 bytes) when it is cut.
func newValidity(n, last, least int) validity {
	if n == 0 {
		return nil
	}
	room := max(2, least, 1<<bits.Len(uint(n-1)))
	if last > 0 {
		room = max(room, 1<<bits.Len(uint(last)))
	}
	return make(validity, min((room+7)/8, (n+511)/512*64))
}

func (v validity) set(i int) { v[i/8] |= 1 << (i % 8) }

func (m *messageColumns) arrow(kind arrow.DataType, rows, last int) arrow.ArrayData {
	item, n := kind.(*arrow.ListType).Elem(), m.len()
	children := []arrow.ArrayData{m.role.arrow(fieldType(item, 0), n), m.content.arrow(fieldType(item, 1), n)}
	for _, c := range []*textColumn{&m.name, &m.calls} {
		children = append(children, c.optionalArrow(fieldType(item, len(children)), n, last))
	}
	children = append(children, m.weightsArrow(fieldType(item, 4), last))
	for _, c := range []*textColumn{&m.reasoning, &m.answers} {
		children = append(children, c.optionalArrow(fieldType(item, len(children)), n, last))
	}
	return arrayOf(kind, rows, 0, buffers(nil, m.ends.arrow(rows, n)), arrayOf(item, n, 0, nil, children...))
}

// leastNumbers is what Arrow's builders of numbers have room for at least.
const leastNumbers = 32

func (m *messageColumns) weightsArrow(kind arrow.DataType, last int) arrow.ArrayData {
	n := m.len()
	valid, values := newValidity(n, last, leastNumbers), make([]float64, n)
	for _, w := range m.weights {
		valid.set(w.message)
		values[w.message] = w.weight
	}
	return arrayOf(kind, n, n-len(m.weights), buffers(valid, arrow.Float64Traits.CastToBytes(values)))
}

func (s *segmentColumns) arrow(kind arrow.DataType, rows int) arrow.ArrayData {
	item, n := kind.(*arrow.ListType).Elem(), len(s.train)
	return arrayOf(kind, rows, 0, buffers(nil, s.ends.arrow(rows, n)),
		arrayOf(item, n, 0, nil, s.text.arrow(fieldType(item, 0), n), boolsArrow(fieldType(item, 1), s.train)))
}

func boolsArrow(kind arrow.DataType, values []bool) arrow.ArrayData {
	packed := make(validity, (len(values)+7)/8)
	for i, value := range values {
		if value {
			packed.set(i)
		}
	}
	return arrayOf(kind, len(values), 0, buffers(nil, packed))
}
