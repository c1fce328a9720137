package token

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
)

// TestVectors compares the tokenizers of testdata, made by its make.py, with
// what the Hugging Face library answers.
func TestVectors(t *testing.T) {
	toks := map[string]*Tokenizer{}
	for line := range lines(t, "testdata/vectors.jsonl") {
		var v struct {
			Tokenizer, Text, Decoded, Skipped string
			IDs, Special                      []int32
		}
		mustJSON(t, []byte(line), &v)
		tok := toks[v.Tokenizer]
		if tok == nil {
			tok = open(t, v.Tokenizer)
			toks[v.Tokenizer] = tok
		}
		got := tok.Encode(v.Text, false)
		if !slices.Equal(got, v.IDs) {
			t.Errorf("%s %q:\n got %v\nwant %v", v.Tokenizer, v.Text, got, v.IDs)
		}
		if got := tok.Encode(v.Text, true); !slices.Equal(got, v.Special) {
			t.Errorf("%s %q with special tokens:\n got %v\nwant %v", v.Tokenizer, v.Text, got, v.Special)
		}
		if got := tok.Decode(v.IDs, false); got != v.Decoded {
			t.Errorf("%s %v decodes as %q, want %q", v.Tokenizer, v.IDs, got, v.Decoded)
		}
		if got := tok.Decode(v.IDs, true); got != v.Skipped {
			t.Errorf("%s %v decodes without special tokens as %q, want %q", v.Tokenizer, v.IDs, got, v.Skipped)
		}
		tracked, spans := tok.EncodeWithOffsets(v.Text, true)
		if !slices.Equal(tracked, v.Special) || len(spans) != len(tracked) {
			t.Errorf("%s %q with offsets: %v, %d spans", v.Tokenizer, v.Text, tracked, len(spans))
		}
	}
	if len(toks) != 4 {
		t.Errorf("%d tokenizers, want 4", len(toks))
	}
}

// TestComponents compares single stages with what the library makes of them.
func TestComponents(t *testing.T) {
	alphabet := newByteLevel()
	count := 0
	for line := range lines(t, "testdata/components.jsonl") {
		var v struct {
			Stage, In   string
			Component   json.RawMessage
			Pieces, Out []string
		}
		mustJSON(t, []byte(line), &v)
		count++
		var got []string
		switch v.Stage {
		case "normalizer":
			n, err := readNormalizer(v.Component)
			if err != nil {
				t.Fatal(err)
			}
			plain, tracked := n.normalize(text{s: v.In}, false), n.normalize(text{s: v.In}, true)
			if plain.s != tracked.s || tracked.at != nil && len(tracked.at) != len(tracked.s) {
				t.Errorf("%s of %q: %q, tracked %q with %d spans", v.Component, v.In, plain.s, tracked.s, len(tracked.at))
			}
			got = []string{plain.s}
		case "pre_tokenizer":
			got = split(t, alphabet, v.Component, v.In)
		case "decoder":
			d, err := readDecoder(v.Component, alphabet)
			if err != nil {
				t.Fatal(err)
			}
			pieces := slices.Clone(v.Pieces)
			for _, each := range d {
				pieces = each.decode(pieces)
			}
			got = []string{strings.Join(pieces, "")}
		}
		if !slices.Equal(got, v.Out) {
			t.Errorf("%s of %q %q:\n got %q\nwant %q", v.Component, v.In, v.Pieces, got, v.Out)
		}
	}
	if count < 300 {
		t.Errorf("only %d vectors", count)
	}
}

// split returns the pretokens of s, in the byte-level alphabet where the
// component writes it.
func split(t *testing.T, alphabet *byteLevel, component json.RawMessage, s string) []string {
	t.Helper()
	p, inAlphabet, err := readPreTokenizer(component, true)
	if err != nil {
		t.Fatal(err)
	}
	out := []string{}
	p.split(text{s: s}, true, func(piece text) {
		if piece.at != nil && len(piece.at) != len(piece.s) {
			t.Errorf("%s of %q: %q has %d spans", component, s, piece.s, len(piece.at))
		}
		if inAlphabet {
			var spelled strings.Builder
			for i := range len(piece.s) {
				spelled.WriteRune(alphabet.runes[piece.s[i]])
			}
			piece.s = spelled.String()
		}
		out = append(out, piece.s)
	})
	return out
}

// open loads a tokenizer of testdata.
func open(tb testing.TB, name string) *Tokenizer {
	tb.Helper()
	tok, err := Load("testdata/" + name)
	if err != nil {
		tb.Fatal(err)
	}
	return tok
}
