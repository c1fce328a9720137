package lock

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"unicode/utf8"

	"github.com/pipe-run/pipe/pipeline"
)

// maxSize bounds the file, in bytes.
const maxSize = 16 << 20

// Read reads the lock at path; a file that is absent is an empty lock. What is
// wrong in the file is a [*pipeline.Problem] at its line.
func Read(path string) (*Lock, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return &Lock{}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading lock: %w", err)
	}
	defer f.Close()
	raw, err := io.ReadAll(io.LimitReader(f, maxSize+1))
	if err != nil {
		return nil, fmt.Errorf("reading lock: %w", err)
	}
	if len(raw) > maxSize {
		return nil, &pipeline.Problem{Pos: pipeline.Pos{File: path}, Message: fmt.Sprintf("the lock has more than %d bytes", maxSize)}
	}
	return parse(path, raw)
}

// A parser reads one lock.
type parser struct {
	path string
	raw  []byte
	dec  *json.Decoder
}

func parse(path string, raw []byte) (*Lock, error) {
	p := &parser{path: path, raw: raw, dec: json.NewDecoder(bytes.NewReader(raw))}
	for _, mark := range []string{"<<<<<<<", "=======", ">>>>>>>"} {
		if i := bytes.Index(append([]byte("\n"), raw...), []byte("\n"+mark)); i >= 0 {
			problem := p.at(int64(i), errors.New("merge conflict"))
			problem.Hint = "keep the pins of both sides, or delete the file and run `pipe lock`"
			return nil, problem
		}
	}
	if !utf8.Valid(raw) {
		return nil, p.at(0, errors.New("invalid UTF-8"))
	}
	var syntax *json.SyntaxError
	if err := json.Unmarshal(raw, new(json.RawMessage)); errors.As(err, &syntax) {
		offset := syntax.Offset - 1 // of the byte that is wrong
		if len(bytes.TrimSpace(raw)) == 0 || syntax.Offset >= int64(len(raw)) && strings.Contains(syntax.Error(), "end of JSON") {
			offset = int64(len(raw))
		}
		return nil, p.at(offset, fmt.Errorf("not JSON: %w", syntax))
	}
	return p.lock()
}

// at blames the byte at offset.
func (p *parser) at(offset int64, err error) *pipeline.Problem {
	offset = max(0, min(offset, int64(len(p.raw))))
	before := p.raw[:offset]
	return &pipeline.Problem{
		Pos: pipeline.Pos{
			File: p.path,
			Line: 1 + bytes.Count(before, []byte("\n")),
			Col:  len(before) - bytes.LastIndexByte(before, '\n'),
		},
		Message: err.Error(),
	}
}

// next blames the place of the next value.
func (p *parser) next(err error) *pipeline.Problem {
	offset := p.dec.InputOffset()
	for offset < int64(len(p.raw)) && bytes.IndexByte([]byte(" \t\r\n,:"), p.raw[offset]) >= 0 {
		offset++
	}
	return p.at(offset, err)
}

// object reads an object; member reads the value that follows its name.
func (p *parser) object(member func(name string) error) error {
	if err := p.delim('{'); err != nil {
		return err
	}
	seen := map[string]bool{}
	for p.dec.More() {
		here := p.next(errLater)
		tok, err := p.dec.Token()
		if err != nil {
			return p.next(err)
		}
		name, _ := tok.(string)
		if seen[name] {
			here.Message = fmt.Sprintf("%q occurs twice", name)
			return here
		}
		seen[name] = true
		if err := member(name); err != nil {
			return err
		}
	}
	return p.delim('}')
}

// errLater stands for an error whose message is filled in later.
var errLater = errors.New("")

func (p *parser) delim(want json.Delim) error {
	here := p.next(errLater)
	tok, err := p.dec.Token()
	if err != nil {
		return p.next(err)
	}
	if tok != want {
		here.Message = fmt.Sprintf("want %s", want)
		return here
	}
	return nil
}

// value reads the next value into v.
func (p *parser) value(v any) error {
	here := p.next(errLater)
	if err := p.dec.Decode(v); err != nil {
		var kind *json.UnmarshalTypeError
		if errors.As(err, &kind) {
			here.Message = fmt.Sprintf("a %s is no %s", kind.Value, kind.Type)
			return here
		}
		return p.next(err)
	}
	return nil
}

func (p *parser) lock() (*Lock, error) {
	l := &Lock{}
	versioned := false
	err := p.object(func(name string) error {
		here := p.next(errLater)
		switch name {
		case "version":
			n := 0
			if err := p.value(&n); err != nil {
				return err
			}
			if n != version {
				here.Message = fmt.Sprintf("the lock has format %d, this pipe knows format %d", n, version)
				here.Hint = "use a newer pipe"
				return here
			}
			versioned = true
			return nil
		case "pins":
			return p.pins(l)
		}
		here.Message = fmt.Sprintf("%q is no field of a lock", name)
		return here
	})
	if err != nil {
		return nil, err
	}
	if !versioned {
		return nil, p.at(0, errors.New("the lock has no version"))
	}
	return l, nil
}

func (p *parser) pins(l *Lock) error {
	if err := p.delim('['); err != nil {
		return err
	}
	for p.dec.More() {
		here := p.next(errLater)
		pin, err := p.pin()
		if err != nil {
			return err
		}
		before := l.Len()
		if err := l.Add(pin); err != nil {
			here.Message = err.Error()
			return here
		}
		if l.Len() == before {
			here.Message = "its source is pinned before"
			return here
		}
	}
	return p.delim(']')
}

func (p *parser) pin() (pin Pin, err error) {
	err = p.object(func(name string) error {
		switch name {
		case "kind":
			return p.value(&pin.Kind)
		case "source":
			return p.value(&pin.Source)
		case "from":
			return p.value(&pin.From)
		case "id":
			return p.value(&pin.ID)
		}
		return p.next(fmt.Errorf("%q is no field of a pin", name))
	})
	return pin, err
}
