package answer

import (
	"github.com/pipe-run/pipe/steps/internal/chat"
	"github.com/pipe-run/pipe/steps/internal/dataset"
)

// Record turns a stored record into what templates work on.
func Record(r dataset.Record) chat.Record {
	c := chat.Record{Shape: string(r.Shape), Tools: r.Tools, Prompt: r.Prompt, Completion: r.Completion, Text: r.Text}
	for _, s := range r.Segments {
		c.Segments = append(c.Segments, chat.Segment(s))
	}
	c.Messages, c.Chosen, c.Rejected = messages(r.Messages), messages(r.Chosen), messages(r.Rejected)
	return c
}

func messages(list []dataset.Message) []chat.Message {
	var all []chat.Message
	for _, m := range list {
		all = append(all, chat.Message(m))
	}
	return all
}
