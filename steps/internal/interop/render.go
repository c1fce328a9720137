package main

import (
	"context"
	"encoding/json"

	"github.com/pipe-run/pipe/steps/internal/chat"
)

// conversation is a template and what it is to render.
type conversation struct {
	Template string
	Context  json.RawMessage
}

// rendering is a text, or why there is none.
type rendering struct {
	Text  string `json:"text"`
	Error string `json:"error,omitempty"`
}

// renderings renders each conversation.
func renderings(ctx context.Context, all []conversation) []rendering {
	out := make([]rendering, len(all))
	for i, c := range all {
		var err error
		if out[i].Text, err = chat.RenderWith(ctx, c.Template, string(c.Context)); err != nil {
			out[i].Error = err.Error()
		}
	}
	return out
}
