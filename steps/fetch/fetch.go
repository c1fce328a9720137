// Package fetch implements the fetch step: it brings outside bytes in and
// pins them, so that equal pins are equal bytes.
//
// Each kind of source is one file with the two methods of the interface
// source. Pinning happens in the parent, before the step's key is known; the
// step then brings the bytes and fails if they are not the pinned ones.
package fetch

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/pipe-run/pipe/pipeline"
	"github.com/pipe-run/pipe/steps/internal/artifact"
)

// Kind is the fetch step.
var Kind = kind()

func kind() pipeline.Kind {
	k := pipeline.Define("fetch", 1, run)
	k.Pin = pin
	k.Vet = vet
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
	File        *File        `json:"file"`
	HTTP        *HTTP        `json:"http"`
	HuggingFace *HuggingFace `json:"huggingface"`
	Package     *Package     `json:"package"`
}

// A source is one place that bytes come from.
type source interface {
	// pin names the bytes.
	pin(ctx context.Context, p *Params, q *pipeline.PinRequest) (pipeline.Pin, error)

	// fetch brings the bytes named by t.Pin into dir, which is empty, and
	// fails if they are not those.
	fetch(ctx context.Context, p *Params, t *pipeline.Task, dir string) error

	// origin is what provenance says of the source, given its pin.
	origin(pin string) artifact.Source
}

// of returns the one source that p names.
func (p *Params) of() (source, error) {
	switch s := p.Source; {
	case s.File != nil:
		return s.File, nil
	case s.HTTP != nil:
		return s.HTTP, nil
	case s.HuggingFace != nil:
		return s.HuggingFace, nil
	case s.Package != nil:
		return s.Package, nil
	}
	return nil, &pipeline.FieldError{Field: "source", Err: errors.New("no source is given")}
}

func pin(ctx context.Context, q *pipeline.PinRequest) (pipeline.Pin, error) {
	var p Params // run refuses what it does not know, at more cost
	if err := json.Unmarshal(q.Params, &p); err != nil {
		return pipeline.Pin{}, fmt.Errorf("decoding parameters: %w", err)
	}
	s, err := p.of()
	if err != nil {
		return pipeline.Pin{}, err
	}
	return s.pin(ctx, &p, q)
}

// run brings the bytes to tmp/, gives them their shape there, and moves them
// to the output.
func run(ctx context.Context, p Params, t *pipeline.Task) error {
	s, err := p.of()
	if err != nil {
		return err
	}
	out, ok := t.Out[p.As]
	if !ok {
		return fmt.Errorf("no output %q", p.As)
	}
	dir := filepath.Join(t.Tmp, "fetched")
	if err := os.Mkdir(dir, 0o777); err != nil {
		return err
	}
	if err := s.fetch(ctx, &p, t, dir); err != nil {
		return err
	}
	if dir, err = p.unpack(ctx, t, dir); err != nil {
		return err
	}
	switch p.As {
	case "model":
		err = model(ctx, t, dir, out, s.origin(t.Pin))
	case "adapter":
		err = adapter(dir, out, s.origin(t.Pin))
	default:
		err = move(dir, out)
	}
	return blame("as", err)
}

// move moves what is in src to dst.
func move(src, dst string) error {
	entries, err := os.ReadDir(src)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if err := os.Rename(filepath.Join(src, e.Name()), filepath.Join(dst, e.Name())); err != nil {
			return err
		}
	}
	return nil
}
