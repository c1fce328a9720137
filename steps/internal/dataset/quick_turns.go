package dataset

// Places of sharegpt's columns; messages has its turns at 0 too.
const (
	turnsPlace  = 0
	systemPlace = 3
)

// conversation is what turns has read.
func (q *quickRow) conversation() bool {
	return q.has(turnsPlace) && (!q.plan.takeTurns || q.systemRead || !q.filled(systemPlace))
}

// turns reads a conversation into the messages, after the system prompt that a
// column before it holds.
func (q *quickRow) turns() bool {
	m := &q.to.messages[0]
	first, last, learnt := m.len(), "", false
	q.systemRead = q.plan.takeTurns && q.filled(systemPlace)
	if q.systemRead {
		if !q.system(m, systemPlace) {
			return false
		}
		last = "system"
	}
	more, ok := q.json.begun('[', ']')
	if !more {
		return false
	}
	for more && ok {
		i := m.len()
		role := q.turn(m)
		switch {
		case role == "",
			role == "system" && i > first,
			q.plan.takeTurns && i > first && last != "system" && (role == "assistant") == (last == "assistant"):
			return false
		case role == "assistant" && !learnt:
			learnt = isFilled(m.content.data[m.content.ends.from(i):])
		}
		last = role
		more, ok = q.json.more(']')
	}
	return ok && learnt
}

// The fields of a message that are read beside its role and text.
const (
	nameField uint = 1 << iota
	callIDField
	callsField
	reasoningField
	weightField
	roleField
	contentField
)

// messageField tells which field of a message a name is. There are several of
// one kind.
func messageField(name []byte, shareGPT bool) uint {
	switch string(name) {
	case "reasoning_content", "reasoning", "thinking":
		return reasoningField
	case "train", "weight", "loss_weight":
		return weightField
	}
	if shareGPT {
		return 0
	}
	switch string(name) {
	case "name":
		return nameField
	case "tool_call_id":
		return callIDField
	case "tool_calls", "function_call":
		return callsField
	}
	return 0
}

// collide tells whether a message's role or text is called like another field.
func (n turnNames) collide() bool {
	return n.role != "" && n.role == n.content || messageField([]byte(n.role), false) != 0 || messageField([]byte(n.content), false) != 0
}

// turn reads a message and returns its role, "" when it was not read.
func (q *quickRow) turn(m *messageColumns) string {
	i, role, seen := m.len(), "", uint(0)
	names := &q.plan.turns
	more, ok := q.json.begun('{', '}')
	for more && ok {
		name, isKey := q.json.key()
		if !isKey {
			return ""
		}
		switch {
		case string(name) == names.content:
			if seen&contentField != 0 {
				return ""
			}
			seen |= contentField
			s, isText := q.json.str()
			if !isText {
				return ""
			}
			if m.content.data, ok = q.json.text(m.content.data, s); !ok {
				return ""
			}
			m.content.end()
		case string(name) == names.role:
			s, isText := q.json.str()
			if !isText || s.escaped || role != "" {
				return ""
			}
			if role = q.plan.role(q.json.b[s.from:s.to]); role == "" {
				return ""
			}
		default:
			kind := messageField(name, q.plan.takeTurns)
			if !q.aside(m, i, kind, &seen) {
				return ""
			}
		}
		more, ok = q.json.more('}')
	}
	if !ok || role == "" || seen&contentField == 0 || seen&reasoningField != 0 && role != "assistant" {
		return ""
	}
	m.role.add(role)
	return role
}

// aside reads a field of message i beside its role and text. A name and what an
// assistant thought are kept; everything else that is read must be null.
func (q *quickRow) aside(m *messageColumns, i int, kind uint, seen *uint) bool {
	if kind == 0 {
		return q.json.skip(3)
	}
	if q.json.null() {
		return *seen&kind == 0
	}
	var to *textColumn
	switch kind {
	case nameField:
		to = &m.name
	case reasoningField:
		if !q.plan.keepReasoning {
			return false
		}
		to = &m.reasoning
	default:
		return false
	}
	s, ok := q.json.str()
	if !ok || *seen&kind != 0 {
		return false
	}
	if q.json.waste, ok = q.json.text(q.json.waste[:0], s); !ok {
		return false
	}
	if kind == reasoningField && !isFilled(q.json.waste) {
		return true
	}
	to.addOptional(i, view(q.json.waste))
	*seen |= kind
	return true
}
