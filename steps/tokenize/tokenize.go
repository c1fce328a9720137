// Package tokenize implements the tokenize step: records become rows of token
// ids with labels, in the layout of Hugging Face datasets.
//
// Records are encoded in chunks cut by their content (chunk.go), each of which is
// a piece that is remembered (piece.go), whatever the rows made of it: other bounds
// and packings encode nothing anew. Then rows are made of the pieces (rows.go), or
// several documents are packed in one (pack.go, place.go).
//
// Only what the model would itself write is supervised, and every supervised
// row ends in a stop token (see package chat). A row longer than maxLength is
// an error unless the user said what to do with it.
package tokenize

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/pipe-run/pipe/pipeline"
	"github.com/pipe-run/pipe/steps/internal/answer"
	"github.com/pipe-run/pipe/steps/internal/artifact"
	"github.com/pipe-run/pipe/steps/internal/chat"
	"github.com/pipe-run/pipe/steps/internal/dataset"
	"github.com/pipe-run/pipe/steps/internal/decoder"
	"github.com/pipe-run/pipe/steps/internal/token"
)

// Kind is the tokenize step.
var Kind = kind()

func kind() pipeline.Kind {
	k := pipeline.Define("tokenize", 3, run)
	k.Vet, k.Shapes = vet, shapes
	return k
}

// vet refuses a template that is no Jinja, and a bound of what has none.
func vet(raw json.RawMessage, _ []string) error {
	p, err := pipeline.DecodeParams[Params](raw)
	if err != nil {
		return err
	}
	if err := chat.Spec(p.Template).Check(); err != nil {
		return &pipeline.FieldError{Field: "template.jinja", Err: err}
	}
	if err := chat.CheckDate(p.Date); err != nil {
		return &pipeline.FieldError{Field: "date", Err: err}
	}
	if p.Packing.Split && (p.OverLength == "drop" || p.OverLength == "truncate") {
		return &pipeline.FieldError{
			Field: "overLength", Err: errors.New("with packing.split no text is too long: it goes on in the next row"), Hint: "leave overLength out",
		}
	}
	return nil
}

// shapes refuses records of a shape that the parameters do not suit.
func shapes(raw json.RawMessage, inputs map[string]string) (string, error) {
	p, err := pipeline.DecodeParams[Params](raw)
	shape := inputs["records"]
	if err != nil || shape == "" {
		return "", err
	}
	return shape, p.fits(dataset.Shape(shape))
}

// Params mirrors schemas/tokenize.cue.
type Params struct {
	Template   answer.Template `json:"template"`
	Date       string          `json:"date"` // "" is none
	MaxLength  int             `json:"maxLength"`
	OverLength string          `json:"overLength"`
	Packing    Packing         `json:"packing"`
	Train      *Train          `json:"train"`
}

// Train chooses the messages that are trained on.
type Train struct {
	Roles []string `json:"roles"`
	Turns string   `json:"turns"`
}

// choice is what chat makes of it; a nil one is the default.
func (t *Train) choice() chat.Train {
	if t == nil {
		return chat.Train{}
	}
	return chat.Train{Roles: slices.Sorted(slices.Values(t.Roles)), Last: t.Turns == "last"}
}

func run(ctx context.Context, p Params, t *pipeline.Task) error {
	tok, err := token.Load(t.In["model"])
	if err != nil {
		return err
	}
	for _, w := range tok.Warnings() {
		t.Log.Warn(w)
	}
	records, err := dataset.OpenRecords(t.In["records"])
	if err != nil {
		return err
	}
	defer records.Close()
	if err := p.fits(records.Shape()); err != nil {
		return err
	}
	p.Template.Date = p.Date
	tpl, err := template(t.In["model"], tok, p.Template, string(records.Shape()))
	if err != nil {
		return &pipeline.FieldError{Field: "template", Err: err}
	}
	if p.Date != "" && !tpl.AsksDate() {
		return answer.NotAsked()
	}
	e, err := newEncoder(p, t, tpl.With(p.Train.choice()))
	if err != nil {
		return err
	}
	defer e.close()
	if err := e.all(ctx, records); err != nil {
		return err
	}
	if err := e.judge(); err != nil {
		return err
	}
	pairs := records.Shape() == dataset.Preference
	out := t.Out["tokens"]
	if err := e.write(ctx, out, pairs); err != nil {
		return err
	}
	e.report()
	return artifact.Write(out, artifact.Provenance{
		Type: pipeline.TypeTokens, Tokenizer: tok.Digest(), ChatTemplate: identity(tpl), Pairs: pairs,
	})
}

// fits refuses what makes no sense for records of a shape.
func (p Params) fits(shape dataset.Shape) error {
	refuse := func(field, hint, format string, args ...any) error {
		return &pipeline.FieldError{Field: field, Err: fmt.Errorf(format, args...), Hint: hint}
	}
	switch conversation := shape == dataset.Messages; {
	case shape == dataset.Judged:
		return refuse("in.records", `keep the good ones as conversations: in the step that converts them, leave kto out or say kto: keep: "desirable"`, "the records are judged answers, good and bad, of which the bad must not be learnt")
	case p.Packing.On && shape == dataset.Preference:
		return refuse("packing", "leave packing out", "the records are pairs, each of which makes a row of its own")
	case p.Packing.Split && (conversation || shape == dataset.PromptCompletion):
		return refuse("packing.split", "say packing: true", "an answer cut off from what it answers teaches nothing: only text is split, and these records are of shape %q", shape)
	case p.Train != nil && !conversation:
		return refuse("train", "leave train out", "it chooses among the messages of conversations, and these records are of shape %q", shape)
	}
	return nil
}

// template loads the template for records of a shape. Only conversations have
// one; the schema's default is no choice for the others.
func template(dir string, tok *token.Tokenizer, given answer.Template, shape string) (*chat.Template, error) {
	switch shape {
	case chat.Messages, chat.Preference:
		return chat.Load(dir, tok, chat.Spec(given))
	}
	if given.Kind != chat.Model {
		return nil, fmt.Errorf("a template is for conversations, and these records are of shape %q", shape)
	}
	return chat.Plain(tok), nil
}

// identity is what later steps need to use the same template.
func identity(t *chat.Template) *artifact.ChatTemplate {
	id := &artifact.ChatTemplate{Kind: t.Kind(), Date: t.Date()}
	if t.Kind() != chat.None {
		id.Digest = t.Digest()
	}
	if t.Kind() == chat.Jinja {
		id.Jinja = t.Source()
	}
	return id
}

// positions is how many positions the model has; a model whose configuration
// says nothing that pipe understands bounds nothing here.
func positions(dir string) int {
	if c, err := decoder.ReadConfig(dir); err == nil {
		return c.MaxPositions
	}
	return 1 << 30
}
