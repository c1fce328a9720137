package regex

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode"
)

// parser reads a pattern.
type parser struct {
	in     []rune
	at     int
	nested int

	fold, extended, dotAll bool // (?i), (?x) and (?m)
}

func (p *parser) parse() (node, error) {
	n, err := p.choice()
	if err != nil {
		return nil, err
	}
	if p.more() {
		return nil, errors.New(") without (")
	}
	return n, nil
}

func (p *parser) more() bool { return p.at < len(p.in) }

// peek tells whether s comes next.
func (p *parser) peek(s string) bool {
	for i, c := range []rune(s) {
		if p.at+i >= len(p.in) || p.in[p.at+i] != c {
			return false
		}
	}
	return true
}

// take passes over s if it comes next.
func (p *parser) take(s string) bool {
	if !p.peek(s) {
		return false
	}
	p.at += len([]rune(s))
	return true
}

// choice reads alternatives up to ")" or the end.
func (p *parser) choice() (node, error) {
	if p.nested++; p.nested > maxNested {
		return nil, fmt.Errorf("more than %d groups within each other", maxNested)
	}
	defer func() { p.nested-- }()
	var ways choice
	for {
		way, err := p.sequence()
		if err != nil {
			return nil, err
		}
		ways = append(ways, way)
		if !p.take("|") {
			break
		}
	}
	if len(ways) == 1 {
		return ways[0], nil
	}
	return ways, nil
}

func (p *parser) sequence() (node, error) {
	var out sequence
	for p.more() && !p.peek("|") && !p.peek(")") {
		if p.extended && p.blank() {
			continue
		}
		n, err := p.atom()
		if err != nil {
			return nil, err
		}
		if n == nil { // a comment
			continue
		}
		if n, err = p.repeats(n); err != nil {
			return nil, err
		}
		out = append(out, n)
	}
	if len(out) == 1 {
		return out[0], nil
	}
	return out, nil
}

// blank passes over white space or a comment of an extended pattern.
func (p *parser) blank() bool {
	if unicode.IsSpace(p.in[p.at]) {
		p.at++
		return true
	}
	if p.in[p.at] != '#' {
		return false
	}
	for p.more() && p.in[p.at] != '\n' {
		p.at++
	}
	return true
}

// repeats reads what stands behind an atom.
func (p *parser) repeats(n node) (node, error) {
	for depth := 0; p.more(); depth++ {
		r := repeat{body: n, most: -1}
		counted := false
		switch {
		case p.take("*"):
		case p.take("+"):
			r.least = 1
		case p.take("?"):
			r.most = 1
		case p.peek("{"):
			ok, err := p.counts(&r)
			if err != nil {
				return nil, err
			}
			if !ok {
				return n, nil // a brace like any other character
			}
			counted = true
		default:
			return n, nil
		}
		if depth > maxNested {
			return nil, fmt.Errorf("more than %d repeats of one atom", maxNested)
		}
		switch {
		case counted && r.least == r.most: // {n}? is a repeat of a repeat
		case p.take("?"):
			r.kind = lazy
		case !counted && p.take("+"):
			r.kind = possessive
		}
		n = r
	}
	return n, nil
}

// counts reads {n}, {n,}, {n,m} or {,m}; false if it is none of them.
func (p *parser) counts(r *repeat) (bool, error) {
	end := p.at + 1
	for end < len(p.in) && (p.in[end] >= '0' && p.in[end] <= '9' || p.in[end] == ',') {
		end++
	}
	if end >= len(p.in) || p.in[end] != '}' {
		return false, nil
	}
	low, high, isRange := strings.Cut(string(p.in[p.at+1:end]), ",")
	if low == "" && high == "" || strings.Contains(high, ",") {
		return false, nil
	}
	var err error
	if low != "" {
		if r.least, err = strconv.Atoi(low); err != nil || r.least > maxCount {
			return false, fmt.Errorf("a repeat of more than %d", maxCount)
		}
	}
	switch {
	case !isRange:
		r.most = r.least
	case high != "":
		if r.most, err = strconv.Atoi(high); err != nil || r.most > maxCount {
			return false, fmt.Errorf("a repeat of more than %d", maxCount)
		}
		if r.most < r.least {
			return false, errors.New("a repeat whose bounds are the wrong way round")
		}
	}
	p.at = end + 1
	return true, nil
}

// atom reads one thing that can be repeated; nil is a comment.
func (p *parser) atom() (node, error) {
	c := p.in[p.at]
	p.at++
	switch c {
	case '(':
		return p.group()
	case '[':
		s, err := p.class()
		return chars{s}, err
	case '.':
		if p.dotAll {
			return chars{spans{{0, unicode.MaxRune}}}, nil
		}
		return chars{spans{{'\n', '\n'}}.not()}, nil
	case '^':
		return lineStart, nil
	case '$':
		return lineEnd, nil
	case '*', '+', '?':
		return nil, errors.New("a repeat of nothing")
	case '\\':
		return p.escape()
	}
	return p.literal(c), nil
}

func (p *parser) literal(c rune) node {
	s := spans{{c, c}}
	if p.fold {
		for d := unicode.SimpleFold(c); d != c; d = unicode.SimpleFold(d) {
			s = append(s, span{d, d})
		}
	}
	return chars{s.tidy()}
}

// group reads what stands behind "(".
func (p *parser) group() (node, error) {
	fold, extended, dotAll := p.fold, p.extended, p.dotAll
	defer func() { p.fold, p.extended, p.dotAll = fold, extended, dotAll }()
	wrap := func(n node) node { return n }
	switch {
	case p.take("?#"):
		for p.more() && !p.take(")") {
			p.at++
		}
		return nil, nil
	case p.take("?:"):
	case p.take("?="):
		wrap = func(n node) node { return look{body: n} }
	case p.take("?!"):
		wrap = func(n node) node { return look{body: n, not: true} }
	case p.take("?<="):
		wrap = func(n node) node { return look{body: n, behind: true} }
	case p.take("?<!"):
		wrap = func(n node) node { return look{body: n, behind: true, not: true} }
	case p.take("?>"):
		wrap = func(n node) node { return atomic{n} }
	case p.take("?<"):
		for p.more() && p.in[p.at] != '>' {
			p.at++
		}
		if !p.take(">") {
			return nil, errors.New("a name without >")
		}
	case p.take("?"):
		if rest, err := p.options(); err != nil || rest != nil {
			return rest, err
		}
	}
	return p.closed(wrap)
}

// closed reads the inside of a group and its ")".
func (p *parser) closed(wrap func(node) node) (node, error) {
	n, err := p.choice()
	if err != nil {
		return nil, err
	}
	if !p.take(")") {
		return nil, errors.New("( without )")
	}
	return wrap(n), nil
}

// options reads (?imx-imx) or (?imx-imx:. The first goes for all that follows
// in the group around it, which is returned.
func (p *parser) options() (node, error) {
	on := true
	for p.more() {
		c := p.in[p.at]
		p.at++
		switch c {
		case '-':
			on = false
		case 'i':
			p.fold = on
		case 'x':
			p.extended = on
		case 'm':
			p.dotAll = on
		case ':':
			return nil, nil
		case ')':
			return p.choice()
		default:
			return nil, fmt.Errorf("group (?%c is not supported", c)
		}
	}
	return nil, errors.New("( without )")
}

// escape reads what stands behind "\".
func (p *parser) escape() (node, error) {
	if !p.more() {
		return nil, errors.New(`\ at the end`)
	}
	switch p.in[p.at] {
	case 'A':
		p.at++
		return textStart, nil
	case 'z':
		p.at++
		return textEnd, nil
	case 'Z':
		p.at++
		return lastLineEnd, nil
	case 'b':
		p.at++
		return wordBorder, nil
	case 'B':
		p.at++
		return noWordBorder, nil
	case 'w':
		p.at++
		return chars{wordAlone()}, nil
	case 'W':
		p.at++
		return chars{wordAlone().not()}, nil
	case 'R':
		p.at++
		return atomic{choice{
			sequence{chars{spans{{'\r', '\r'}}}, chars{spans{{'\n', '\n'}}}},
			chars{spans{{'\n', '\r'}, {0x85, 0x85}, {0x2028, 0x2029}}},
		}}, nil
	}
	s, one, err := p.escaped()
	if err != nil {
		return nil, err
	}
	if one >= 0 {
		return p.literal(one), nil
	}
	return chars{s}, nil
}

// escaped reads an escape that stands for one character, or for a class; then
// one is -1.
func (p *parser) escaped() (s spans, one rune, err error) {
	c := p.in[p.at]
	p.at++
	switch c {
	case 'd':
		return decimal(), -1, nil
	case 'D':
		return decimal().not(), -1, nil
	case 'w':
		return word(), -1, nil
	case 'W':
		return word().not(), -1, nil
	case 's':
		return whiteSpace(), -1, nil
	case 'S':
		return whiteSpace().not(), -1, nil
	case 'h':
		return hexDigits(), -1, nil
	case 'H':
		return hexDigits().not(), -1, nil
	case 'N':
		return spans{{'\n', '\n'}}.not(), -1, nil
	case 'O':
		return spans{{0, unicode.MaxRune}}, -1, nil
	case 'p', 'P':
		s, err = p.property(c == 'P')
		return s, -1, err
	case 't':
		return nil, '\t', nil
	case 'n':
		return nil, '\n', nil
	case 'r':
		return nil, '\r', nil
	case 'f':
		return nil, '\f', nil
	case 'v':
		return nil, '\v', nil
	case 'a':
		return nil, '\a', nil
	case 'e':
		return nil, 0x1B, nil
	case 'x', 'u':
		one, err = p.hex(c)
		return nil, one, err
	case '0':
		return nil, 0, nil
	}
	if c < 0x80 && (unicode.IsLetter(c) || unicode.IsDigit(c)) {
		return nil, -1, fmt.Errorf(`\%c is not supported`, c)
	}
	return nil, c, nil
}

// property reads {Name} or {^Name}, or one letter.
func (p *parser) property(not bool) (spans, error) {
	if !p.take("{") {
		if !p.more() {
			return nil, errors.New(`\p at the end`)
		}
		p.at++
		return p.named(string(p.in[p.at-1]), not)
	}
	if p.take("^") {
		not = !not
	}
	from := p.at
	for p.more() && p.in[p.at] != '}' {
		p.at++
	}
	if !p.more() {
		return nil, errors.New(`\p{ without }`)
	}
	p.at++
	return p.named(string(p.in[from:p.at-1]), not)
}

func (p *parser) named(name string, not bool) (spans, error) {
	s, err := property(name)
	if err == nil && not {
		s = s.not()
	}
	return s, err
}

// hex reads HH, {H…} or, behind u, HHHH.
func (p *parser) hex(kind rune) (rune, error) {
	digits := ""
	if kind == 'x' && p.take("{") {
		for p.more() && p.in[p.at] != '}' {
			digits += string(p.in[p.at])
			p.at++
		}
		if !p.take("}") {
			return 0, errors.New(`\x{ without }`)
		}
	} else {
		for size := map[rune]int{'x': 2, 'u': 4}[kind]; len(digits) < size && p.more() && hexDigits().has(p.in[p.at]); p.at++ {
			digits += string(p.in[p.at])
		}
	}
	v, err := strconv.ParseUint(digits, 16, 32)
	if err != nil || v > unicode.MaxRune || len(digits) > 8 {
		return 0, fmt.Errorf(`\%c with %q, which is no character`, kind, digits)
	}
	return rune(v), nil
}
