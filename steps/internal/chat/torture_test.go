package chat

import (
	"context"
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/pipe-run/pipe/internal/shareddata"
	"github.com/pipe-run/pipe/steps/internal/token"
)

// TestTortureRendered compares with what @huggingface/jinja renders.
func TestTortureRendered(t *testing.T) {
	data, err := os.ReadFile(shareddata.Path(t, "torture/chat-templates/rendered.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	templates := map[string]*Template{}
	count := 0
	for line := range strings.Lines(string(data)) {
		var row struct {
			Tokenizer, Name, Rendered string
			Messages                  []Message
			Generate                  bool `json:"add_generation_prompt"`
		}
		if err := json.Unmarshal([]byte(line), &row); err != nil {
			t.Fatal(err)
		}
		if templates[row.Tokenizer] == nil {
			dir := shareddata.Path(t, "tokenizers/"+row.Tokenizer)
			tok, err := token.Load(dir)
			if err != nil {
				t.Fatal(err)
			}
			if templates[row.Tokenizer], err = Load(dir, tok, Spec{Kind: Model}); err != nil {
				t.Fatal(err)
			}
		}
		got, err := templates[row.Tokenizer].Render(context.Background(), row.Messages, "", row.Generate)
		if err != nil {
			t.Errorf("%s %s: %v", row.Tokenizer, row.Name, err)
		} else if got != row.Rendered {
			t.Errorf("%s %s generate %t:\n got %q\nwant %q", row.Tokenizer, row.Name, row.Generate, got, row.Rendered)
		}
		count++
	}
	if count != 18 {
		t.Errorf("%d rows, want 18", count)
	}
}

// TestTortureAlpaca encodes a real instruction dataset with real tokenizers:
// every row has a prompt that is its beginning, and ends in a stop token.
func TestTortureAlpaca(t *testing.T) {
	data, err := os.ReadFile(shareddata.Path(t, "datasets/llama-factory/alpaca_en_demo.json"))
	if err != nil {
		t.Fatal(err)
	}
	var rows []struct{ Instruction, Input, Output string }
	if err := json.Unmarshal(data, &rows); err != nil {
		t.Fatal(err)
	}
	if len(rows) < 900 {
		t.Fatalf("%d rows", len(rows))
	}
	for _, test := range []struct {
		dir  string
		spec Spec
	}{
		{"models/stories260K/hf", Spec{Kind: Alpaca}},
		{"tokenizers/smollm2-135m-instruct", Spec{Kind: ChatML}},
		{"tokenizers/smollm-135m-instruct", Spec{Kind: Model}},
		{"tokenizers/llama3", Spec{Kind: Model}},
		{"tokenizers/qwen3", Spec{Kind: Model}},
	} {
		if testing.Short() && test.spec.Kind == Model {
			continue // large vocabularies take seconds to load
		}
		dir := shareddata.Path(t, test.dir)
		tok, err := token.Load(dir)
		if err != nil {
			t.Fatal(err)
		}
		tp, err := Load(dir, tok, test.spec)
		if err != nil {
			t.Fatal(err)
		}
		for i, row := range rows[:300] {
			messages := []Message{{Role: "user", Content: row.Instruction}, {Role: "user", Content: row.Input}, {Role: "assistant", Content: row.Output}}
			if row.Input == "" {
				messages = append(messages[:1], messages[2])
			}
			e, err := tp.Encode(context.Background(), Record{Shape: Messages, Messages: messages})
			if err != nil {
				t.Fatalf("%s row %d: %v", test.dir, i, err)
			}
			answer := e.IDs[len(e.IDs)-e.Supervised:]
			if got := tok.Decode(answer, true); !strings.Contains(strings.TrimSpace(got), strings.TrimSpace(row.Output)) {
				t.Fatalf("%s row %d: supervised %q, want %q", test.dir, i, got, row.Output)
			}
			if !tp.stop[e.IDs[len(e.IDs)-1]] {
				t.Fatalf("%s row %d does not end in a stop token", test.dir, i)
			}
		}
	}
}
