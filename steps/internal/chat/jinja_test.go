package chat

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/pipe-run/pipe/steps/internal/token"
)

// TestRendered compares with what Jinja2 renders, set up as transformers does;
// testdata/make.py made the file.
func TestRendered(t *testing.T) {
	data, err := os.ReadFile("testdata/rendered.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	tok := open(t, "sentencepiece")
	count := 0
	for line := range strings.Lines(string(data)) {
		var row struct {
			Name, Template, Tools, Rendered, Error string
			Generate                               bool
			Messages                               []struct {
				Role, Content, Name string
				ToolCalls           string `json:"tool_calls"`
			}
		}
		if err := json.Unmarshal([]byte(line), &row); err != nil {
			t.Fatal(err)
		}
		var messages []Message
		for _, m := range row.Messages {
			messages = append(messages, Message{Role: m.Role, Content: m.Content, Name: m.Name, ToolCalls: m.ToolCalls})
		}
		count++
		engine, err := compile(row.Template)
		if err != nil {
			t.Fatalf("%s: %v", row.Name, err)
		}
		got, err := (&Template{engine: engine, tok: tok}).Render(context.Background(), messages, row.Tools, row.Generate)
		switch {
		case row.Error != "":
			if err == nil || !strings.Contains(err.Error(), row.Error) {
				t.Errorf("%s: rendered %q with error %v, want error %q", row.Name, got, err, row.Error)
			}
		case err != nil:
			t.Errorf("%s: %v", row.Name, err)
		case got != row.Rendered:
			t.Errorf("%s, generate %t:\n got %q\nwant %q", row.Name, row.Generate, got, row.Rendered)
		}
	}
	if count != 80 {
		t.Errorf("%d rows, want 80", count)
	}
}

// open loads a tokenizer of package token's testdata.
func open(tb testing.TB, name string) *token.Tokenizer {
	tb.Helper()
	tok, err := token.Load("../token/testdata/" + name)
	if err != nil {
		tb.Fatal(err)
	}
	return tok
}

// TestRenderCancelled holds that a rendering that was cancelled says so, whether
// the template or the caller notices first.
func TestRenderCancelled(t *testing.T) {
	e, err := compile("{% for m in range(9) %}{{ m }}{% endfor %}")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for range 200 {
		if _, _, err := e.render(ctx, map[string]any{}); err != nil && !errors.Is(err, context.Canceled) {
			t.Fatalf("%v, want context.Canceled", err)
		}
	}
}
