package chat

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/pipe-run/pipe/internal/shareddata"
	"github.com/pipe-run/pipe/steps/internal/token"
)

// TestBuiltins renders each built-in template, as text.
func TestBuiltins(t *testing.T) {
	for kind, want := range map[string]string{
		ChatML:  "<|im_start|>system\nBe.<|im_end|>\n<|im_start|>user\na<|im_end|>\n<|im_start|>assistant\nb<|im_end|>\n",
		Llama3:  "<s><|start_header_id|>system<|end_header_id|>\n\nBe.<|eot_id|><|start_header_id|>user<|end_header_id|>\n\na<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\nb<|eot_id|>",
		Phi3:    "<|system|>\nBe.<|end|>\n<|user|>\na<|end|>\n<|assistant|>\nb<|end|>\n",
		Zephyr:  "<|system|>\nBe.</s>\n<|user|>\na</s>\n<|assistant|>\nb</s>\n",
		Gemma:   "<start_of_turn>user\nBe.\n\na<end_of_turn>\n<start_of_turn>model\nb<end_of_turn>\n",
		Mistral: "[INST] Be.\n\na [/INST] b</s>",
		Vicuna:  "Be. USER: a ASSISTANT: b</s>",
		Alpaca:  "Be.\n\n### Instruction:\na\n\n### Response:\nb</s>\n\n",
	} {
		tp := &Template{kind: kind, tok: open(t, "sentencepiece")}
		var err error
		if tp.engine, err = compile(builtinTemplates()[kind].source); err != nil {
			t.Fatalf("%s: %v", kind, err)
		}
		talk := conversation("system", "Be.", "user", "a", "assistant", "b")
		got, err := tp.Render(context.Background(), talk, "", false)
		if err != nil || got != want {
			t.Errorf("%s: %v\n got %q\nwant %q", kind, err, got, want)
		}
		prompt, err := tp.Render(context.Background(), talk[:2], "", true)
		if err != nil || !strings.HasPrefix(got, prompt) || len(prompt) < len(got)-20 {
			t.Errorf("%s: the prompt is %q, %v", kind, prompt, err)
		}
	}
	if n := len(builtinTemplates()); n != 8 {
		t.Errorf("%d built-in templates, of which this test knows 8", n)
	}
}

// TestBuiltinRefused: a tokenizer without a template's tokens is refused, naming one.
func TestBuiltinRefused(t *testing.T) {
	for _, kind := range []string{Llama3, Phi3, Gemma} {
		if _, err := Load(t.TempDir(), open(t, "sentencepiece"), Spec{Kind: kind}); err == nil || !strings.Contains(err.Error(), "is not a token of the model's tokenizer") {
			t.Errorf("%s: %v", kind, err)
		}
	}
	for _, kind := range []string{Mistral, Vicuna, Zephyr} {
		tp, err := Load(t.TempDir(), open(t, "sentencepiece"), Spec{Kind: kind})
		if err != nil {
			t.Errorf("%s: %v", kind, err)
			continue
		}
		e, err := tp.Encode(context.Background(), Record{Shape: Messages, Messages: conversation("user", "the", "assistant", "rain")})
		if err != nil || !tp.stop[e.IDs[len(e.IDs)-1]] || e.Supervised < 2 {
			t.Errorf("%s: %v %+v", kind, err, e)
		}
	}
	if _, err := Load(t.TempDir(), open(t, "sentencepiece"), Spec{Kind: "lama"}); err == nil || !strings.Contains(err.Error(), "llama3, mistral") {
		t.Errorf("an unknown name: %v", err)
	}
}

// TestTortureBuiltin: the llama3 template is that of the real tokenizer, token by
// token, and supervises the same.
func TestTortureBuiltin(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: loads a large tokenizer")
	}
	dir := shareddata.Path(t, "tokenizers/llama3")
	tok, err := token.Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	record := Record{Shape: Messages, Messages: conversation("system", "Be brief.", "user", "Hello?", "assistant", "Hi.", "user", "And?", "assistant", "No.")}
	var rows []Encoded
	for _, kind := range []string{Model, Llama3} {
		tp, err := Load(dir, tok, Spec{Kind: kind})
		if err != nil {
			t.Fatal(err)
		}
		e, err := tp.Encode(context.Background(), record)
		if err != nil {
			t.Fatal(err)
		}
		rows = append(rows, e)
	}
	if !slices.Equal(rows[0].IDs, rows[1].IDs) || !slices.Equal(rows[0].Labels, rows[1].Labels) {
		t.Errorf("the model's own: %v\nllama3: %v", rows[0].IDs, rows[1].IDs)
	}
}
