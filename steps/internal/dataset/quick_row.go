package dataset

// quickRow reads rows by a quickPlan.
type quickRow struct {
	plan *quickPlan
	json quickJSON
	to   *columns

	seen  uint32            // places that a field was met for
	texts [maxPlaces]quoted // of the text slots; empty for null
	nulls uint32            // places that hold null

	systemRead bool // turns began with the system prompt of a column
}

// read reads the object that comes next as a row into to, and notes its number.
// When it returns false, to is as it was.
func (q *quickRow) read(number int64) bool {
	if q.object() && q.plan.build(q) {
		for i := range q.to.lists() {
			m := &q.to.messages[i]
			m.ends.add(m.len())
		}
		q.to.records = append(q.to.records, number)
		return true
	}
	q.to.undo()
	return false
}

func (q *quickRow) object() bool {
	q.seen, q.nulls = 0, 0
	more, ok := q.json.begun('{', '}')
	for more && ok {
		name, isKey := q.json.key()
		if !isKey || !q.field(q.plan.find(name)) {
			return false
		}
		more, ok = q.json.more('}')
	}
	return ok
}

// field reads the value of a field.
func (q *quickRow) field(s slot) bool {
	bit := uint32(1) << s.place
	switch s.kind {
	case unreadSlot:
		return q.json.skip(1)
	case emptySlot:
		if s.place < maxPlaces {
			if q.seen&bit != 0 {
				return false
			}
			q.seen |= bit
		}
		return q.nothing()
	}
	if q.seen&bit != 0 {
		return false
	}
	q.seen |= bit
	if s.kind == turnsSlot {
		return q.turns()
	}
	if q.json.null() {
		q.nulls |= bit
		q.texts[s.place] = quoted{}
		return true
	}
	text, ok := q.json.str()
	q.texts[s.place] = text
	return ok
}

// nothing reads null, "" or [].
func (q *quickRow) nothing() bool {
	switch q.json.peek() {
	case 'n':
		return q.json.null()
	case '"':
		s, ok := q.json.str()
		return ok && s.from == s.to
	case '[':
		more, ok := q.json.begun('[', ']')
		return ok && !more
	}
	return false
}

// has tells whether a place holds a string, not null.
func (q *quickRow) has(place int) bool { return (q.seen&^q.nulls)&(1<<place) != 0 }

// filled tells whether a place holds a string that is not empty.
func (q *quickRow) filled(place int) bool {
	return q.has(place) && q.texts[place].from < q.texts[place].to
}

// add appends what a place holds to a column's data, without ending the text.
func (q *quickRow) add(c *textColumn, place int) (ok bool) {
	c.data, ok = q.json.text(c.data, q.texts[place])
	return ok
}

// isFilled tells text with more than white space.
func isFilled(text []byte) bool {
	if len(text) > 0 && text[0] > ' ' && text[0] < 0x7f {
		return true
	}
	return !isBlank(view(text))
}

// message appends a message made of a place and, on a line of its own, of another
// where that is filled; it must hold more than white space.
func (q *quickRow) message(to *messageColumns, role string, place, input int) bool {
	from := len(to.content.data)
	if !q.has(place) || !q.add(&to.content, place) {
		return false
	}
	if input >= 0 && q.filled(input) {
		to.content.data = append(to.content.data, '\n')
		if !q.add(&to.content, input) {
			return false
		}
	}
	if !isFilled(to.content.data[from:]) {
		return false
	}
	to.role.add(role)
	to.content.end()
	return true
}

// system appends a system message where a place is filled.
func (q *quickRow) system(to *messageColumns, place int) bool {
	if !q.filled(place) {
		return true
	}
	to.role.add("system")
	ok := q.add(&to.content, place)
	to.content.end()
	return ok
}

// The places are those of the columns in specOf and specOfVendor.

func (q *quickRow) alpaca() bool {
	const instruction, input, output, system = 0, 1, 2, 3
	m := &q.to.messages[0]
	return q.system(m, system) && q.message(m, "user", instruction, input) && q.message(m, "assistant", output, -1)
}

func (q *quickRow) spark() bool {
	const input, target, system = 0, 1, 2
	m := &q.to.messages[0]
	return q.system(m, system) && q.message(m, "user", input, -1) && q.message(m, "assistant", target, -1)
}

func (q *quickRow) preference() bool {
	const prompt, input, chosen, rejected, system = 0, 1, 2, 3, 4
	if !q.system(&q.to.messages[0], system) || !q.message(&q.to.messages[0], "user", prompt, input) {
		return false
	}
	better, worse := &q.to.messages[1], &q.to.messages[2]
	if !q.message(better, "assistant", chosen, -1) || !q.message(worse, "assistant", rejected, -1) {
		return false
	}
	return better.content.at(better.len()-1) != worse.content.at(worse.len()-1)
}

func (q *quickRow) promptCompletion() bool {
	const prompt, completion = 0, 1
	for place := range q.to.texts {
		if !q.has(place) || !q.add(&q.to.texts[place], place) {
			return false
		}
		q.to.texts[place].end()
	}
	c := &q.to.texts[completion]
	return isFilled(c.data[c.ends.from(c.ends.len()-1):])
}

func (q *quickRow) text() bool {
	c := &q.to.texts[0]
	if !q.has(0) || !q.add(c, 0) {
		return false
	}
	c.end()
	return isFilled(c.data[c.ends.from(c.ends.len()-1):])
}
