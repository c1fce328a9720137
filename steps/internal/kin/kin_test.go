package kin

import (
	"errors"
	"os"
	"testing"

	"github.com/pipe-run/pipe/pipeline"
	"github.com/pipe-run/pipe/steps/internal/artifact"
	"github.com/pipe-run/pipe/steps/internal/tiny"
)

func at(err error) string {
	var field *pipeline.FieldError
	if errors.As(err, &field) {
		return field.Field
	}
	return ""
}

// TestTokens: a directory and its files are read alike; what nothing is known of
// is not compared.
func TestTokens(t *testing.T) {
	dir := tiny.Model(t, 1)
	tok, err := In(dir)()
	if err != nil {
		t.Fatal(err)
	}
	for _, model := range []Tokenizer{In(dir), Of(os.DirFS(dir))} {
		for digest, want := range map[string]string{tok.Digest(): "", "00": "in.tokens"} {
			known, err := Tokens("tokens", artifact.Provenance{Tokenizer: digest}, model)
			if !known || at(err) != want || want == "" && err != nil {
				t.Errorf("%q: %t, %v", digest, known, err)
			}
		}
		if known, err := Tokens("tokens", artifact.Provenance{}, model); known || err != nil {
			t.Errorf("tokens of another program: %t, %v", known, err)
		}
	}
	none := Of(os.DirFS(t.TempDir()))
	if known, err := Tokens("tokens", artifact.Provenance{Tokenizer: "00"}, none); known || err != nil {
		t.Errorf("a model without a tokenizer: %t, %v", known, err)
	}
}

// TestAdapter: an adapter belongs to the model it was trained on and to what was
// made of the same weights.
func TestAdapter(t *testing.T) {
	dir := tiny.Model(t, 1)
	own, err := In(dir)()
	if err != nil {
		t.Fatal(err)
	}
	nf4 := &artifact.Quantization{Scheme: "nf4"}
	for name, c := range map[string]struct {
		digest  string
		model   artifact.Provenance
		adapter artifact.Provenance
		refused bool
	}{
		"of another program":      {digest: "m"},
		"trained on it":           {digest: "m", adapter: artifact.Provenance{Base: "m", Tokenizer: "older"}},
		"trained on it quantized": {digest: "m", adapter: artifact.Provenance{Base: "q", Original: "m", Tokenizer: own.Digest()}},
		"both quantized": {digest: "q2", model: artifact.Provenance{Base: "m", Quantization: nf4},
			adapter: artifact.Provenance{Base: "q", Original: "m"}},
		"quantized since": {digest: "q", model: artifact.Provenance{Base: "m", Quantization: nf4},
			adapter: artifact.Provenance{Base: "m"}},
		"another": {digest: "m", adapter: artifact.Provenance{Base: "x", Original: "y"}, refused: true},
		"nothing known of a quantized model": {digest: "q", model: artifact.Provenance{Quantization: nf4},
			adapter: artifact.Provenance{Base: "x"}, refused: true},
		"another tokenizer": {digest: "q", model: artifact.Provenance{Base: "m", Quantization: nf4},
			adapter: artifact.Provenance{Base: "m", Tokenizer: "00"}, refused: true},
		"another tokenizer alone": {digest: "m", adapter: artifact.Provenance{Tokenizer: "00"}, refused: true},
	} {
		err := Model{From: c.model, Digest: c.digest, Tokenizer: In(dir)}.Adapter(c.adapter)
		if c.refused && at(err) != "in.adapter" || !c.refused && err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}
