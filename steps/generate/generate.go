// Package generate lets a person try a model, with its adapter or without. It
// is a door for the command line and no step: nothing it writes is an artifact.
package generate

import (
	"context"
	"fmt"
	"io"

	"github.com/pipe-run/pipe/steps/internal/answer"
	"github.com/pipe-run/pipe/steps/internal/chat"
	"github.com/pipe-run/pipe/steps/internal/decoder"
)

// Options say what to generate.
type Options struct {
	// Model is a model directory; Adapter an adapter directory, or empty.
	Model, Adapter string
	// Prompt is what the model is asked.
	Prompt string
	// System is a system message put before the prompt, or empty.
	System string
	// Template is "model", a built-in template's name, "none" (the prompt is
	// continued as plain text) or Jinja source; empty chooses what training used, else the model's,
	// else none.
	Template string
	// Date is the day that a template is told which asks for one, as in "2026-01-31";
	// empty is what training recorded, else Today.
	Date string
	// Today is the day it is; empty refuses a template that asks.
	Today string
	// MaxNewTokens is how many tokens are generated at most; 0 means 256.
	MaxNewTokens int
	// Temperature above 0 samples; 0 takes the likeliest token.
	Temperature float64
	// TopP, when sampling, keeps the likeliest tokens that together have at least
	// this probability; 0 means all.
	TopP float64
	// Seed makes sampling repeatable.
	Seed uint64
	// Threads is how many cores to use; at least 1.
	Threads int
}

// defaultNewTokens is MaxNewTokens when it is 0.
const defaultNewTokens = 256

// Text generates an answer and writes it to w as it comes, without special
// tokens. It ends with the model's stop token, after MaxNewTokens, or when ctx
// is done, with its error.
func Text(ctx context.Context, o Options, w io.Writer) error {
	if err := o.Check(); err != nil {
		return err
	}
	m, err := answer.Open(o.Model, o.Adapter, o.Threads)
	if err != nil {
		return err
	}
	m.Date, m.Today = o.Date, o.Today
	template, prompt, err := o.prompt(ctx, m)
	if err != nil {
		return err
	}
	limits := decoder.Limits{MaxNewTokens: o.MaxNewTokens, Stop: m.Stops(template)}
	if limits.MaxNewTokens == 0 {
		limits.MaxNewTokens = defaultNewTokens
	}
	choose := decoder.Greedy
	if o.Temperature > 0 {
		choose = decoder.Sampler(o.Seed, o.Temperature, o.TopP)
	}
	stream := m.Tokenizer.Stream(true)
	var failed error
	err = m.NewSession(o.Threads).Generate(ctx, prompt, limits, choose, func(id int32) bool {
		_, failed = io.WriteString(w, stream.Next(id))
		return failed == nil
	})
	if err == nil {
		err = failed
	}
	if err == nil {
		_, err = io.WriteString(w, stream.Flush())
	}
	return err
}

// Check says what is wrong with the options themselves.
func (o Options) Check() error {
	if err := chat.CheckDate(o.Date); err != nil {
		return err
	}
	switch {
	case o.Threads < 1:
		return fmt.Errorf("%d threads: want at least 1", o.Threads)
	case o.MaxNewTokens < 0:
		return fmt.Errorf("%d new tokens: want at least 1", o.MaxNewTokens)
	case !(o.Temperature >= 0 && o.Temperature <= 100):
		return fmt.Errorf("temperature %g: want 0 to 100", o.Temperature)
	case !(o.TopP >= 0 && o.TopP <= 1):
		return fmt.Errorf("top-p %g: want 0 to 1", o.TopP)
	case o.TopP > 0 && o.Temperature == 0:
		return fmt.Errorf("top-p %g without a temperature: it takes part in sampling only", o.TopP)
	}
	return nil
}

// prompt returns the template in force and the ids the model starts from.
func (o Options) prompt(ctx context.Context, m *answer.Model) (*chat.Template, []int32, error) {
	if o.plain(m) {
		if o.System != "" {
			return nil, nil, fmt.Errorf("a system message needs a chat template")
		}
		t, err := m.Template(nil, chat.PromptCompletion)
		if err != nil {
			return nil, nil, err
		}
		ids, _, err := t.Question(ctx, chat.Record{Shape: chat.PromptCompletion, Prompt: o.Prompt})
		return t, ids, err
	}
	t, err := m.Template(o.template(), chat.Messages)
	if err != nil {
		return nil, nil, err
	}
	var messages []chat.Message
	if o.System != "" {
		messages = append(messages, chat.Message{Role: "system", Content: o.System})
	}
	ids, err := t.Prompt(ctx, append(messages, chat.Message{Role: "user", Content: o.Prompt}), "")
	return t, ids, err
}

// plain says whether the prompt is continued as text.
func (o Options) plain(m *answer.Model) bool {
	return o.Template == chat.None || (o.Template == "" && !m.Chats())
}

// template is the user's choice, nil for none.
func (o Options) template() *answer.Template {
	switch {
	case o.Template == "":
		return nil
	case chat.Named(o.Template):
		return &answer.Template{Kind: o.Template}
	}
	return &answer.Template{Kind: chat.Jinja, Jinja: o.Template}
}
