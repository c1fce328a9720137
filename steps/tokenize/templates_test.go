package tokenize

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pipe-run/pipe/internal/shareddata"
	"github.com/pipe-run/pipe/steps/internal/dataset"
	"github.com/pipe-run/pipe/steps/steptest"
)

// TestTokensOfTemplates: a template that writes tokens which a real tokenizer
// does not have is refused, naming them; where it has them, rows are made.
func TestTokensOfTemplates(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: loads large tokenizers")
	}
	for _, c := range []struct{ tokenizer, template, missing string }{
		{"llama2", `"chatml"`, "<|im_start|>"},
		{"qwen3", `"chatml"`, ""},
		{"llama3", `{"jinja":"{% for m in messages %}<|start_header_id|>{{ m['content'] }}<|eot_id|>{% endfor %}"}`, ""},
	} {
		in := newCase(t, strings.Replace(plainParams, `"model"`, c.template, 1), dataset.Messages, chatRecord("what", "this"))
		in.In["model"] = withTokenizer(t, c.tokenizer)
		_, err := steptest.Try(t.Context(), t, in, 1)
		switch {
		case c.missing == "" && err != nil:
			t.Errorf("%s, %s: %v", c.tokenizer, c.template, err)
		case c.missing != "" && (err == nil || !strings.Contains(err.Error(), c.missing)):
			t.Errorf("%s, %s: %v; want an error about %s", c.tokenizer, c.template, err, c.missing)
		}
	}
}

// withTokenizer is the model of modelDir with another tokenizer.
func withTokenizer(t *testing.T, name string) string {
	t.Helper()
	dir := modelDir(t)
	for _, file := range []string{"tokenizer.json", "tokenizer_config.json"} {
		data, err := os.ReadFile(filepath.Join(shareddata.Path(t, "tokenizers/"+name), file))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, file), data, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}
