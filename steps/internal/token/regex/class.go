package regex

import (
	"errors"
	"fmt"
	"unicode"
)

// class reads what stands behind "[", up to "]".
func (p *parser) class() (spans, error) {
	if p.nested++; p.nested > maxNested {
		return nil, fmt.Errorf("more than %d classes within each other", maxNested)
	}
	defer func() { p.nested-- }()
	not := p.take("^")
	all := spans{{0, unicode.MaxRune}} // what the parts before && have in common
	var now spans
	for first := true; ; first = false {
		switch {
		case !p.more():
			return nil, errors.New("[ without ]")
		case p.peek("]") && !first:
			p.at++
			return p.finish(all.and(now.tidy()), not), nil
		case p.take("&&"):
			all, now = all.and(now.tidy()), nil
			continue
		}
		part, err := p.member()
		if err != nil {
			return nil, err
		}
		now = append(now, part...)
	}
}

func (p *parser) finish(s spans, not bool) spans {
	if p.fold {
		s = s.folded()
	}
	if not {
		s = s.not()
	}
	return s
}

// member reads a character, a range, an escape or a class in a class.
func (p *parser) member() (spans, error) {
	if p.take("[:") {
		return p.posix()
	}
	if p.take("[") {
		return p.class()
	}
	s, lo, err := p.memberChar()
	if err != nil || lo < 0 {
		return s, err
	}
	if !p.peek("-") || p.at+1 >= len(p.in) || p.in[p.at+1] == ']' || p.in[p.at+1] == '[' {
		return spans{{lo, lo}}, nil
	}
	p.at++
	s, hi, err := p.memberChar()
	switch {
	case err != nil:
		return nil, err
	case hi < 0: // [a-\w]: the dash is a dash
		return append(spans{{lo, lo}, {'-', '-'}}, s...), nil
	case hi < lo:
		return nil, fmt.Errorf("the range %q-%q is empty", lo, hi)
	}
	return spans{{lo, hi}}, nil
}

func (p *parser) memberChar() (spans, rune, error) {
	if !p.more() {
		return nil, 0, errors.New("[ without ]")
	}
	c := p.in[p.at]
	p.at++
	if c != '\\' {
		return nil, c, nil
	}
	if p.take("b") {
		return nil, '\b', nil
	}
	if !p.more() {
		return nil, 0, errors.New(`\ at the end`)
	}
	return p.escaped()
}

// posix reads what stands behind "[:", up to ":]".
func (p *parser) posix() (spans, error) {
	not := p.take("^")
	from := p.at
	for p.more() && !p.peek(":]") {
		p.at++
	}
	if !p.more() {
		return nil, errors.New("[: without :]")
	}
	name := string(p.in[from:p.at])
	p.at += 2
	s, ok := named(name)
	if !ok {
		return nil, fmt.Errorf("unknown class [:%s:]", name)
	}
	if not {
		s = s.not()
	}
	return s, nil
}
