package dataset

import (
	"slices"
	"sort"
)

// columns hold records of one shape as Arrow lays them out: a text stands in the
// bytes of its column, and where it ends in a list beside them.
//
// A column of texts that may be missing can be shorter than the rows: what it
// lacks is missing. So it costs nothing where no row has such a text.
type columns struct {
	shape    Shape
	messages [3]messageColumns // or, of Preference, the prompt, chosen, rejected
	texts    [2]textColumn     // prompt and completion, or text
	tools    textColumn        // may be short
	flags    []bool            // desirable
	segments segmentColumns
	records  []int64 // of the origin; as many as there are rows

	file  string     // of the origin of all rows; or
	files textColumn // of each, where file is ""
}

// messageColumns hold a list of messages per row.
type messageColumns struct {
	ends                            offsets // in messages, per row
	role, content                   textColumn
	name, calls, reasoning, answers textColumn // may be short
	weights                         []messageShare
}

// messageShare is the weight of one message.
type messageShare struct {
	message int
	weight  float64
}

// segmentColumns hold a list of segments per row.
type segmentColumns struct {
	ends  offsets // in segments, per row
	text  textColumn
	train []bool
}

// offsets begin with 0, and say where each of some spans ends.
type offsets []int32

func (o offsets) len() int { return max(len(o)-1, 0) }

// from is where span i starts; after the last one, where that ends.
func (o offsets) from(i int) int {
	if len(o) == 0 {
		return 0
	}
	return int(o[min(i, len(o)-1)])
}

// add ends a span.
func (o *offsets) add(end int) {
	if len(*o) == 0 {
		*o = append(*o, 0)
	}
	*o = append(*o, int32(end))
}

// pad ends empty spans until there are n.
func (o *offsets) pad(n, end int) {
	if missing := n - o.len(); missing > 0 {
		*o = slices.Grow(*o, missing+1)
		for o.len() < n {
			o.add(end)
		}
	}
}

// move appends the ends of the spans i to j of from, shifted so that the first
// starts at a place.
func (o *offsets) move(from offsets, i, j, start int) {
	if len(*o) == 0 {
		*o = append(*o, 0)
	}
	shift := int32(start - from.from(i))
	at := len(*o)
	*o = slices.Grow(*o, j-i)[:at+j-i]
	added := (*o)[at:]
	for k, end := range from[i+1 : j+1] {
		added[k] = end + shift
	}
}

// textColumn holds texts one after another.
type textColumn struct {
	ends offsets
	data []byte
}

func (c *textColumn) add(text string) {
	c.data = append(c.data, text...)
	c.ends.add(len(c.data))
}

// end makes what was put into data since the last text one.
func (c *textColumn) end() { c.ends.add(len(c.data)) }

// addOptional adds text i, unless it is missing.
func (c *textColumn) addOptional(i int, text string) {
	if text != "" {
		c.ends.pad(i, len(c.data))
		c.add(text)
	}
}

// at returns text i, in memory that belongs to the column.
func (c *textColumn) at(i int) string {
	if i >= c.ends.len() {
		return ""
	}
	return view(c.data[c.ends[i]:c.ends[i+1]])
}

// size is the bytes of the texts i to j.
func (c *textColumn) size(i, j int) int { return c.ends.from(j) - c.ends.from(i) }

// cut leaves the first n texts.
func (c *textColumn) cut(n int) {
	if c.ends.len() > n {
		c.ends = c.ends[:n+1]
	}
	c.data = c.data[:c.ends.from(c.ends.len())]
}

// copy appends the texts i to j of from as those at a place on; what from lacks
// stays missing.
func (c *textColumn) copy(at int, from *textColumn, i, j int) {
	j = min(j, from.ends.len())
	if i >= j {
		return
	}
	c.ends.pad(at, len(c.data))
	start, end := from.ends.from(i), from.ends.from(j)
	c.ends.move(from.ends, i, j, len(c.data))
	c.data = append(c.data, from.data[start:end]...)
}

func (c *textColumn) reset() { c.cut(0); c.data = c.data[:0] }

// texts lists the columns of text; the first two are never short.
func (m *messageColumns) texts() [6]*textColumn {
	return [6]*textColumn{&m.role, &m.content, &m.name, &m.calls, &m.reasoning, &m.answers}
}

// len is the number of messages, those of a row that is not ended included.
func (m *messageColumns) len() int { return m.content.ends.len() }

func (m *messageColumns) add(messages []Message) {
	for _, message := range messages {
		i := m.len()
		m.role.add(message.Role)
		m.content.add(message.Content)
		m.name.addOptional(i, message.Name)
		m.calls.addOptional(i, message.ToolCalls)
		m.reasoning.addOptional(i, message.Reasoning)
		m.answers.addOptional(i, message.ToolCallID)
		if message.Weight != nil {
			m.weights = append(m.weights, messageShare{i, *message.Weight})
		}
	}
	m.ends.add(m.len())
}

// cut leaves the messages of the first rows.
func (m *messageColumns) cut(rows int) {
	if m.ends.len() > rows {
		m.ends = m.ends[:rows+1]
	}
	n := m.ends.from(rows)
	for _, c := range m.texts() {
		c.cut(n)
	}
	m.weights = m.weights[:m.weightsBefore(n)]
}

// weightsBefore is how many of the messages before one have a weight.
func (m *messageColumns) weightsBefore(message int) int {
	return sort.Search(len(m.weights), func(i int) bool { return m.weights[i].message >= message })
}

// size is the bytes that the messages of the rows i to j count.
func (m *messageColumns) size(i, j int) int {
	i, j = m.ends.from(i), m.ends.from(j)
	size := messageBytes * (j - i)
	for _, c := range m.texts() {
		size += c.size(i, j)
	}
	return size
}

func (m *messageColumns) copy(from *messageColumns, i, j int) {
	at := m.len()
	m.ends.move(from.ends, i, j, at)
	i, j = from.ends.from(i), from.ends.from(j)
	to, texts := m.texts(), from.texts()
	for k := range to {
		to[k].copy(at, texts[k], i, j)
	}
	for _, w := range from.weights[from.weightsBefore(i):from.weightsBefore(j)] {
		m.weights = append(m.weights, messageShare{w.message - i + at, w.weight})
	}
}

// row returns the messages of a row.
func (m *messageColumns) row(i int) []Message {
	from, to := m.ends.from(i), m.ends.from(i+1)
	messages := make([]Message, 0, to-from)
	for i := from; i < to; i++ {
		messages = append(messages, Message{
			Role: m.role.at(i), Content: m.content.at(i), Name: m.name.at(i),
			ToolCalls: m.calls.at(i), Reasoning: m.reasoning.at(i), ToolCallID: m.answers.at(i),
		})
	}
	for _, w := range m.weights[m.weightsBefore(from):m.weightsBefore(to)] {
		messages[w.message-from].Weight = &w.weight
	}
	return messages
}

// lists are the columns of messages that a shape has.
func (c *columns) lists() []messageColumns {
	switch c.shape {
	case Messages, Judged:
		return c.messages[:1]
	case Preference:
		return c.messages[:]
	}
	return nil
}

// plain are the columns of text, never short, that a shape has.
func (c *columns) plain() []textColumn {
	switch c.shape {
	case Text:
		return c.texts[:1]
	case PromptCompletion:
		return c.texts[:]
	}
	return nil
}

// len is the number of rows.
func (c *columns) len() int { return len(c.records) }

// add appends a record, whose shape is that of the columns.
func (c *columns) add(r Record) {
	row := c.len()
	switch lists := c.lists(); len(lists) {
	case 1:
		lists[0].add(r.Messages)
	case 3:
		lists[0].add(r.Messages)
		lists[1].add(r.Chosen)
		lists[2].add(r.Rejected)
	}
	c.tools.addOptional(row, r.Tools)
	switch c.shape {
	case PromptCompletion:
		c.texts[0].add(r.Prompt)
		c.texts[1].add(r.Completion)
	case Text:
		c.texts[0].add(r.Text)
	case Judged:
		c.flags = append(c.flags, r.Desirable)
	case Segments:
		c.segments.add(r.Segments)
	}
	if c.file == "" {
		c.files.add(r.Origin.File)
	}
	c.records = append(c.records, r.Origin.Record)
}

func (s *segmentColumns) add(segments []Segment) {
	for _, segment := range segments {
		s.text.add(segment.Text)
		s.train = append(s.train, segment.Train)
	}
	s.ends.add(len(s.train))
}

// undo takes back what was put into the row after the last whole one.
func (c *columns) undo() {
	rows := c.len()
	for i := range c.lists() {
		c.messages[i].cut(rows)
	}
	for i := range c.plain() {
		c.texts[i].cut(rows)
	}
	c.tools.cut(rows)
}

// drop takes back the last row, which a quickRow read.
func (c *columns) drop() {
	c.records = c.records[:len(c.records)-1]
	c.undo()
}

// reset takes back everything.
func (c *columns) reset() {
	for i := range c.messages {
		m := &c.messages[i]
		m.ends, m.weights = m.ends[:0], m.weights[:0]
		for _, text := range m.texts() {
			text.reset()
		}
	}
	c.texts[0].reset()
	c.texts[1].reset()
	c.tools.reset()
	c.files.reset()
	c.segments.text.reset()
	c.segments.ends, c.segments.train = c.segments.ends[:0], c.segments.train[:0]
	c.flags, c.records = c.flags[:0], c.records[:0]
}

// copy appends the rows i to j of from, a shift added to their numbers.
func (c *columns) copy(from *columns, i, j int, shift int64) {
	row := c.len()
	for k := range c.lists() {
		c.messages[k].copy(&from.messages[k], i, j)
	}
	for k := range c.plain() {
		c.texts[k].copy(row, &from.texts[k], i, j)
	}
	c.tools.copy(row, &from.tools, i, j)
	switch c.shape {
	case Judged:
		c.flags = append(c.flags, from.flags[i:j]...)
	case Segments:
		s, start := &from.segments, from.segments.ends.from(i)
		at := c.segments.text.ends.len()
		c.segments.ends.move(s.ends, i, j, at)
		c.segments.text.copy(at, &s.text, start, s.ends.from(j))
		c.segments.train = append(c.segments.train, s.train[start:s.ends.from(j)]...)
	}
	for k := i; k < j; k++ {
		c.records = append(c.records, from.records[k]+shift)
		if c.file == "" {
			c.files.add(from.fileOf(k))
		}
	}
}

func (c *columns) fileOf(row int) string {
	if c.file != "" {
		return c.file
	}
	return c.files.at(row)
}

// record returns a row. Its text belongs to the columns.
func (c *columns) record(i int) Record {
	r := Record{Shape: c.shape, Tools: c.tools.at(i), Origin: Origin{File: c.fileOf(i), Record: c.records[i]}}
	switch c.shape {
	case Messages:
		r.Messages = c.messages[0].row(i)
	case Preference:
		r.Messages, r.Chosen, r.Rejected = c.messages[0].row(i), c.messages[1].row(i), c.messages[2].row(i)
	case PromptCompletion:
		r.Prompt, r.Completion = c.texts[0].at(i), c.texts[1].at(i)
	case Text:
		r.Text = c.texts[0].at(i)
	case Judged:
		r.Messages, r.Desirable = c.messages[0].row(i), c.flags[i]
	case Segments:
		s := &c.segments
		for k := s.ends.from(i); k < s.ends.from(i+1); k++ {
			r.Segments = append(r.Segments, Segment{Text: s.text.at(k), Train: s.train[k]})
		}
	}
	return r
}

// size is what Record.size says of the rows i to j together.
func (c *columns) size(i, j int) int {
	n := recordBytes*(j-i) + c.tools.size(i, j)
	for k := range c.lists() {
		n += c.messages[k].size(i, j)
	}
	for k := range c.plain() {
		n += c.texts[k].size(i, j)
	}
	if c.shape == Segments {
		from, to := c.segments.ends.from(i), c.segments.ends.from(j)
		n += c.segments.text.size(from, to) + segmentBytes*(to-from)
	}
	if c.file != "" {
		return n + (j-i)*len(c.file)
	}
	return n + c.files.size(i, j)
}
