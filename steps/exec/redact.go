package exec

import (
	"bytes"
	"cmp"
	"io"
	"slices"

	"github.com/pipe-run/pipe/pipeline"
)

// minSecret is the length in bytes from which a secret is told from other text.
const minSecret = 4

// A redactor writes what a program prints, with its secrets as ***. Of what it
// has been given it holds back only an end that may be the start of a secret.
type redactor struct {
	to      io.Writer
	secrets [][]byte
	held    []byte
}

// redact returns a redactor of the secrets that p hands to its program, or nil
// when there are none.
func redact(p Params, t *pipeline.Task, to io.Writer) *redactor {
	r := &redactor{to: to}
	for _, s := range p.Secrets {
		if v, ok := t.Secret(s.Name); ok && len(v) >= minSecret {
			r.secrets = append(r.secrets, []byte(v))
		}
	}
	if len(r.secrets) == 0 {
		return nil
	}
	slices.SortFunc(r.secrets, func(a, b []byte) int { // one may hold another
		return cmp.Or(len(b)-len(a), bytes.Compare(a, b))
	})
	return r
}

func (r *redactor) Write(b []byte) (int, error) {
	r.held = append(r.held, b...)
	return len(b), r.flush(false)
}

// Close writes what is held back.
func (r *redactor) Close() error { return r.flush(true) }

// flush writes what is held up to where a secret may have begun; at the end of
// the text all of it.
func (r *redactor) flush(end bool) error {
	var out []byte
	b := r.held
	for len(b) > 0 {
		secret, open := r.match(b)
		if open && !end {
			break
		}
		if secret > 0 {
			out, b = append(out, "***"...), b[secret:]
		} else {
			out, b = append(out, b[0]), b[1:]
		}
	}
	r.held = slices.Clone(b)
	_, err := r.to.Write(out)
	return err
}

// match returns the length of the longest secret that b begins with, or 0, and
// whether b may yet turn out to begin with a longer one.
func (r *redactor) match(b []byte) (n int, open bool) {
	for _, s := range r.secrets {
		switch {
		case bytes.HasPrefix(b, s):
			return len(s), open
		case len(b) < len(s) && bytes.HasPrefix(s, b):
			open = true
		}
	}
	return 0, open
}
