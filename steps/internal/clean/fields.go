package clean

import (
	"slices"
	"strings"

	"github.com/pipe-run/pipe/steps/internal/dataset"
)

// Text returns what a record says: its texts, one a line, without system
// messages, tools and calls of tools, which many records share.
func Text(r dataset.Record) string {
	var parts []string
	for _, m := range slices.Concat(r.Messages, r.Chosen, r.Rejected) {
		if m.Role != "system" {
			parts = append(parts, m.Content)
		}
	}
	for _, s := range r.Segments {
		parts = append(parts, s.Text)
	}
	parts = append(parts, r.Prompt, r.Completion, r.Text)
	parts = slices.DeleteFunc(parts, func(s string) bool { return s == "" })
	return strings.Join(parts, "\n")
}

// Answer returns what a record would have a model say last: the last message of
// a conversation, the better answer of a pair, a completion; "" where a record
// has no answer.
func Answer(r dataset.Record) string {
	switch r.Shape {
	case dataset.Messages, dataset.Judged:
		return last(r.Messages)
	case dataset.Preference:
		return last(r.Chosen)
	case dataset.PromptCompletion:
		return r.Completion
	case dataset.Segments:
		for _, s := range slices.Backward(r.Segments) {
			if s.Train {
				return s.Text
			}
		}
	}
	return ""
}

func last(messages []dataset.Message) string {
	for _, m := range slices.Backward(messages) {
		if m.Role == "assistant" {
			return m.Content
		}
	}
	return ""
}

// Map returns the record with f applied to each of its texts, those within the
// JSON of tools and their calls included. The record that was given stays as it is.
func Map(r dataset.Record, f func(string) string) dataset.Record {
	r.Messages = mapMessages(r.Messages, f)
	r.Chosen = mapMessages(r.Chosen, f)
	r.Rejected = mapMessages(r.Rejected, f)
	r.Tools = mapJSON(r.Tools, f)
	r.Prompt, r.Completion, r.Text = f(r.Prompt), f(r.Completion), f(r.Text)
	r.Segments = slices.Clone(r.Segments)
	for i := range r.Segments {
		r.Segments[i].Text = f(r.Segments[i].Text)
	}
	return r
}

func mapMessages(messages []dataset.Message, f func(string) string) []dataset.Message {
	messages = slices.Clone(messages)
	for i := range messages {
		m := &messages[i]
		m.Content, m.Reasoning, m.Name = f(m.Content), f(m.Reasoning), f(m.Name)
		m.ToolCalls = mapJSON(m.ToolCalls, f)
	}
	return messages
}
