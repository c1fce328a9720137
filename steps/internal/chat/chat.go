// Package chat turns conversations into token ids with labels, through chat
// templates written in Jinja, as transformers does.
//
// Only what a model would itself write is supervised: the text of assistant
// messages and the stop token that ends each. Where an assistant's text begins
// is found by rendering the conversation before it with the generation prompt:
// that rendering must begin the whole one, as text and as tokens, so that
// training sees exactly what generation will see.
package chat

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/pipe-run/pipe/steps/internal/token"
)

// The kinds of template.
const (
	Model   = "model"  // the model's own
	ChatML  = "chatml" // <|im_start|>role … <|im_end|>
	Alpaca  = "alpaca" // Stanford Alpaca's instruction, input and response
	Llama3  = "llama3"
	Mistral = "mistral"
	Gemma   = "gemma"
	Phi3    = "phi3"
	Vicuna  = "vicuna"
	Zephyr  = "zephyr"
	Jinja   = "jinja" // given by the user
	None    = "none"  // no template: text, and prompts with completions
)

// Spec says which template to use. Jinja is its source for the kind Jinja; Date, as
// in "2026-01-31", is the day that templates are told that ask for one, "" for none.
type Spec struct{ Kind, Jinja, Date string }

// Template is a chat template together with the tokenizer it is used with. It
// is safe for use by many goroutines.
type Template struct {
	kind   string
	source string
	date   string  // "" for a template that asks for none
	engine *engine // nil for the kind None
	direct *direct // what the engine does, sooner; nil where it alone can
	tok    *token.Tokenizer
	stops  []int32 // sorted
	stop   map[int32]bool
	ends   bool // the template writes a stop token after an assistant's text
	plain  bool // what looks like special tokens is text
	train  Train
}

// Load returns the template spec names, for the model in dir and its tokenizer.
// It fails when the model has no template and Spec asks for it, when the
// template does not parse or render, or when it writes special tokens that the
// tokenizer does not have.
func Load(dir string, tok *token.Tokenizer, spec Spec) (*Template, error) {
	t := &Template{kind: spec.Kind, tok: tok}
	var err error
	switch spec.Kind {
	case Model:
		t.source, err = modelTemplate(dir)
	case Jinja:
		t.source = spec.Jinja
		if strings.TrimSpace(t.source) == "" {
			err = errors.New("the jinja template is empty")
		}
	default:
		b, ok := builtinTemplates()[spec.Kind]
		t.source, t.plain = b.source, b.plain
		if !ok {
			names := slices.Sorted(maps.Keys(builtinTemplates()))
			err = fmt.Errorf("template %q is none of model, %s and {jinja: …}", spec.Kind, strings.Join(names, ", "))
		} else if _, named := tok.EOS(); b.eos && !named {
			err = fmt.Errorf("the %s template ends each answer with the eos token, and the model's tokenizer names none", spec.Kind)
		}
	}
	if err != nil {
		return nil, err
	}
	if t.engine, err = compile(t.source); err != nil {
		return nil, fmt.Errorf("%s template: %w", t.kind, err)
	}
	if err := CheckDate(spec.Date); err != nil {
		return nil, err
	}
	if t.AsksDate() {
		t.date = spec.Date
	}
	if t.date == "" { // dates are the engine's
		t.direct = newDirect(rewrite(t.source))
	}
	t.setStops(tok.StopIDs())
	if err := t.probe(); err != nil {
		return nil, fmt.Errorf("%s template: %w", t.kind, err)
	}
	return t, nil
}

// Plain returns a Template without a chat template: it encodes text, and
// prompts with completions, and refuses conversations.
func Plain(tok *token.Tokenizer) *Template {
	t := &Template{kind: None, tok: tok}
	t.setStops(tok.StopIDs())
	return t
}

// Kind is one of the constants of this package.
func (t *Template) Kind() string { return t.kind }

// Source is the template's Jinja text, "" for the kind None.
func (t *Template) Source() string { return t.source }

// Digest is the SHA-256, in hex, of the template's Jinja text.
func (t *Template) Digest() string {
	sum := sha256.Sum256([]byte(t.source))
	return hex.EncodeToString(sum[:])
}

// StopIDs returns, sorted, the ids that end generation: every eos of the
// model's files and the token the template ends an assistant's text with.
func (t *Template) StopIDs() []int32 { return slices.Clone(t.stops) }

func (t *Template) setStops(ids []int32) {
	slices.Sort(ids)
	t.stops = slices.Compact(ids)
	t.stop = make(map[int32]bool, len(t.stops))
	for _, id := range t.stops {
		t.stop[id] = true
	}
}

// Render returns the text of a conversation. With generate it ends where an
// assistant's answer would begin.
func (t *Template) Render(ctx context.Context, messages []Message, tools string, generate bool) (string, error) {
	text, _, err := t.render(ctx, messages, tools, generate)
	return text, err
}

// render is Render; it returns too what the template marks with {% generation %}.
func (t *Template) render(ctx context.Context, messages []Message, tools string, generate bool) (string, []mark, error) {
	if t.engine == nil {
		return "", nil, errors.New("a conversation needs a chat template: say template: \"model\", \"chatml\", \"alpaca\" or {jinja: …}")
	}
	if ctx.Err() == nil {
		if text, marks, ok := t.renderDirect(messages, tools, generate); ok {
			return text, marks, nil
		}
	}
	return t.renderEngine(ctx, messages, tools, generate)
}

// renderEngine is render by the engine, which decides what is right.
func (t *Template) renderEngine(ctx context.Context, messages []Message, tools string, generate bool) (string, []mark, error) {
	vars, err := t.variables(messages, tools)
	if err != nil {
		return "", nil, err
	}
	vars["add_generation_prompt"] = generate
	return t.engine.render(ctx, vars)
}

// piece returns the spelling of a special token, "" if there is none.
func (t *Template) piece(id int32, ok bool) string {
	if !ok {
		return ""
	}
	piece, _ := t.tok.Piece(id)
	return piece
}

// The texts of the conversation that probe renders.
const (
	probeQuestion = "PIPEQUESTION"
	probeAnswer   = "PIPEANSWER"
)

// probe renders a small conversation to see that the template works, that the
// tokenizer has its tokens, and whether it ends an answer with one.
func (t *Template) probe() error {
	text, err := t.Render(context.Background(), []Message{
		{Role: "user", Content: probeQuestion}, {Role: "assistant", Content: probeAnswer},
	}, "", false)
	if err != nil {
		return err
	}
	_, after, ok := strings.Cut(text, probeAnswer)
	if !ok {
		return errors.New("it does not write the text of an assistant message")
	}
	for _, name := range markup().FindAllString(text, -1) {
		if t.plain {
			break
		}
		if _, ok := t.tok.ID(name); !ok || len(t.tok.Encode(name, false)) != 1 {
			return fmt.Errorf("it writes %s, which is not a token of the model's tokenizer: choose the model's own template, or alpaca, which needs no tokens of its own", name)
		}
	}
	ids := t.tok.Encode(after, false)
	if len(ids) > 0 && (t.stop[ids[0]] || t.tok.IsSpecial(ids[0])) {
		t.ends = true
		t.setStops(append(t.stops, ids[0]))
		return nil
	}
	if _, ok := t.tok.EOS(); !ok {
		return errors.New("it writes no stop token after an assistant's text, and the model's tokenizer names no eos to add")
	}
	return nil
}

// markup finds what templates write as single tokens.
var markup = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`<\|[A-Za-z0-9_:-]{1,64}\|>|<(?:start|end)_of_turn>`)
})

// modelTemplate returns the template stored with a model.
func modelTemplate(dir string) (string, error) {
	source, err := storedTemplate(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return "", errors.New("the model has no chat template of its own: choose template: \"chatml\", \"alpaca\" or {jinja: …}")
	}
	return source, err
}
