package token

import (
	"slices"
	"testing"
	"unicode/utf8"
)

// TestParts: what is told of a prefix is what it is encoded to alone.
func TestParts(t *testing.T) {
	texts := []string{
		"", "the rain", "<|im_start|>user\nthe rain<|im_end|>\n<|im_start|>assistant\n is  cold<|im_end|>\n", "<s>the rain</s> it</s>",
		"<|im_start|><|im_start|>", "日本<|im_end|>語 <|im_e", "a\xffb<|im_end|>",
	}
	for _, name := range []string{"bytelevel", "sentencepiece", "unknown"} {
		tok := open(t, name)
		told := 0
		for _, text := range texts {
			ids, parts := tok.AppendEncodeParts([]int32{7}, text)
			if want := append([]int32{7}, tok.Encode(text, false)...); !slices.Equal(ids, want) {
				t.Fatalf("%s: %q: %v, want %v", name, text, ids, want)
			}
			for n := range len(text) + 1 {
				shared, rest, ok := parts.Prefix(nil, n)
				if !ok {
					continue
				}
				told++
				got := append(slices.Clone(ids[:shared]), rest...)
				if want := append([]int32{7}, tok.Encode(text[:n], false)...); !utf8.ValidString(text[:n]) || !slices.Equal(got, want) {
					t.Fatalf("%s: %q: %v, want %v", name, text[:n], got, want)
				}
			}
		}
		t.Logf("%s: %d prefixes", name, told)
		if told == 0 {
			t.Errorf("%s: nothing was told of any prefix", name)
		}
	}
}
