package view

import (
	"io"
	"sync"
)

// A Shield passes on what is printed where GitHub Actions listens, changed so
// that nothing in it is taken for a workflow command: what steps and models say
// is printed as it comes, and must not steer the runner. Commands are lines
// that begin with "::", after white space, and "##[" anywhere. A shielded line
// has a space inside them; in JSON, where "##[" can only stand in a string,
// the bracket is written as its escape, which means the same.
//
// A Shield is safe for concurrent use.
type Shield struct {
	w    io.Writer
	json bool

	mu     sync.Mutex // guards what follows
	blank  bool       // the line has only white space so far
	middle bool       // something stands on the line
	colons int        // with which the line begins
	hashes int        // in a row, before the next byte
}

// NewShield returns a Shield before w. asJSON says that JSON is printed.
func NewShield(w io.Writer, asJSON bool) *Shield {
	return &Shield{w: w, json: asJSON, blank: true}
}

// Write implements io.Writer.
func (s *Shield) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make([]byte, 0, len(p)+8)
	for _, c := range p {
		out = s.append(out, c)
	}
	if _, err := s.w.Write(out); err != nil {
		return 0, err
	}
	return len(p), nil
}

// append appends c, the next byte of a line.
func (s *Shield) append(out []byte, c byte) []byte {
	switch {
	case c == '\n' || c == '\r':
		s.blank, s.middle, s.colons, s.hashes = true, false, 0, 0
		return append(out, c)
	case c == ':' && s.colons == 1 && !s.json:
		out = append(out, ' ')
		s.colons = 2
	case c == ':' && s.blank:
		s.colons = 1
	case c == '[' && s.hashes >= 2 && s.json:
		s.hashes = 0
		return append(out, `\u005b`...)
	case c == '[' && s.hashes >= 2:
		out = append(out, ' ')
	case c != ':':
		s.colons = 0
	}
	s.hashes++
	if c != '#' {
		s.hashes = 0
	}
	s.middle = true
	// What is no ASCII may be white space, too.
	s.blank = s.blank && (c <= ' ' || c >= 0x7f)
	return append(out, c)
}

// Command writes lines as they are: workflow commands.
func (s *Shield) Command(lines []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.middle {
		lines = append([]byte{'\n'}, lines...)
	}
	s.blank, s.middle, s.colons, s.hashes = true, false, 0, 0
	_, err := s.w.Write(lines)
	return err
}
