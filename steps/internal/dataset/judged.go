package dataset

import (
	"fmt"
	"slices"
	"strings"
)

// undesirable is why a KTO row is left out.
const undesirable = "its answer is marked undesirable"

// kto reads answers that are marked good or bad (TRL's unpaired preferences and
// LLaMA-Factory's kto_tag): a prompt and a completion, each text or messages, or
// a conversation that ends with the answer, or alpaca's columns.
//
// To learn a bad answer as if it were a good one is never what was meant, so that
// bad ones are left out unless the layout keeps them, in records of shape Judged.
func (s *Shaper) kto(r *Record, row Value) (bad *badField) {
	if bad := s.onlyText(row); bad != nil {
		return bad
	}
	name, label, ok := s.find(row, "label")
	if !ok {
		return s.missing(row, "label")
	}
	if r.Desirable, bad = truth(label, name); bad != nil {
		return bad
	}
	if bad := s.judgedConversation(r, row); bad != nil {
		return bad
	}
	if r.Tools, bad = s.tools(row); bad != nil {
		return bad
	}
	if s.shape == Messages && !r.Desirable {
		return &badField{field: name, what: undesirable, left: true}
	}
	r.Desirable = r.Desirable && s.shape == Judged
	return nil
}

func (s *Shaper) judgedConversation(r *Record, row Value) (bad *badField) {
	name, v, ok := s.find(row, "messages")
	_, _, completion := s.find(row, "completion")
	if ok && !completion {
		if r.Messages, bad = s.either(v, name); bad != nil {
			return bad
		}
		if bad := s.systemFirst(r, row); bad != nil {
			return bad
		}
		return checkAnswer(r.Messages, r.Messages, name)
	}
	if r.Messages, bad = s.preferencePrompt(row); bad != nil {
		return bad
	}
	if len(r.Messages) == 0 {
		return s.missing(row, "prompt")
	}
	answer, bad := s.said(row, "completion", "assistant")
	if bad != nil {
		return bad
	}
	r.Messages = append(r.Messages, answer...)
	if bad := s.systemFirst(r, row); bad != nil {
		return bad
	}
	return checkAnswer(r.Messages, answer, s.columns["completion"])
}

// systemFirst puts the system prompt of a column before a conversation that has
// none.
func (s *Shaper) systemFirst(r *Record, row Value) *badField {
	system, bad := s.optional(row, "system")
	if bad == nil && system != "" && (len(r.Messages) == 0 || r.Messages[0].Role != "system") {
		r.Messages = slices.Insert(r.Messages, 0, Message{Role: "system", Content: system})
	}
	return bad
}

// truth reads a mark: true and false, 1 and 0 (or -1), + and -, or their text.
func truth(v Value, at string) (bool, *badField) {
	text := v.Text
	if v.Kind == Bool {
		return v.Bool, nil
	}
	if v.Kind == Number || v.Kind == String {
		switch strings.ToLower(strings.TrimSpace(text)) {
		case "true", "1", "1.0", "+":
			return true, nil
		case "false", "0", "0.0", "-1", "-1.0", "-":
			return false, nil
		}
	}
	return false, wanted(at, "true or false", v)
}

// segments reads axolotl's input_output: spans of text, each with a label that
// says whether it is learnt. They are tokenized without a template.
func (s *Shaper) segments(r *Record, row Value) *badField {
	name, v, ok := s.find(row, "segments")
	if !ok {
		return s.missing(row, "segments")
	}
	if v.Kind != List {
		return wanted(name, "a list of segments", v)
	}
	learnt := false
	for i, item := range v.Items {
		at := fmt.Sprintf("%s[%d]", name, i)
		text, bad := member(item, at, "text")
		if bad != nil {
			return bad
		}
		label, ok := item.Get("label")
		if !ok {
			return wrong(at+".label", "is missing")
		}
		train, bad := truth(label, at+".label")
		if bad != nil {
			return bad
		}
		r.Segments = append(r.Segments, Segment{Text: text, Train: train})
		learnt = learnt || train && text != ""
	}
	if !learnt {
		return wrong(name, "no segment is labelled true, so there is nothing to learn")
	}
	return nil
}

// stepwise reads a prompt and the steps of its solution, each labelled right or
// wrong (TRL's stepwise supervision, process rewards). Wrong steps stay in the
// context, and are not learnt. A line break follows the prompt, unless it ends in
// white space, and every step but the last.
func (s *Shaper) stepwise(r *Record, row Value) *badField {
	prompt, bad := s.filled(row, "prompt")
	if bad != nil {
		return bad
	}
	name, steps, bad := s.list(row, "completions")
	if bad != nil {
		return bad
	}
	labelName, labels, bad := s.list(row, "labels")
	if bad != nil {
		return bad
	}
	if len(steps) != len(labels) {
		return wrong(labelName, "holds %d labels for %d %s", len(labels), len(steps), name)
	}
	if strings.TrimRight(prompt, " \t\r\n") == prompt {
		prompt += "\n"
	}
	r.Segments = []Segment{{Text: prompt}}
	learnt := false
	for i, step := range steps {
		if step.Kind != String {
			return wanted(fmt.Sprintf("%s[%d]", name, i), "a string", step)
		}
		right, bad := truth(labels[i], fmt.Sprintf("%s[%d]", labelName, i))
		if bad != nil {
			return bad
		}
		text := step.Text
		if i < len(steps)-1 {
			text += "\n"
		}
		r.Segments = append(r.Segments, Segment{Text: text, Train: right})
		learnt = learnt || right && strings.TrimSpace(step.Text) != ""
	}
	if !learnt {
		return wrong(labelName, "no step is labelled true, so there is nothing to learn")
	}
	return nil
}

// list returns the items of a column, which in CSV may be JSON.
func (s *Shaper) list(row Value, column string) (string, []Value, *badField) {
	name, v, ok := s.find(row, column)
	if !ok {
		return name, nil, s.missing(row, column)
	}
	if v.Kind == String {
		if parsed, err := ParseJSON([]byte(v.Text)); err == nil {
			v = parsed
		}
	}
	if v.Kind != List {
		return name, nil, wanted(name, "a list", v)
	}
	if len(v.Items) == 0 {
		return name, nil, wrong(name, "is empty")
	}
	return name, v.Items, nil
}
