package regex

import "unicode/utf8"

// machine runs a program on one text.
type machine struct {
	code  []instr
	s     string
	stack []frame
	steps int

	memo map[int][]int32 // by page of places, then place and instruction; nil: off
	runs map[int]stretch // by instruction: where the last long opRun went
}

// stretch is a part of the text all of whose characters a run takes, and the next
// does not.
type stretch struct{ lo, hi int }

// frame is a way not tried yet or, if result, a place whose result is awaited.
type frame struct {
	pc, pos int
	result  bool
}

// Results are remembered once a search has taken so many steps, and so many for
// each byte before it, which few do.
const (
	freeSteps = 1 << 12
	perByte   = 64
	pageSize  = 64      // places
	longRun   = 32      // bytes; shorter runs are read anew
	mostMemo  = 1 << 26 // results; when there are more they are found anew
)

// search returns the first match at or after byte i, or -1.
func (m *machine) search(first *set, i int) (lo, hi int) {
	for ; i <= len(m.s); i += runeSize(m.s, i) {
		if first != nil && first.at(m.s, i) == 0 {
			continue
		}
		if hi := m.run(0, i); hi >= 0 {
			return i, hi
		}
	}
	return -1, -1
}

// run returns where the match of the part that begins at pc ends, or -1.
func (m *machine) run(pc, pos int) int {
	base := len(m.stack)
	for {
		m.steps++
		if m.memo == nil && m.steps > freeSteps+perByte*pos {
			m.memo = map[int][]int32{}
		}
		in := &m.code[pc]
		ok := true
		switch in.op {
		case opMatch:
			return m.succeed(base, pos)
		case opChar:
			n := in.set.at(m.s, pos)
			pos, ok = pos+n, n > 0
			pc++
		case opRun:
			pos, ok = m.takeRun(pc, pos)
			pc++
		case opJump:
			pc = in.x
		case opAssert:
			ok = m.holds(in.kind, pos)
			pc++
		case opSplit:
			if end, known := m.recall(pc, pos); known {
				if ok = end >= 0; ok {
					return m.succeed(base, end)
				}
				break
			}
			m.stack = append(m.stack, frame{pc: in.y, pos: pos})
			pc = in.x
		default:
			pos, ok = m.ask(pc, pos)
			pc = in.x
		}
		if !ok {
			if pc, pos, ok = m.back(base); !ok {
				return -1
			}
		}
	}
}

// takeRun returns where the run of instruction pc that begins at pos ends, and
// whether it is long enough. A run within one taken before ends where that did,
// so that runs from many places do not read the same text again and again.
func (m *machine) takeRun(pc, pos int) (int, bool) {
	in := &m.code[pc]
	known := m.runs[pc]
	count, from := 0, pos
	for n := in.set.at(m.s, pos); n > 0; n = in.set.at(m.s, pos) {
		if count >= in.y && known.lo <= pos && pos < known.hi {
			return known.hi, true
		}
		pos += n
		count++
	}
	m.steps += count
	if pos-from >= longRun {
		if m.runs == nil {
			m.runs = map[int]stretch{}
		}
		m.runs[pc] = stretch{from, pos}
	}
	return pos, count >= in.y
}

// ask answers opAhead, opBehind and opAtomic: where to go on, and whether.
func (m *machine) ask(pc, pos int) (int, bool) {
	in := &m.code[pc]
	from := pos
	if in.op == opBehind {
		for range in.y {
			if from == 0 {
				return pos, in.not
			}
			_, n := utf8.DecodeLastRuneInString(m.s[:from])
			from -= n
		}
	}
	end, known := m.result(pc, from)
	if !known {
		end = m.run(pc+1, from)
		m.remember(pc, from, end)
	}
	if in.op == opAtomic {
		return end, end >= 0
	}
	return pos, end >= 0 != in.not
}

// back returns the next way that was not tried, or false when there is none
// above base.
func (m *machine) back(base int) (pc, pos int, ok bool) {
	for len(m.stack) > base {
		f := m.stack[len(m.stack)-1]
		m.stack = m.stack[:len(m.stack)-1]
		if !f.result {
			return f.pc, f.pos, true
		}
		m.remember(f.pc, f.pos, -1)
	}
	return 0, 0, false
}

// succeed ends a run: all that led to its end ends there.
func (m *machine) succeed(base, end int) int {
	if m.memo != nil {
		for _, f := range m.stack[base:] {
			if f.result {
				m.remember(f.pc, f.pos, end)
			}
		}
	}
	m.stack = m.stack[:base]
	return end
}

// recall returns the known result of a split; while results are remembered, an
// unknown one is awaited.
func (m *machine) recall(pc, pos int) (end int, known bool) {
	if m.memo == nil {
		return 0, false
	}
	if end, known = m.result(pc, pos); !known {
		m.stack = append(m.stack, frame{pc, pos, true})
	}
	return end, known
}

func (m *machine) result(pc, pos int) (end int, known bool) {
	page := m.memo[pos/pageSize]
	if page == nil {
		return 0, false
	}
	v := page[pos%pageSize*len(m.code)+pc]
	return int(v) - 2, v > 0
}

func (m *machine) remember(pc, pos, end int) {
	if m.memo == nil {
		return
	}
	page := m.memo[pos/pageSize]
	if page == nil {
		if (len(m.memo)+1)*pageSize*len(m.code) > mostMemo {
			clear(m.memo)
		}
		page = make([]int32, pageSize*len(m.code))
		m.memo[pos/pageSize] = page
	}
	page[pos%pageSize*len(m.code)+pc] = int32(end + 2)
}

// holds tells whether an assertion holds.
func (m *machine) holds(kind assertion, pos int) bool {
	switch kind {
	case textStart:
		return pos == 0
	case textEnd:
		return pos == len(m.s)
	case lastLineEnd:
		return pos == len(m.s) || pos == len(m.s)-1 && m.s[pos] == '\n'
	case lineStart:
		return pos == 0 || m.s[pos-1] == '\n' && pos < len(m.s)
	case lineEnd:
		return pos == len(m.s) || m.s[pos] == '\n'
	}
	before, _ := utf8.DecodeLastRuneInString(m.s[:pos])
	after, _ := utf8.DecodeRuneInString(m.s[pos:])
	border := (pos > 0 && wordAlone().has(before)) != (pos < len(m.s) && wordAlone().has(after))
	return border == (kind == wordBorder)
}
