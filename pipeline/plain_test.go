package pipeline

import (
	"bytes"
	"encoding/json"
	"testing"
)

func TestPlain(t *testing.T) {
	for raw, want := range map[string]bool{
		`{}`: true, `[]`: true, `0`: true, `-7`: true, `"a b"`: true, `null`: true, `true`: true,
		`{"a":1,"b":[1,{"c":false}]}`: true, `123456789012345`: true,
		``: false, `{"b":1,"a":2}`: false, `{"a":1,"a":1}`: false, `{"a": 1}`: false, `1.5`: false, `1e3`: false,
		`-0`: false, `01`: false, `"\n"`: false, `"é"`: false, `[1,]`: false, `[1`: false, `{"a"}`: false,
		`1234567890123456`: false, `nul`: false, `{}x`: false, `"a`: false, `-`: false, `{"a":1,}`: false,
	} {
		if got := isPlain([]byte(raw)); got != want {
			t.Errorf("%s: plain is %v, want %v", raw, got, want)
		}
	}
	if isPlain(bytes.Repeat([]byte("["), 1<<20)) {
		t.Error("endless nesting is plain")
	}
}

// FuzzPlain demands that what is plain is canonical.
func FuzzPlain(f *testing.F) {
	for _, seed := range []string{`{"a":1,"b":[true,null,"x"]}`, `{"b":0,"a":-1}`, `[1,2.5]`, `"\u0041"`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		if !isPlain(raw) {
			return
		}
		if got, err := CanonicalJSON(raw); err != nil || !bytes.Equal(got, raw) {
			t.Errorf("%q is plain, but canonical is %q, %v", raw, got, err)
		}
	})
}

// TestCanonicalTwins compares the two ways to a preimage.
func TestCanonicalTwins(t *testing.T) {
	for _, a := range []*Action{
		sampleAction(),
		{Kind: "k", Params: json.RawMessage(`{}`)},
		{Kind: "k", Params: json.RawMessage(`{"a":"<&>","b":[]}`), Pin: "a\"\\\n\x01<é>\u2028", Outputs: map[string]string{"b": "x", "a": "y"}},
		{Kind: "k", Params: json.RawMessage(`{"x":1.50}`), Inputs: map[string]Artifact{"z": {Type: "t"}, "a": {Type: "u", Root: Digest{9}}}},
		{Kind: "k", Params: json.RawMessage(`{}`), Pin: "\xff"},
		{Kind: "k", Params: json.RawMessage(`{}`), Outputs: map[string]string{"é": "x", "z": "y", "\U0001F600": "", "\uFFFD": ""}},
	} {
		if got, want := a.Canonical(), a.canonicalSlow(); !bytes.Equal(got, want) {
			t.Errorf("fast %s\nslow %s", got, want)
		}
	}
}
