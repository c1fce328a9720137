package answer

import (
	"github.com/pipe-run/pipe/steps/internal/chat"
	"github.com/pipe-run/pipe/steps/internal/dataset"
)

// Record turns a stored record into what templates work on.
func Record(r dataset.Record) chat.Record {
	c := chat.Record{Shape: string(r.Shape), Tools: r.Tools, Prompt: r.Prompt, Completion: r.Completion, Text: r.Text}
	for _, m := range r.Messages {
		c.Messages = append(c.Messages, chat.Message(m))
	}
	return c
}
