// Package answer opens a model to be asked: its weights with an adapter or
// without, its tokenizer, and the chat template it was trained with.
package answer

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/pipe-run/pipe/pipeline"
	"github.com/pipe-run/pipe/steps/internal/artifact"
	"github.com/pipe-run/pipe/steps/internal/chat"
	"github.com/pipe-run/pipe/steps/internal/decoder"
	"github.com/pipe-run/pipe/steps/internal/lora"
	"github.com/pipe-run/pipe/steps/internal/token"
)

// Template is the parameter "template" of a step: "model", a built-in one's name
// or {"jinja": source}. A nil one leaves the choice to what training recorded.
type Template chat.Spec

// UnmarshalJSON reads a name or an object with the key jinja.
func (t *Template) UnmarshalJSON(b []byte) error {
	var name string
	if json.Unmarshal(b, &name) == nil {
		*t = Template{Kind: name}
		return nil
	}
	var given struct {
		Jinja string `json:"jinja"`
	}
	if err := json.Unmarshal(b, &given); err != nil || given.Jinja == "" {
		return fmt.Errorf("template: want \"model\", the name of a built-in template or {jinja: …}")
	}
	*t = Template{Kind: chat.Jinja, Jinja: given.Jinja}
	return nil
}

// MarshalJSON writes what UnmarshalJSON reads.
func (t Template) MarshalJSON() ([]byte, error) {
	if t.Kind == chat.Jinja {
		return json.Marshal(map[string]string{"jinja": t.Jinja})
	}
	return json.Marshal(t.Kind)
}

// Model is a model ready to be asked. It is safe for concurrent use.
type Model struct {
	*decoder.Model
	Tokenizer *token.Tokenizer
	Date      string // that templates are told; "" is what was recorded, else Today
	Today     string // "" for none: a template that asks is refused
	dir       string
	trained   *artifact.ChatTemplate // what the adapter, else the model, was trained with
}

// Open opens the model directory dir with the adapter in a directory, "" for
// none.
func Open(dir, adapter string, threads int) (*Model, error) {
	c, err := decoder.ReadConfig(dir)
	if err != nil {
		return nil, &pipeline.FieldError{Field: "in.model", Err: err}
	}
	var a *lora.Adapter
	if adapter != "" { // before the weights: what does not fit is found at once
		if a, err = lora.Read(adapter); err != nil {
			return nil, err
		}
		if err := a.Check(c); err != nil {
			return nil, &pipeline.FieldError{Field: "in.adapter", Err: err}
		}
	}
	tok, err := token.Load(dir)
	if err != nil {
		return nil, err
	}
	w, err := decoder.Load(dir, threads, decoder.Infer)
	if err != nil {
		return nil, err
	}
	m := &Model{Model: w, Tokenizer: tok, dir: dir}
	if m.trained, err = trainedWith(dir, adapter); err != nil {
		return nil, err
	}
	if a == nil {
		return m, nil
	}
	return m, a.Attach(w, dir, threads)
}

// trainedWith returns the template that an adapter records, else the one that
// the model does, such as one an adapter was merged into; nil for neither.
func trainedWith(model, adapter string) (*artifact.ChatTemplate, error) {
	if adapter != "" {
		p, err := artifact.Read(adapter)
		if err != nil {
			return nil, fmt.Errorf("adapter: %w", err)
		}
		if p.ChatTemplate != nil {
			return p.ChatTemplate, nil
		}
	}
	p, err := artifact.Read(model)
	if err != nil {
		return nil, fmt.Errorf("model: %w", err)
	}
	return p.ChatTemplate, nil
}

// Template returns the template to use for records of a shape. given is the
// user's choice. Without one it is what the adapter or the model was trained
// with, if that is recorded, else the model's own. Records that are no
// conversations have none.
func (m *Model) Template(given *Template, shape string) (*chat.Template, error) {
	if shape != chat.Messages && shape != chat.Preference {
		if given != nil {
			return nil, fmt.Errorf("a template is for conversations, and these records are of shape %q", shape)
		}
		return chat.Plain(m.Tokenizer), nil
	}
	if given != nil {
		return chat.Load(m.dir, m.Tokenizer, chat.Spec{Kind: given.Kind, Jinja: given.Jinja, Date: m.date()})
	}
	recorded := m.trained
	if recorded == nil || recorded.Kind == chat.None {
		return chat.Load(m.dir, m.Tokenizer, chat.Spec{Kind: chat.Model, Date: m.date()})
	}
	t, err := chat.Load(m.dir, m.Tokenizer, chat.Spec{Kind: recorded.Kind, Jinja: recorded.Jinja, Date: m.date()})
	if err != nil {
		return nil, fmt.Errorf("the recorded template: %w", err)
	}
	if recorded.Digest != "" && recorded.Digest != t.Digest() {
		return nil, fmt.Errorf("training used another %s template than this model has: say which template to use", recorded.Kind)
	}
	return t, nil
}

// NotAsked is the error of a step that is given a date its template does not ask for.
func NotAsked() error {
	return &pipeline.FieldError{Field: "date", Err: errors.New("the template does not ask for the date"), Hint: "leave date out"}
}

// date is the day that templates are told.
func (m *Model) date() string {
	recorded := ""
	if m.trained != nil {
		recorded = m.trained.Date
	}
	return cmp.Or(m.Date, recorded, m.Today)
}

// Stops returns the ids that end an answer: the template's and the model's.
func (m *Model) Stops(t *chat.Template) []int32 {
	return append(t.StopIDs(), m.Stop...)
}

// Answer generates greedily after prompt and returns the text, without special
// tokens. A prompt that leaves no position free gets an empty answer.
func (m *Model) Answer(ctx context.Context, s *decoder.Session, prompt []int32, l decoder.Limits) (string, error) {
	if len(prompt) > m.MaxPositions {
		return "", nil
	}
	s.Reset()
	ids, err := s.Complete(ctx, slices.Clone(prompt), l)
	if err != nil {
		return "", err
	}
	return m.Tokenizer.Decode(ids, true), nil
}

// Chats says whether conversations have a template without the user naming
// one: training recorded one, or the model has its own.
func (m *Model) Chats() bool {
	if m.trained != nil {
		return m.trained.Kind != chat.None
	}
	_, err := chat.Load(m.dir, m.Tokenizer, chat.Spec{Kind: chat.Model, Date: m.date()})
	return err == nil
}
