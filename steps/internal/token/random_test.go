package token

import (
	"encoding/json"
	"os"
	"regexp"
	"slices"
	"testing"
)

// TestRandom compares small tokenizers of random components with what the
// Hugging Face library makes of them (interop/golden/tokens.py).
func TestRandom(t *testing.T) {
	path := "testdata/random.jsonl"
	if other := os.Getenv("TOKEN_VECTORS"); other != "" {
		path = other
	}
	count := 0
	for line := range lines(t, path) {
		var v struct {
			Tokenizer json.RawMessage
			Texts     [][]json.RawMessage
		}
		mustJSON(t, []byte(line), &v)
		dir := t.TempDir()
		write(t, dir, "tokenizer.json", string(v.Tokenizer))
		tok, err := Load(dir)
		if err != nil {
			t.Errorf("%v\n%s", err, brief(v.Tokenizer))
			continue
		}
		for _, row := range v.Texts {
			var in, decoded, skipped string
			var plain, special []int32
			for i, to := range []any{&in, &plain, &special, &decoded, &skipped} {
				mustJSON(t, row[i], to)
			}
			count++
			if got := tok.Encode(in, false); !slices.Equal(got, plain) {
				t.Errorf("%q:\n got %v %q\nwant %v %q\n%s", in, got, pieces(tok, got), plain, pieces(tok, plain), brief(v.Tokenizer))
				continue
			}
			if got := tok.Encode(in, true); !slices.Equal(got, special) {
				t.Errorf("%q with special tokens:\n got %v\nwant %v\n%s", in, got, special, brief(v.Tokenizer))
			}
			if got := tok.Decode(plain, false); got != decoded {
				t.Errorf("%v decodes as %q, want %q\n%s", pieces(tok, plain), got, decoded, brief(v.Tokenizer))
			}
			if got := tok.Decode(plain, true); got != skipped {
				t.Errorf("%v decodes without special tokens as %q, want %q\n%s", pieces(tok, plain), got, skipped, brief(v.Tokenizer))
			}
			tracked, spans := tok.EncodeWithOffsets(in, false)
			if !slices.Equal(tracked, plain) || len(spans) != len(tracked) {
				t.Errorf("%q with offsets: %v, %d spans; want %v\n%s", in, tracked, len(spans), plain, brief(v.Tokenizer))
			}
			for _, s := range spans {
				if s.Start < 0 || s.End < s.Start || s.End > len(in) {
					t.Errorf("%q: span %v\n%s", in, s, brief(v.Tokenizer))
				}
			}
		}
	}
	if count < 500 {
		t.Errorf("only %d texts", count)
	}
}

// pieces spells ids.
func pieces(tok *Tokenizer, ids []int32) []string {
	var out []string
	for _, id := range ids {
		piece, _ := tok.Piece(id)
		out = append(out, piece)
	}
	return out
}

// brief is a tokenizer.json without what is long.
func brief(file json.RawMessage) string {
	var all map[string]json.RawMessage
	if json.Unmarshal(file, &all) != nil {
		return string(file)
	}
	var model map[string]json.RawMessage
	if json.Unmarshal(all["model"], &model) == nil {
		delete(model, "vocab")
		delete(model, "merges")
		all["model"], _ = json.Marshal(model)
	}
	delete(all, "version")
	out, _ := json.Marshal(all)
	return regexp.MustCompile(`"precompiled_charsmap":"[^"]*"`).ReplaceAllString(string(out), "…")
}
