package regex

import "errors"

// instr is one instruction of a program.
type instr struct {
	op   opcode
	set  *set
	x, y int // where to go on: first x, then y; opBehind: y characters back
	kind assertion
	not  bool
}

type opcode uint8

const (
	opMatch  opcode = iota // the program, or the part that was asked for, matches
	opChar                 // a character of set
	opRun                  // as many characters of set as there are, at least y
	opSplit                // x, and if that fails y
	opJump                 // x
	opAssert               // kind
	opAhead                // what begins at y matches (or does not); then x
	opBehind               // the same, from some characters back on
	opAtomic               // what begins at y; then x
)

var errLarge = errors.New("the pattern is too large")

// compiler writes a program. Parts that are asked for by opAhead and its like
// stand behind the instruction, ended by an opMatch of their own.
type compiler struct{ code []instr }

func (c *compiler) program(n node) error {
	if err := c.node(n, true); err != nil {
		return err
	}
	_, err := c.emit(instr{op: opMatch})
	return err
}

func (c *compiler) emit(i instr) (int, error) {
	if len(c.code) >= maxProgram {
		return 0, errLarge
	}
	c.code = append(c.code, i)
	return len(c.code) - 1, nil
}

// node compiles n. last tells that nothing follows it, so that the longest of
// its ways is the only one ever taken.
func (c *compiler) node(n node, last bool) error {
	switch n := n.(type) {
	case sequence:
		for i, part := range n {
			ends := last && i == len(n)-1
			if r, ok := part.(repeat); ok && !ends && i+1 < len(n) {
				ends = apart(r, n[i+1])
				if _, plain := r.body.(chars); !plain {
					ends = false
				}
			}
			if err := c.node(part, ends); err != nil {
				return err
			}
		}
		return nil
	case choice:
		return c.choice(n, last)
	case chars:
		_, err := c.emit(instr{op: opChar, set: newSet(n.spans)})
		return err
	case repeat:
		return c.repeat(n, last)
	case atomic:
		return c.part(instr{op: opAtomic}, n.body)
	case look:
		return c.look(n)
	}
	_, err := c.emit(instr{op: opAssert, kind: n.(assertion)})
	return err
}

// apart tells whether what follows cannot begin with what r repeats.
func apart(r repeat, next node) bool {
	first, ok := firstOf(next)
	return ok && len(first.and(firsts(r.body))) == 0
}

func (c *compiler) choice(n choice, last bool) error {
	return c.ways(n, func(way node) error { return c.node(way, last) })
}

// ways tries each of several ways in turn, written by put.
func (c *compiler) ways(ways []node, put func(node) error) error {
	var jumps []int
	for i, way := range ways {
		split := -1
		if i < len(ways)-1 {
			at, err := c.emit(instr{op: opSplit, x: len(c.code) + 1})
			if err != nil {
				return err
			}
			split = at
		}
		if err := put(way); err != nil {
			return err
		}
		if split >= 0 {
			jump, err := c.emit(instr{op: opJump})
			if err != nil {
				return err
			}
			jumps = append(jumps, jump)
			c.code[split].y = len(c.code)
		}
	}
	for _, j := range jumps {
		c.code[j].x = len(c.code)
	}
	return nil
}

func (c *compiler) repeat(n repeat, last bool) error {
	if (n.most < 0 || n.most > 1) && canBeEmpty(n.body) {
		return errors.New("a repeat of what can be empty is not supported")
	}
	if n.kind == possessive {
		if one, ok := n.body.(chars); ok && n.most < 0 {
			_, err := c.emit(instr{op: opRun, set: newSet(one.spans), y: n.least})
			return err
		}
		n.kind = greedy
		return c.part(instr{op: opAtomic}, n)
	}
	if one, ok := n.body.(chars); ok && n.most < 0 && n.kind == greedy && last {
		_, err := c.emit(instr{op: opRun, set: newSet(one.spans), y: n.least})
		return err
	}
	for range n.least {
		if err := c.node(n.body, false); err != nil {
			return err
		}
	}
	if n.most < 0 {
		return c.endless(n)
	}
	var splits []int
	for range n.most - n.least {
		at, err := c.emit(instr{op: opSplit})
		if err != nil {
			return err
		}
		splits = append(splits, at)
		if err := c.node(n.body, false); err != nil {
			return err
		}
	}
	for _, at := range splits {
		c.setSplit(at, at+1, len(c.code), n.kind)
	}
	return nil
}

func (c *compiler) endless(n repeat) error {
	at, err := c.emit(instr{op: opSplit})
	if err != nil {
		return err
	}
	if err := c.node(n.body, false); err != nil {
		return err
	}
	if _, err := c.emit(instr{op: opJump, x: at}); err != nil {
		return err
	}
	c.setSplit(at, at+1, len(c.code), n.kind)
	return nil
}

// setSplit makes the instruction at a place go into a body first, or past it.
func (c *compiler) setSplit(at, in, past int, kind repeatKind) {
	c.code[at].x, c.code[at].y = in, past
	if kind == lazy {
		c.code[at].x, c.code[at].y = past, in
	}
}

// part writes an instruction that asks for body.
func (c *compiler) part(i instr, body node) error {
	at, err := c.emit(i)
	if err != nil {
		return err
	}
	if err := c.node(body, true); err != nil {
		return err
	}
	if _, err := c.emit(instr{op: opMatch}); err != nil {
		return err
	}
	c.code[at].x = len(c.code)
	return nil
}

// look compiles a look-around. One behind is a choice of those of each width.
func (c *compiler) look(n look) error {
	if !n.behind {
		return c.part(instr{op: opAhead, not: n.not}, n.body)
	}
	ways, ok := n.body.(choice)
	if !ok {
		ways = choice{n.body}
	}
	var all choice
	for _, way := range ways {
		if _, ok := width(way); !ok {
			return errors.New("a look-behind of varying length is not supported")
		}
		all = append(all, way)
	}
	if n.not { // none of them is behind
		for _, way := range all {
			if err := c.behind(way, true); err != nil {
				return err
			}
		}
		return nil
	}
	return c.ways(all, func(way node) error { return c.behind(way, false) })
}

func (c *compiler) behind(way node, not bool) error {
	w, _ := width(way)
	return c.part(instr{op: opBehind, not: not, y: w}, way)
}
