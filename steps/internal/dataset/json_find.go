package dataset

import (
	"bufio"
	"errors"
	"fmt"
	"io"
)

// listField is a field of the top-level object that holds a list of objects.
type listField struct {
	name string
	at   int64 // of its bracket
}

// wrapped walks the object that f stands at: which fields hold lists of objects,
// and whether one of the named columns is there.
func wrapped(f *framer, columns []string) (lists []listField, known bool, err error) {
	f.skip()
	for {
		c, err := f.peek()
		if err != nil {
			return nil, false, err
		}
		if c == '}' { // of an empty object; after a comma the row will say so
			f.skip()
			return lists, known, nil
		}
		text, err := f.value()
		if err != nil {
			return nil, false, err
		}
		name, err := ParseJSON(text)
		if err != nil || name.Kind != String {
			return nil, false, errors.New("not a field's name")
		}
		for _, column := range columns {
			known = known || column == name.Text
		}
		if c, err := f.peek(); err != nil || c != ':' {
			return nil, false, errors.New("no colon")
		}
		f.skip()
		list, err := f.field(name.Text)
		if err != nil {
			return nil, false, err
		}
		lists = append(lists, list...)
		c, err = f.peek()
		if err != nil || c != ',' && c != '}' {
			return nil, false, errors.New("no comma")
		}
		f.skip()
		if c == '}' {
			return lists, known, nil
		}
	}
}

// framer finds the extents of JSON values in a stream without parsing them.
type framer struct {
	r   *bufio.Reader
	at  int64 // offset of the next byte
	max int64 // bytes of one value
	buf []byte
}

func newFramer(r io.Reader, at, limit int64) framer {
	return framer{r: bufio.NewReaderSize(r, 1<<16), at: at, max: limit}
}

// peek returns the next byte that is not white space.
func (f *framer) peek() (byte, error) {
	for {
		c, err := f.r.ReadByte()
		if err != nil {
			return 0, err
		}
		if !isJSONSpace(c) {
			return c, f.r.UnreadByte()
		}
		f.at++
	}
}

// skip consumes the byte that peek returned.
func (f *framer) skip() {
	if _, err := f.r.ReadByte(); err == nil {
		f.at++
	}
}

// value returns the bytes of the value that starts here, valid until the next
// call.
func (f *framer) value() ([]byte, error) {
	f.buf = f.buf[:0]
	err := f.scan(func(c byte) error {
		if int64(len(f.buf)) == f.max {
			return fmt.Errorf("the row takes more than %d bytes", f.max)
		}
		f.buf = append(f.buf, c)
		return nil
	})
	return f.buf, err
}

// field skips a field's value; when it is a list of objects it returns it.
func (f *framer) field(name string) ([]listField, error) {
	c, err := f.peek()
	if err != nil {
		return nil, err
	}
	start, n := f.at, 0
	var list []listField
	err = f.scan(func(c byte) error {
		if n == 0 || n == 1 && !isJSONSpace(c) {
			n++
			if n == 2 && c == '{' {
				list = []listField{{name, start}}
			}
		}
		return nil
	})
	if c != '[' {
		list = nil
	}
	return list, err
}

// scan consumes one value, giving each byte to keep. A value that is no string,
// list or object ends before the first byte that cannot be part of it.
func (f *framer) scan(keep func(byte) error) error {
	depth, quoted, escaped := 0, false, false
	for n := 0; ; n++ {
		c, err := f.r.ReadByte()
		if err == io.EOF && n > 0 && depth == 0 && !quoted {
			return nil
		}
		if err == io.EOF {
			return fmt.Errorf("the file ends within a value, at byte %d", f.at)
		}
		if err != nil {
			return err
		}
		ends := false
		switch {
		case quoted:
			switch {
			case escaped:
				escaped = false
			case c == '\\':
				escaped = true
			case c == '"':
				quoted, ends = false, depth == 0
			}
		case c == '"':
			if depth == 0 && n > 0 {
				return f.r.UnreadByte()
			}
			quoted = true
		case c == '[' || c == '{':
			if depth == 0 && n > 0 {
				return f.r.UnreadByte()
			}
			depth++
		case (c == ']' || c == '}') && depth > 0:
			depth--
			ends = depth == 0
		case depth == 0 && n > 0 && (isJSONSpace(c) || c == ',' || c == ']' || c == '}' || c == ':'):
			return f.r.UnreadByte()
		}
		f.at++
		if err := keep(c); err != nil {
			return err
		}
		if ends {
			return nil
		}
	}
}
