// Package kin compares what artifacts were made from, for steps that use
// two of them together: tokens and the tokenizer of a model, an adapter and the
// model that it was trained on. What does not say where it comes from, such as
// an adapter of another program, is taken as it is.
package kin

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"github.com/pipe-run/pipe/pipeline"
	"github.com/pipe-run/pipe/steps/internal/artifact"
	"github.com/pipe-run/pipe/steps/internal/token"
)

// A Tokenizer reads the tokenizer of a model when it is first asked for; nil is
// that of a model without one.
type Tokenizer func() (*token.Tokenizer, error)

// In is the tokenizer of the model in a directory.
func In(dir string) Tokenizer {
	return sync.OnceValues(func() (*token.Tokenizer, error) { return load(dir) })
}

// Of is the tokenizer of a model of which only the files are given, as pipe plan
// has it.
func Of(model fs.FS) Tokenizer {
	return sync.OnceValues(func() (*token.Tokenizer, error) {
		dir, err := os.MkdirTemp("", "pipe-tokenizer-")
		if err != nil {
			return nil, err
		}
		defer os.RemoveAll(dir)
		for _, name := range artifact.SideFiles() {
			if err := extract(model, name, dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return nil, fmt.Errorf("reading the model's tokenizer: %w", err)
			}
		}
		return load(dir)
	})
}

func load(dir string) (*token.Tokenizer, error) {
	tok, err := token.Load(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, &pipeline.FieldError{Field: "in.model", Err: fmt.Errorf("reading the model's tokenizer: %w", err)}
	}
	return tok, nil
}

// maxSide bounds the size of a file beside the weights.
const maxSide = 256 << 20

// extract copies one file of a model to dir.
func extract(model fs.FS, name, dir string) error {
	in, err := model.Open(name)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.Create(filepath.Join(dir, name))
	if err != nil {
		return err
	}
	n, err := io.Copy(out, io.LimitReader(in, maxSide+1))
	if err == nil && n > maxSide {
		err = fmt.Errorf("%s is larger than %d bytes", name, maxSide)
	}
	return errors.Join(err, out.Close())
}

// Tokens refuses tokens, in the input called in, that another tokenizer than
// the model's made. It says whether that is known of both.
func Tokens(in string, from artifact.Provenance, model Tokenizer) (known bool, err error) {
	if from.Tokenizer == "" {
		return false, nil
	}
	tok, err := model()
	if err != nil || tok == nil {
		return false, err
	}
	if d := tok.Digest(); d != from.Tokenizer {
		return true, &pipeline.FieldError{
			Field: "in." + in, Err: fmt.Errorf("made with another tokenizer than the model's: its digest is %s, the model's %s", brief(from.Tokenizer), brief(d)),
			Hint: "tokenize with in: model of the same model",
		}
	}
	return true, nil
}

// A Model is what is known of a model that an adapter is used with.
type Model struct {
	From      artifact.Provenance
	Digest    string // of the artifact
	Tokenizer Tokenizer
}

// Original is the digest of the model before it was quantized, or of the model
// itself.
func (m Model) Original() string {
	switch {
	case m.From.Quantization == nil:
		return m.Digest
	case m.From.Original != "":
		return m.From.Original
	}
	return m.From.Base
}

// Related says whether an adapter was trained on this model or on a sibling,
// quantized or not, as far as both record it.
func (m Model) Related(adapter artifact.Provenance) bool {
	return adapter.Base == "" || adapter.Base == m.Digest || adapter.Base == m.Original() ||
		adapter.Original != "" && adapter.Original == m.Original()
}

// check refuses the adapter in a step's inputs adapter and model, given as files,
// as Adapter does. digest is that of the model as far as it is known; otherwise
// digested computes it when it is needed.
func check(model, adapter fs.FS, tok Tokenizer, digest pipeline.Digest, digested func() (string, error)) error {
	from, err := artifact.ReadFS(adapter)
	if err != nil {
		return &pipeline.FieldError{Field: "in.adapter", Err: err}
	}
	if from.Base == "" && from.Tokenizer == "" {
		return nil
	}
	m := Model{Tokenizer: tok}
	if m.From, err = artifact.ReadFS(model); err != nil {
		return &pipeline.FieldError{Field: "in.model", Err: err}
	}
	if !digest.IsZero() {
		m.Digest = digest.String()
	} else if m.Digest, err = digested(); err != nil {
		return err
	}
	return m.Adapter(from)
}

// Run refuses the adapter of a step that runs, if it has one and it was trained
// on another model than the step's, or on tokens of another tokenizer.
func Run(t *pipeline.Task) error {
	model := t.In["model"]
	if t.In["adapter"] == "" {
		return nil
	}
	return check(os.DirFS(model), os.DirFS(t.In["adapter"]), In(model), t.Digests["model"],
		func() (string, error) { return artifact.Digest(model) })
}

// Plan does so for a step that is planned, as far as its inputs exist and their
// digests are known.
func Plan(q *pipeline.EstimateRequest) error {
	model, adapter := q.Inputs["model"], q.Inputs["adapter"]
	if model == nil || adapter == nil || q.Digests["model"].IsZero() {
		return nil
	}
	return check(model, adapter, Of(model), q.Digests["model"], nil)
}

// Adapter refuses an adapter, in the input adapter, that was trained on another
// model, or on tokens of another tokenizer.
func (m Model) Adapter(adapter artifact.Provenance) error {
	if !m.Related(adapter) {
		return &pipeline.FieldError{
			Field: "in.adapter", Err: fmt.Errorf("trained on another model than in.model: that one's digest is %s, this one's %s", brief(adapter.Base), brief(m.Digest)),
			Hint: "give the model that it was trained on, or one that was quantized from it",
		}
	}
	if adapter.Tokenizer == "" || adapter.Base != "" && adapter.Base == m.Digest {
		return nil // training compared them
	}
	tok, err := m.Tokenizer()
	if err != nil || tok == nil {
		return err
	}
	if d := tok.Digest(); d != adapter.Tokenizer {
		return &pipeline.FieldError{
			Field: "in.adapter", Err: fmt.Errorf("trained with another tokenizer than the model's: its digest is %s, the model's %s", brief(adapter.Tokenizer), brief(d)),
			Hint: "give the model that it was trained on, or one that was quantized from it",
		}
	}
	return nil
}

// brief is the beginning of a digest, which tells two of them apart.
func brief(digest string) string { return digest[:min(len(digest), 12)] }
