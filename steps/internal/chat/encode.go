package chat

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/pipe-run/pipe/steps/internal/token"
)

// Unsupervised is the label of a token that the loss does not look at.
const Unsupervised = -100

// Encoded is a record as a model is trained on it. Labels[i] is IDs[i] where the
// token is supervised, else Unsupervised; the first never is, since nothing
// precedes it. The last token is supervised and a stop token.
type Encoded struct {
	IDs        []int32
	Labels     []int64
	Weights    []float32 // share of each token in the loss; nil where all that is supervised counts in full
	Supervised int       // how many labels are not Unsupervised
	Lost       []string  // what of the record the template did not write, sorted: roles, "tools", …
}

// ErrNothing is wrapped by the errors of records in which nothing would be
// supervised.
var ErrNothing = errors.New("nothing in the record would be supervised")

// ErrPrefix is wrapped by the errors of records whose prompt is not how their
// whole begins, so that training would see other tokens than generation does.
var ErrPrefix = errors.New("the prompt is not how the whole begins")

// Encode returns the ids and labels of a record. Of a conversation, what With
// chose is supervised (see mask.go), each message with the stop token that ends
// it, and what follows the last of them is left out; where the template ends
// them with none, the last gets the model's eos. Of a prompt with its
// completion, the completion and an eos are; of text, all of it and an eos; of
// segments, those that say so, and an eos after the last.
//
// As in transformers, special tokens spelled out in a message become special
// tokens; a stop token in an assistant's text is an error.
func (t *Template) Encode(ctx context.Context, r Record) (Encoded, error) {
	switch r.Shape {
	case Messages:
		return t.encodeMessages(ctx, r)
	case PromptCompletion:
		return t.encodeCompletion(r)
	case Text:
		return t.encodeText(r.Text)
	case Segments:
		return t.encodeSegments(r.Segments)
	}
	return Encoded{}, fmt.Errorf("records of shape %q cannot be tokenized", r.Shape)
}

// EncodePair returns the two conversations of a preference. Only what follows
// the messages that they have in common is supervised.
func (t *Template) EncodePair(ctx context.Context, r Record) (chosen, rejected Encoded, err error) {
	if r.Shape != Preference {
		return chosen, rejected, fmt.Errorf("records of shape %q hold no pairs", r.Shape)
	}
	if chosen, err = t.encodeSide(ctx, r, r.Chosen); err != nil {
		return chosen, rejected, fmt.Errorf("chosen: %w", err)
	}
	if rejected, err = t.encodeSide(ctx, r, r.Rejected); err != nil {
		return chosen, rejected, fmt.Errorf("rejected: %w", err)
	}
	return chosen, rejected, nil
}

func (t *Template) encodeSide(ctx context.Context, r Record, side []Message) (Encoded, error) {
	none := 0.0
	whole := Record{Shape: Messages, Tools: r.Tools}
	for _, m := range r.Messages {
		m.Weight = &none
		whole.Messages = append(whole.Messages, m)
	}
	for _, m := range side {
		if m.Weight != nil && *m.Weight != 0 && *m.Weight != 1 {
			return Encoded{}, fmt.Errorf("its weight is %v: the answers of a pair count in full", *m.Weight)
		}
	}
	whole.Messages = append(whole.Messages, side...)
	return t.encodeMessages(ctx, whole)
}

// Prompt returns the ids of a conversation up to where an assistant's answer
// begins.
func (t *Template) Prompt(ctx context.Context, messages []Message, tools string) ([]int32, error) {
	text, err := t.Render(ctx, messages, tools, true)
	if err != nil {
		return nil, err
	}
	return t.ids(text)
}

// Question splits a record into the prompt a model is given, and the answer the
// record has for it: its last assistant message, or its completion. A record
// of text has neither.
func (t *Template) Question(ctx context.Context, r Record) (prompt []int32, answer string, err error) {
	switch r.Shape {
	case Messages:
		for i := len(r.Messages) - 1; i >= 0; i-- {
			if r.Messages[i].Role == "assistant" {
				prompt, err = t.Prompt(ctx, r.Messages[:i], r.Tools)
				return prompt, r.Messages[i].Content, err
			}
		}
		return nil, "", fmt.Errorf("no message is an assistant's: %w", ErrNothing)
	case PromptCompletion:
		prompt, err = t.raw(r.Prompt)
		return prompt, r.Completion, err
	case Preference:
		prompt, err = t.Prompt(ctx, slices.Concat(r.Messages, r.Chosen[:len(r.Chosen)-1]), r.Tools)
		return prompt, r.Chosen[len(r.Chosen)-1].Content, err
	}
	return nil, "", fmt.Errorf("records of shape %q hold no prompt to answer", r.Shape)
}

// common shows where two texts part.
func common(a, b string) string {
	n := 0
	for n < min(len(a), len(b)) && a[n] == b[n] {
		n++
	}
	return tail(a[:n])
}

// tail quotes the end of a text.
func tail(s string) string {
	if len(s) > 24 {
		s = strings.ToValidUTF8(s[len(s)-24:], "")
	}
	return fmt.Sprintf("%q", s)
}

// encodeCompletion supervises a completion and the eos after it.
func (t *Template) encodeCompletion(r Record) (Encoded, error) {
	if r.Completion == "" {
		return Encoded{}, fmt.Errorf("the completion is empty: %w", ErrNothing)
	}
	prompt, err := t.raw(r.Prompt)
	if err != nil {
		return Encoded{}, err
	}
	ids, err := t.raw(r.Prompt + r.Completion)
	if err != nil {
		return Encoded{}, err
	}
	if len(prompt) > len(ids) || !slices.Equal(prompt, ids[:len(prompt)]) {
		return Encoded{}, fmt.Errorf("%w: a token spans the end of the prompt %s and the beginning of the completion; let the completion begin with the space between them", ErrPrefix, tail(r.Prompt))
	}
	row := newRow(ids)
	row.supervise(len(prompt), len(ids), 1)
	return t.finish(row)
}

// encodeText supervises a text and the eos after it.
func (t *Template) encodeText(text string) (Encoded, error) {
	if text == "" {
		return Encoded{}, fmt.Errorf("the text is empty: %w", ErrNothing)
	}
	ids, err := t.raw(text)
	if err != nil {
		return Encoded{}, err
	}
	row := newRow(ids)
	row.supervise(0, len(ids), 1)
	return t.finish(row)
}

// finish ends a row with the eos token unless it ends in a stop token.
func (t *Template) finish(row Encoded) (Encoded, error) {
	if n := len(row.IDs); n == 0 || !t.stop[row.IDs[n-1]] || row.Labels[n-1] == Unsupervised {
		eos, ok := t.tok.EOS()
		if !ok {
			return Encoded{}, errors.New("a supervised row must end in a stop token, and the model's files name no eos: add eos_token to its tokenizer_config.json")
		}
		row.IDs, row.Labels = append(row.IDs, eos), append(row.Labels, int64(eos))
		if row.Weights != nil {
			row.Weights = append(row.Weights, row.Weights[len(row.Weights)-1])
		}
	}
	return row.check(t)
}

// check counts what is supervised and sees that the row ends as it must.
func (row Encoded) check(t *Template) (Encoded, error) {
	row.Supervised = 0
	for i, label := range row.Labels {
		if i == 0 {
			row.Labels[i] = Unsupervised
			if row.Weights != nil {
				row.Weights[i] = 0
			}
		} else if label != Unsupervised {
			row.Supervised++
		}
	}
	if row.Supervised == 0 {
		return Encoded{}, fmt.Errorf("%w: %s", ErrNothing, t.train.nothing())
	}
	if last := row.IDs[len(row.IDs)-1]; !t.stop[last] {
		return Encoded{}, errors.New("the row does not end in a stop token")
	}
	return row, nil
}

// newRow returns ids with nothing supervised.
func newRow(ids []int32) Encoded {
	labels := make([]int64, len(ids))
	for i := range labels {
		labels[i] = Unsupervised
	}
	return Encoded{IDs: ids, Labels: labels}
}

// supervise labels the tokens [start, end), each with a weight above 0.
func (row *Encoded) supervise(start, end int, weight float64) {
	if weight != 1 && row.Weights == nil {
		row.Weights = make([]float32, len(row.IDs))
		for i, label := range row.Labels {
			if label != Unsupervised {
				row.Weights[i] = 1
			}
		}
	}
	for i := start; i < end; i++ {
		row.Labels[i] = int64(row.IDs[i])
		if row.Weights != nil {
			row.Weights[i] = float32(weight)
		}
	}
}

// cut leaves the first n tokens.
func (row *Encoded) cut(n int) {
	row.IDs, row.Labels = row.IDs[:n], row.Labels[:n]
	if row.Weights != nil {
		row.Weights = row.Weights[:n]
	}
}

// ids encodes rendered text. A model's own template is taken to write every
// special token itself, as in transformers; to text of the others the BOS
// that the tokenizer adds is added unless they begin with it.
func (t *Template) ids(text string) ([]int32, error) {
	return t.single(t.tok.AppendEncode(t.front(text), text, false))
}

// idsOf is ids of a text whose prefixes will be asked for.
func (t *Template) idsOf(text string) ([]int32, *token.Parts, error) {
	ids, parts := t.tok.AppendEncodeParts(t.front(text), text)
	ids, err := t.single(ids)
	return ids, parts, err
}

// front is what stands before rendered text.
func (t *Template) front(text string) []int32 {
	ids := make([]int32, 0, len(text)/3+8)
	bos, ok := t.tok.BOS()
	if ok && t.kind != Model && t.tok.AddsBOS() && !strings.HasPrefix(text, t.piece(bos, ok)) {
		ids = append(ids, bos)
	}
	return ids
}

// raw encodes text that no template wrote: the tokenizer's BOS, if it adds
// one and the text does not begin with it, and the text.
func (t *Template) raw(text string) ([]int32, error) {
	bos, ok := t.tok.BOS()
	var ids []int32
	if ok && t.tok.AddsBOS() && !strings.HasPrefix(text, t.piece(bos, ok)) {
		ids = append(ids, bos)
	}
	return t.single(t.tok.AppendEncode(ids, text, false))
}

// single refuses ids with two BOS in a row.
func (t *Template) single(ids []int32) ([]int32, error) {
	bos, ok := t.tok.BOS()
	for i := 1; ok && i < len(ids); i++ {
		if ids[i] == bos && ids[i-1] == bos {
			return nil, fmt.Errorf("the text has %s twice in a row", t.piece(bos, ok))
		}
	}
	return ids, nil
}
