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
