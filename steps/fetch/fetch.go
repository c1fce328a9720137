// Package fetch implements the fetch step: it brings outside bytes in and
// pins them, so that equal pins are equal bytes.
//
// Each kind of source is one file with the two methods of the interface
// source. Pinning happens in the parent, before the step's key is known; the
// step then brings the bytes and fails if they are not the pinned ones.
package fetch

import (
	"context"
	"errors"
	"fmt"

	"github.com/pipe-run/pipe/pipeline"
)

// Kind is the fetch step.
var Kind = kind()

func kind() pipeline.Kind {
	k := pipeline.Define("fetch", 1, run)
	k.Pin = pin
	k.Network = true
	k.HostTools = true // for package clients
	k.LocalOnly = true
	return k
}

// Params mirrors schemas/fetch.cue.
type Params struct {
	As      string `json:"as"`
	Source  Source `json:"source"`
	Unpack  string `json:"unpack"`
	Retries int    `json:"retries"`
	MaxSize string `json:"maxSize"`
}

// Source has exactly one field set.
type Source struct {
	File *File `json:"file"`
}

// A source is one place that bytes come from.
type source interface {
	// pin names the bytes.
	pin(ctx context.Context, q *pipeline.PinRequest) (pipeline.Pin, error)

	// fetch brings the bytes named by t.Pin into dir, which is empty, and
	// fails if they are not those.
	fetch(ctx context.Context, t *pipeline.Task, dir string) error
}

// of returns the one source that p names.
func (p *Params) of() (source, error) {
	switch s := p.Source; {
	case s.File != nil:
		return s.File, nil
	}
	return nil, &pipeline.FieldError{Field: "source", Err: errors.New("no source is given")}
}

func pin(ctx context.Context, q *pipeline.PinRequest) (pipeline.Pin, error) {
	p, err := pipeline.DecodeParams[Params](q.Params)
	if err != nil {
		return pipeline.Pin{}, err
	}
	s, err := p.of()
	if err != nil {
		return pipeline.Pin{}, err
	}
	return s.pin(ctx, q)
}

func run(ctx context.Context, p Params, t *pipeline.Task) error {
	s, err := p.of()
	if err != nil {
		return err
	}
	out, ok := t.Out[p.As]
	if !ok {
		return fmt.Errorf("no output %q", p.As)
	}
	return s.fetch(ctx, t, out)
}
