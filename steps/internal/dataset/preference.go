package dataset

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
)

// preference reads pairs of a better and a worse answer (TRL's preference type
// and LLaMA-Factory's ranking data). The prompt is text, which a user then says,
// after it a line of input where there is one, or a list of messages; it may be
// missing where chosen and rejected are whole conversations that begin alike.
// An answer is text, one message or a list of them. Messages have role and
// content, or from and value.
func (s *Shaper) preference(r *Record, row Value) (bad *badField) {
	if bad := s.onlyText(row); bad != nil {
		return bad
	}
	if r.Messages, bad = s.preferencePrompt(row); bad != nil {
		return bad
	}
	if r.Chosen, bad = s.said(row, "chosen", "assistant"); bad != nil {
		return bad
	}
	if r.Rejected, bad = s.said(row, "rejected", "assistant"); bad != nil {
		return bad
	}
	if len(r.Messages) == 0 {
		if bad := s.cutPrompt(r); bad != nil {
			return bad
		}
	}
	system, bad := s.optional(row, "system")
	if bad != nil {
		return bad
	}
	if system != "" && r.Messages[0].Role != "system" {
		r.Messages = slices.Insert(r.Messages, 0, Message{Role: "system", Content: system})
	}
	if r.Tools, bad = s.tools(row); bad != nil {
		return bad
	}
	return s.checkPreference(r)
}

// preferencePrompt returns the messages before the answers, none when the row
// holds them in the answers.
func (s *Shaper) preferencePrompt(row Value) ([]Message, *badField) {
	name, v, ok := s.find(row, "prompt")
	switch {
	case !ok || v.Kind == Null:
		return nil, nil
	case v.Kind != String:
		return s.either(v, name)
	}
	input, bad := s.optional(row, "input")
	if bad != nil {
		return nil, bad
	}
	text := v.Text
	if input != "" {
		text += "\n" + input
	}
	if strings.TrimSpace(text) == "" {
		return nil, wrong(name, "is empty")
	}
	return []Message{{Role: "user", Content: text}}, nil
}

// said returns the messages of a column: text, which role says, one message or a
// list of them.
func (s *Shaper) said(row Value, column, role string) ([]Message, *badField) {
	name, v, ok := s.find(row, column)
	switch {
	case !ok:
		return nil, s.missing(row, column)
	case v.Kind == String:
		return []Message{{Role: role, Content: v.Text}}, nil
	case v.Kind == Object:
		v = Value{Kind: List, Items: []Value{v}}
	}
	return s.either(v, name)
}

// either reads a list of messages of one or the other kind.
func (s *Shaper) either(v Value, name string) ([]Message, *badField) {
	if v.Kind != List {
		return nil, wanted(name, "text or a list of messages", v)
	}
	var all []Message
	for i, turn := range v.Items {
		at := fmt.Sprintf("%s[%d]", name, i)
		var m Message
		var bad *badField
		if _, ok := turn.Get(s.columns["from"]); ok && turn.Kind == Object {
			m, bad = s.shareGPTTurn(turn, at)
		} else {
			m, bad = s.message(turn, at)
		}
		if bad != nil {
			return nil, bad
		}
		all = append(all, m)
	}
	return all, nil
}

// cutPrompt takes what chosen and rejected begin with in common, short of the
// last message of either, as the prompt.
func (s *Shaper) cutPrompt(r *Record) *badField {
	n := 0
	for n < min(len(r.Chosen), len(r.Rejected))-1 && reflect.DeepEqual(r.Chosen[n], r.Rejected[n]) {
		n++
	}
	if n == 0 {
		return wrong(s.columns["prompt"], "is missing, and %s and %s do not begin with the same messages", s.columns["chosen"], s.columns["rejected"])
	}
	r.Messages, r.Chosen, r.Rejected = slices.Clone(r.Chosen[:n]), r.Chosen[n:], r.Rejected[n:]
	return nil
}

func (s *Shaper) checkPreference(r *Record) *badField {
	for _, side := range []struct {
		column   string
		messages []Message
	}{{"chosen", r.Chosen}, {"rejected", r.Rejected}} {
		if bad := checkAnswer(slices.Concat(r.Messages, side.messages), side.messages, s.columns[side.column]); bad != nil {
			return bad
		}
	}
	if reflect.DeepEqual(r.Chosen, r.Rejected) {
		return wrong(s.columns["rejected"], "is the same as %s: neither is better", s.columns["chosen"])
	}
	return nil
}

// checkAnswer refuses a conversation that does not end with an answer in words or
// calls; the answer is its last messages.
func checkAnswer(all, answer []Message, name string) *badField {
	if n := len(answer); n == 0 || answer[n-1].Role != "assistant" {
		return wrong(name, "must end with an assistant's message")
	}
	if bad := checkConversation(all, name); bad != nil {
		return bad
	}
	last := answer[len(answer)-1]
	if strings.TrimSpace(last.Content) == "" && last.ToolCalls == "" {
		return wrong(name, "is empty")
	}
	return nil
}
