package token

import (
	"encoding/base64"
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"
)

// TestSentencePiece compares models of every type with what Python's
// sentencepiece makes of them (interop/golden/sentencepiece_models.py).
func TestSentencePiece(t *testing.T) {
	path := "testdata/sentencepiece.jsonl"
	if other := os.Getenv("SENTENCEPIECE_VECTORS"); other != "" {
		path = other
	}
	count := 0
	for line := range lines(t, path) {
		var v struct {
			Kind  json.RawMessage
			Model string
			Texts [][]json.RawMessage
		}
		mustJSON(t, []byte(line), &v)
		tok := openSP(t, v.Model)
		for _, row := range v.Texts {
			var in, decoded string
			var want []int32
			for i, to := range []any{&in, &want, &decoded} {
				mustJSON(t, row[i], to)
			}
			count++
			got := tok.Encode(in, false)
			if !slices.Equal(got, want) {
				t.Errorf("%s %q:\n got %v %q\nwant %v %q", v.Kind, in, got, pieces(tok, got), want, pieces(tok, want))
			}
			if got := tok.Decode(want, false); got != decoded {
				t.Errorf("%s %q decodes as %q, want %q", v.Kind, pieces(tok, want), got, decoded)
			}
			tracked, spans := tok.EncodeWithOffsets(in, false)
			if !slices.Equal(tracked, got) || len(spans) != len(got) {
				t.Errorf("%s %q with offsets: %v, %d spans; want %v", v.Kind, in, tracked, len(spans), got)
			}
		}
	}
	if count < 300 {
		t.Errorf("only %d texts", count)
	}
}

// openSP loads a model given in base64.
func openSP(tb testing.TB, encoded string) *Tokenizer {
	tb.Helper()
	data, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil {
		tb.Fatal(err)
	}
	dir := tb.TempDir()
	write(tb, dir, "tokenizer.model", string(data))
	tok, err := Load(dir)
	if err != nil {
		tb.Fatal(err)
	}
	return tok
}

// firstSP returns the first model of testdata.
func firstSP(tb testing.TB) []byte {
	tb.Helper()
	data, err := os.ReadFile("testdata/sentencepiece.jsonl")
	if err != nil {
		tb.Fatal(err)
	}
	line, _, _ := strings.Cut(string(data), "\n")
	var v struct{ Model string }
	if err := json.Unmarshal([]byte(line), &v); err != nil {
		tb.Fatal(err)
	}
	model, err := base64.StdEncoding.DecodeString(v.Model)
	if err != nil {
		tb.Fatal(err)
	}
	return model
}

// TestSentencePieceSide looks at what stands beside a model: control tokens in
// text, the classes that add BOS or EOS, and added tokens.
func TestSentencePieceSide(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "tokenizer.model", string(firstSP(t)))
	write(t, dir, "tokenizer_config.json", `{"tokenizer_class":"LlamaTokenizer","added_tokens_decoder":{"200":{"content":"<x>","special":true}}}`)
	tok, err := Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	if ids := tok.Encode("the</s>rain<x>", true); ids[0] != 1 || !slices.Contains(ids, 2) || ids[len(ids)-1] != 200 || !tok.AddsBOS() {
		t.Errorf("ids %v", ids)
	}
	if got := tok.Decode([]int32{1, 200}, true); got != "" {
		t.Errorf("special tokens decode as %q", got)
	}
	digest := tok.Digest()
	write(t, dir, "tokenizer_config.json", `{"tokenizer_class":"T5Tokenizer"}`)
	if tok, err = Load(dir); err != nil {
		t.Fatal(err)
	}
	if ids := tok.Encode("the", true); ids[len(ids)-1] != 2 || tok.Digest() == digest {
		t.Errorf("T5: ids %v, digest %s", ids, tok.Digest())
	}
	write(t, dir, "tokenizer_config.json", `{"tokenizer_class":"XLMRobertaTokenizer"}`)
	if _, err := Load(dir); err == nil || !strings.Contains(err.Error(), `"XLMRobertaTokenizer"`) {
		t.Errorf("a class that renumbers pieces: %v", err)
	}
}

// FuzzSentencePiece sees that no model makes loading, or what it loads, panic.
func FuzzSentencePiece(f *testing.F) {
	model := firstSP(f)
	f.Add(model, "the rain  日本")
	f.Add([]byte("\x0a\x0b\x0a\x05<unk>\x18\x02\x12\x02\x18\x02"), "a")
	f.Add([]byte("dGhl 0\n"), "the")
	f.Fuzz(func(t *testing.T, model []byte, in string) {
		dir := t.TempDir()
		write(t, dir, "tokenizer.model", string(model))
		tok, err := Load(dir)
		if err != nil {
			return
		}
		ids := tok.Encode(in, true)
		tracked, spans := tok.EncodeWithOffsets(in, true)
		if !slices.Equal(ids, tracked) || len(spans) != len(ids) {
			t.Fatalf("%q: %v, with offsets %v, %d spans", in, ids, tracked, len(spans))
		}
		tok.Decode(ids, false)
		tok.Digest()
	})
}
