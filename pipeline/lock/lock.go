// Package lock reads and writes pipe.lock, which stands beside a pipeline file
// and pins what its sources were when they were first asked for:
//
//	{
//		"version": 1,
//		"pins": [
//			{
//				"kind": "fetch",
//				"source": {"huggingface":{"repo":"org/name","revision":"main"}},
//				"from": "huggingface.co/org/name@main",
//				"id": "0123…"
//			}
//		]
//	}
//
// A step finds its pin again by kind and "from"; a pin is replaced by kind and
// source. Pins are sorted, one member a line, so that versions of the file
// differ by little; all pipelines of a folder share the file.
package lock

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/pipe-run/pipe/pipeline"
)

// Name is the name of the file.
const Name = "pipe.lock"

// version is the format that this package writes.
const version = 1

// ErrReadOnly reports that the folder of a lock cannot be written to.
var ErrReadOnly = errors.New("the folder cannot be written to")

// A Pin is one entry: the identity of the bytes that a source had.
type Pin struct {
	Kind   string          `json:"kind"`   // of the step
	Source json.RawMessage `json:"source"` // what was asked, as the kind's parameters put it
	From   string          `json:"from"`   // the same for people
	ID     string          `json:"id"`     // equal IDs mean equal bytes
}

// A Lock is a set of pins. The zero Lock is empty.
type Lock struct {
	pins map[string]Pin // by index
}

// Path returns where the lock of a pipeline file lies.
func Path(pipelineFile string) string {
	return filepath.Join(filepath.Dir(pipelineFile), Name)
}

// index returns what pins are found by: kind and canonical source.
func index(kind string, source json.RawMessage) (string, error) {
	canonical, err := pipeline.CanonicalJSON(source)
	if err != nil {
		return "", fmt.Errorf("source of %s: %w", kind, err)
	}
	return kind + "\x00" + string(canonical), nil
}

// ID returns the pinned identity of what source, any JSON, names for steps of
// kind.
func (l *Lock) ID(kind string, source json.RawMessage) (string, bool) {
	i, err := index(kind, source)
	if err != nil {
		return "", false
	}
	p, ok := l.pins[i]
	return p.ID, ok
}

// Len returns the number of pins.
func (l *Lock) Len() int { return len(l.pins) }

// Pins returns all pins in the order of the file.
func (l *Lock) Pins() []Pin {
	var all []Pin
	keys := make([]string, 0, len(l.pins))
	for i := range l.pins {
		keys = append(keys, i)
	}
	slices.Sort(keys)
	for _, i := range keys {
		all = append(all, l.pins[i])
	}
	return all
}

// Add adds p, unless its source is pinned already: then that pin stays.
func (l *Lock) Add(p Pin) error {
	i, err := l.prepare(&p)
	if err != nil {
		return err
	}
	if _, ok := l.pins[i]; !ok {
		l.pins[i] = p
	}
	return nil
}

// Set adds p, replacing the pin of its source.
func (l *Lock) Set(p Pin) error {
	i, err := l.prepare(&p)
	if err == nil {
		l.pins[i] = p
	}
	return err
}

// Remove removes the pin of source.
func (l *Lock) Remove(kind string, source json.RawMessage) {
	if i, err := index(kind, source); err == nil {
		delete(l.pins, i)
	}
}

// prepare checks p, makes its source canonical and returns its index.
func (l *Lock) prepare(p *Pin) (string, error) {
	if l.pins == nil {
		l.pins = map[string]Pin{}
	}
	if err := p.check(); err != nil {
		return "", err
	}
	i, err := index(p.Kind, p.Source)
	if err == nil {
		p.Source = json.RawMessage(i[len(p.Kind)+1:])
	}
	return i, err
}

func (p *Pin) check() error {
	switch {
	case p.Kind == "":
		return errors.New("pin has no kind")
	case len(p.Source) == 0:
		return errors.New("pin has no source")
	case p.ID == "":
		return errors.New("pin has no id")
	}
	for _, s := range []string{p.Kind, p.From, p.ID} {
		if strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f || r == '\uFFFD' }) {
			return fmt.Errorf("%q holds a control character or invalid UTF-8", s)
		}
	}
	return nil
}

// Encode returns the bytes of the file.
func (l *Lock) Encode() []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "{\n\t\"version\": %d,\n\t\"pins\": [", version)
	for i, p := range l.Pins() {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, "\n\t\t{\n\t\t\t\"kind\": %s,\n\t\t\t\"source\": %s,\n\t\t\t\"from\": %s,\n\t\t\t\"id\": %s\n\t\t}",
			quote(p.Kind), p.Source, quote(p.From), quote(p.ID))
	}
	if l.Len() > 0 {
		b.WriteString("\n\t")
	}
	b.WriteString("]\n}\n")
	return b.Bytes()
}

func quote(s string) []byte {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(s); err != nil {
		panic("lock: string is not JSON: " + err.Error())
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}

// Update changes the lock at path: it reads the file, calls change, and writes
// the file anew, whole or not at all, when something has changed. Other
// processes wait meanwhile, so that nobody's pins get lost. When the folder
// cannot be written to, the error is [ErrReadOnly].
func Update(path string, change func(*Lock) error) error {
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return fmt.Errorf("locking %s: %w", path, err)
	}
	defer dir.Close()
	// The folder itself is flocked: the file gets a new inode each time. Where
	// folders cannot be, two writers may at worst lose one of their pins,
	// which the next run adds again.
	flock(dir)
	l, err := Read(path)
	if err != nil {
		return err
	}
	before := l.Encode()
	if err := change(l); err != nil {
		return fmt.Errorf("changing %s: %w", path, err)
	}
	after := l.Encode()
	if bytes.Equal(before, after) {
		return nil
	}
	if err := replace(path, after); err != nil {
		if errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.EROFS) {
			err = fmt.Errorf("%w: %w", ErrReadOnly, err)
		}
		return fmt.Errorf("writing %s: %w", path, err)
	}
	return nil
}

func flock(f *os.File) {
	for unix.Flock(int(f.Fd()), unix.LOCK_EX) == unix.EINTR {
	}
}

// replace puts b at path by renaming a temporary file.
func replace(path string, b []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".pipe.lock-")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(b)
	if err == nil {
		err = f.Chmod(0o644)
	}
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}
