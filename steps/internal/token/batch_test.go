package token

import (
	"slices"
	"strings"
	"testing"
	"time"
)

// TestEncodeBatch compares any number of threads with Encode.
func TestEncodeBatch(t *testing.T) {
	tok := open(t, "llama3")
	var texts []string
	for i := range 200 {
		texts = append(texts, strings.Repeat("the rain in the north 日本 ", i%17))
	}
	for _, threads := range []int{0, 1, 3, 1000} {
		got := tok.EncodeBatch(texts, true, threads)
		if len(got) != len(texts) {
			t.Fatalf("%d results", len(got))
		}
		for i, ids := range got {
			if !slices.Equal(ids, tok.Encode(texts[i], true)) {
				t.Errorf("%d threads: %q becomes %v", threads, texts[i], ids)
			}
		}
	}
	if got := tok.EncodeBatch(nil, true, 2); len(got) != 0 {
		t.Errorf("no texts become %v", got)
	}
}

// TestNoAllocation sees that encoding into a slice with room allocates nothing
// once it is warm.
func TestNoAllocation(t *testing.T) {
	for _, name := range []string{"bytelevel", "llama3", "sentencepiece"} {
		tok := open(t, name)
		text := strings.Repeat("the rain in the north, 12 antidisestablishmentarianisms 日本語の冬は寒い\n", 20)
		ids := tok.Encode(text, true)
		if n := testing.AllocsPerRun(20, func() { ids = tok.AppendEncode(ids[:0], text, true) }); n > 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

// TestTortureOneLetter encodes a megabyte of one letter, and of other runs that
// no pre-tokenizer cuts. Each takes a small part of a second; what is quadratic
// in the length of a word would take hours, and is told so after a minute.
func TestTortureOneLetter(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: a megabyte fifty times")
	}
	for _, name := range []string{"gpt2", "llama3", "qwen3", "llama2"} {
		tok := load(t, "tokenizers/"+name)
		for _, unit := range []string{"a", "ab", "日", " ", "\n", "!", "0", "\u0301", "\x00", "ſ", "▁", " ▁", "zaq"} {
			text := strings.Repeat(unit, 1<<20/len(unit))
			start := time.Now()
			ids := tok.Encode(text, false)
			if took := time.Since(start); took > time.Minute {
				t.Errorf("%s: a megabyte of %q took %v", name, unit, took)
			}
			if len(ids) == 0 {
				t.Errorf("%s: %q has no ids", name, unit)
			}
		}
	}
}
