package cli

import (
	"errors"
	"io"
	"os"
	"sync"
	"syscall"

	"golang.org/x/term"
)

// An output is standard output. It remembers the first error, so that no
// command says that all is well while what it printed was lost.
type output struct {
	w io.Writer

	mu  sync.Mutex // guards err
	err error
}

// Write implements io.Writer.
func (o *output) Write(p []byte) (int, error) {
	n, err := o.w.Write(p)
	if err != nil {
		o.mu.Lock()
		defer o.mu.Unlock()
		if o.err == nil {
			o.err = err
		}
	}
	return n, err
}

// lost returns what kept output from being written. A reader that went away
// wanted no more.
func (o *output) lost() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if errors.Is(o.err, syscall.EPIPE) {
		return nil
	}
	return o.err
}

// terminal returns the terminal that is printed to, or nil.
func (a *app) terminal() *os.File {
	o, ok := a.out.(*output)
	if !ok {
		return nil
	}
	if f, ok := o.w.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		return f
	}
	return nil
}
