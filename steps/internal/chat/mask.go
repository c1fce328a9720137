package chat

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/pipe-run/pipe/steps/internal/token"
)

// The mask says which tokens of a conversation are supervised. Where the template
// marks them with {% generation %}, what it encloses is, as transformers'
// return_assistant_tokens_mask has it. Elsewhere an assistant's text begins where
// the conversation before it, rendered with the generation prompt, ends. Both
// bounds are held against the tokens: what comes before must be how the tokens of
// the whole begin, so that training sees the tokens that generation will.

// Train chooses the messages of conversations that are trained on. The zero
// Train is every assistant message.
type Train struct {
	Roles []string // sorted; none: assistant
	Last  bool     // only the last message of these roles
}

// With returns the template with another choice of what is trained on.
func (t *Template) With(train Train) *Template {
	c := *t
	c.train = train
	return &c
}

// Chooses says whether messages of a role are trained on.
func (c Train) Chooses(name string) bool {
	if len(c.Roles) == 0 {
		return name == "assistant"
	}
	return slices.Contains(c.Roles, name)
}

// others says whether another role than the assistant's is trained on.
func (c Train) others() bool {
	return slices.ContainsFunc(c.Roles, func(r string) bool { return r != "assistant" })
}

// nothing is why a conversation has nothing to learn from.
func (c Train) nothing() string {
	if len(c.Roles) == 0 {
		return "it has no assistant message with text"
	}
	return "it has no message with text of a role that is trained on (" + strings.Join(c.Roles, ", ") + ")"
}

// weights returns the share of each message in the loss, 0 for those that are
// not trained on.
func (c Train) weights(messages []Message) ([]float64, error) {
	all := make([]float64, len(messages))
	last := -1
	for i, m := range messages {
		w := 1.0
		if m.Weight != nil {
			w = *m.Weight
		}
		if !(w >= 0 && w <= 1) {
			return nil, fmt.Errorf("message %d (%s): weight %v is not between 0 and 1", i+1, m.Role, w)
		}
		if c.Chooses(m.Role) {
			all[i], last = w, i
		}
	}
	if c.Last {
		for i := range last {
			all[i] = 0
		}
	}
	return all, nil
}

// encodeMessages renders a conversation and labels its tokens.
func (t *Template) encodeMessages(ctx context.Context, r Record) (Encoded, error) {
	full, marks, err := t.render(ctx, r.Messages, r.Tools, false)
	if err != nil {
		return Encoded{}, err
	}
	ids, parts, err := t.idsOf(full)
	if err != nil {
		return Encoded{}, err
	}
	weights, err := t.train.weights(r.Messages)
	if err != nil {
		return Encoded{}, err
	}
	row := newRow(ids)
	row.Lost = lost(r, full)
	m := masker{t: t, r: r, full: full, parts: parts, row: &row, weights: weights}
	if len(marks) > 0 {
		err = m.marked(marks)
	} else {
		err = m.messages(ctx)
	}
	if err != nil {
		return Encoded{}, err
	}
	row.cut(m.end)
	if !t.ends && m.end > 0 {
		return t.finish(row)
	}
	return row.check(t)
}

// A masker labels the tokens of one conversation.
type masker struct {
	t       *Template
	r       Record
	full    string
	parts   *token.Parts // of full
	row     *Encoded
	rest    []int32   // scratch of tokens
	weights []float64 // of each message
	end     int       // of the last supervised token
}

// messages labels each message by the prefixes that end where it begins.
func (m *masker) messages(ctx context.Context) error {
	for i, message := range m.r.Messages {
		if m.weights[i] == 0 {
			continue
		}
		var err error
		if message.Role == "assistant" {
			err = m.answer(ctx, i)
		} else {
			err = m.other(ctx, i)
		}
		if err != nil {
			return fmt.Errorf("message %d (%s): %w", i+1, message.Role, err)
		}
	}
	return nil
}

// clean refuses a message whose text has a stop token in it, or is not in the
// rendering; thoughts within the text are the template's to lay out.
func (m *masker) clean(i int) error {
	for _, id := range m.t.stops {
		if piece, _ := m.t.tok.Piece(id); strings.Contains(m.r.Messages[i].Content, piece) {
			return fmt.Errorf("its text contains the stop token %s: remove it, the template writes it", piece)
		}
	}
	said := m.r.Messages[i].Content
	if at := strings.LastIndex(said, "</think>"); at >= 0 {
		said = said[at+len("</think>"):]
	}
	if !strings.Contains(m.full, strings.TrimSpace(said)) {
		return errors.New("the template does not write its text, so that it cannot be trained on" + m.advice(i))
	}
	if thought := strings.TrimSpace(m.r.Messages[i].Reasoning); !strings.Contains(m.full, thought) {
		return errors.New("the template does not write its reasoning (reasoning_content): say reasoning: \"drop\" or \"think\" in the convert step" + m.advice(i))
	}
	return nil
}

// answer labels an assistant's message.
func (m *masker) answer(ctx context.Context, i int) error {
	if err := m.clean(i); err != nil {
		return err
	}
	_, start, err := m.before(ctx, i, true)
	if err != nil {
		return err
	}
	return m.until(ctx, i, start)
}

// other labels the message of another role: its text, from where that stands in
// what the template writes for the message.
func (m *masker) other(ctx context.Context, i int) error {
	content := strings.TrimSpace(m.r.Messages[i].Content)
	if content == "" {
		return nil
	}
	if err := m.clean(i); err != nil {
		return err
	}
	text, _, err := m.before(ctx, i, false)
	if err != nil {
		return err
	}
	next, _, err := m.before(ctx, i+1, false)
	if err != nil {
		return err
	}
	at := -1
	if len(next) > len(text) {
		at = strings.LastIndex(next[len(text):], content)
	}
	if at < 0 {
		return errors.New("the template does not write its text, so that it cannot be trained on")
	}
	start, err := m.tokens(m.full[:len(text)+at])
	if err != nil {
		return err
	}
	return m.until(ctx, i, start)
}

// until labels message i from a token on: to the stop token where the template
// writes one, else to where the message ends.
func (m *masker) until(ctx context.Context, i, start int) error {
	end := 0
	if m.t.ends {
		stop := slices.IndexFunc(m.row.IDs[start:], func(id int32) bool { return m.t.stop[id] })
		if stop < 0 {
			return errors.New("the template writes no stop token after it: a row must end in one (choose another template, or end the answer with eos_token)")
		}
		end = start + stop + 1
	} else {
		var err error
		if _, end, err = m.before(ctx, i+1, false); err != nil {
			return err
		}
	}
	m.row.supervise(start, end, m.weights[i])
	m.end = end
	return nil
}

// before renders the first n messages, with the generation prompt or without,
// and returns the text and how many of the row's tokens are its tokens.
func (m *masker) before(ctx context.Context, n int, generate bool) (string, int, error) {
	text, err := m.t.Render(ctx, m.r.Messages[:n], m.r.Tools, generate)
	if err != nil {
		return "", 0, fmt.Errorf("rendering the %d messages before its answer: %w", n, err)
	}
	if !strings.HasPrefix(m.full, text) {
		return "", 0, fmt.Errorf("%w: the template renders the first %d messages differently once others follow (after %s)%s", ErrPrefix, n, common(m.full, text), m.advice(n))
	}
	count, err := m.tokens(text)
	return text, count, err
}

// advice is for templates that render earlier answers otherwise than the last.
func (m *masker) advice(n int) string {
	for _, w := range m.weights[min(n+1, len(m.weights)):] {
		if w > 0 {
			return `; train: {turns: "last"} trains on the last answer alone`
		}
	}
	return ""
}

// tokens returns how many of the row's tokens are those of text, with which the
// whole begins.
func (m *masker) tokens(text string) (int, error) {
	if bos := m.t.piece(m.t.tok.BOS()); len(text) >= len(bos) { // it begins with BOS if the whole does
		// What the parts up to the last added token are is known: only what follows
		// it is encoded, and held against the row.
		shared, rest, ok := m.parts.Prefix(m.rest[:0], len(text))
		m.rest = rest
		if ids := m.row.IDs; ok && shared+len(rest) <= len(ids) && slices.Equal(rest, ids[shared:shared+len(rest)]) {
			return shared + len(rest), nil
		}
	}
	before, err := m.t.ids(text)
	if err != nil {
		return 0, err
	}
	ids := m.row.IDs
	if len(before) > len(ids) || !slices.Equal(before, ids[:len(before)]) {
		n := 0
		for n < min(len(before), len(ids)) && before[n] == ids[n] {
			n++
		}
		return 0, fmt.Errorf("%w: a token spans the end of %s and the beginning of the answer (alone that ends in %s, in the whole %s stands there); answers should not begin with white space",
			ErrPrefix, tail(text), m.t.spell(before, n), m.t.spell(ids, n))
	}
	return len(before), nil
}

// marked labels what the template marks with {% generation %}.
func (m *masker) marked(marks []mark) error {
	if m.t.train.others() {
		return errors.New("the template marks what it trains on with {% generation %}, which is the assistant's: leave train.roles out, or choose another template")
	}
	share, err := m.shares(marks)
	if err != nil {
		return err
	}
	for k, at := range marks {
		if at.start == at.end || share[k] == 0 {
			continue
		}
		if err := m.mark(at, share[k]); err != nil {
			return fmt.Errorf("part %d of {%% generation %%}: %w", k+1, err)
		}
	}
	return nil
}

// shares returns the weight of each mark: that of the assistant message it is,
// where there are as many.
func (m *masker) shares(marks []mark) ([]float64, error) {
	var share []float64
	plain := true
	for i, w := range m.weights {
		if m.r.Messages[i].Role == "assistant" {
			share = append(share, w)
			plain = plain && w == 1
			if err := m.clean(i); err != nil && w > 0 {
				return nil, fmt.Errorf("message %d (assistant): %w", i+1, err)
			}
		}
	}
	if len(share) == len(marks) {
		return share, nil
	}
	if !plain {
		return nil, fmt.Errorf("the template marks %d parts of %d assistant messages with {%% generation %%}, so that weights and turns cannot be told apart", len(marks), len(share))
	}
	return slices.Repeat([]float64{1}, len(marks)), nil
}

// mark labels one part. The row is to end in its stop token.
func (m *masker) mark(at mark, weight float64) error {
	start, err := m.tokens(m.full[:at.start])
	if err != nil {
		return err
	}
	end, err := m.tokens(m.full[:at.end])
	if err != nil {
		return err
	}
	m.row.supervise(start, end, weight)
	m.end = end
	if !m.t.ends {
		return nil
	}
	for m.end > start && !m.t.stop[m.row.IDs[m.end-1]] {
		m.end--
	}
	if m.end == start {
		return errors.New("it ends before the stop token: a model trained on it would never stop; enclose the stop token too")
	}
	return nil
}

// spell shows the tokens from n-1 on, at most three.
func (t *Template) spell(ids []int32, n int) string {
	var parts []string
	for _, id := range ids[max(0, min(n, len(ids))-1):min(n+2, len(ids))] {
		parts = append(parts, fmt.Sprintf("%q", t.tok.Decode([]int32{id}, false)))
	}
	return strings.Join(parts, " ")
}
