package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestCommitted fails when the committed files of the examples are not what
// this program writes.
func TestCommitted(t *testing.T) {
	dir := t.TempDir()
	if err := write(dir); err != nil {
		t.Fatal(err)
	}
	same := func(made, committed string) {
		t.Helper()
		want, err := os.ReadFile(filepath.Join(dir, filepath.FromSlash(made)))
		if err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(filepath.Join("../..", filepath.FromSlash(committed)))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(want, got) {
			t.Errorf("%s is not what go run ./examples/pretrain/make writes", committed)
		}
	}
	same("quickstart/data/commands.jsonl", "quickstart/data/commands.jsonl")
	for _, name := range []string{"tokenizer.json", "tokenizer_config.json", "config.json", "generation_config.json", "special_tokens_map.json"} {
		same("pretrain/blank/"+name, "pretrain/blank/"+name)
	}
	same("pretrain/blank/tokenizer.json", "quickstart/base/tokenizer.json")
}

// TestNothingLeaks checks that no wish of the quickstart is in the corpus.
func TestNothingLeaks(t *testing.T) {
	commands := Commands()
	requests := map[string]bool{}
	for _, c := range commands {
		requests[c.Request] = true
	}
	for _, text := range Corpus(commands) {
		question, _, _ := strings.Cut(strings.TrimPrefix(text, "<|im_start|>user\n"), "<|im_end|>")
		if _, asked, ok := strings.Cut(question, "? "); ok {
			question = asked
		}
		if requests[strings.TrimPrefix(question, "repeat: ")] {
			t.Fatalf("the corpus asks %q", question)
		}
	}
}
