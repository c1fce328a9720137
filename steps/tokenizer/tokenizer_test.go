package tokenizer

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/pipe-run/pipe/pipeline"
	"github.com/pipe-run/pipe/steps/internal/dataset"
	"github.com/pipe-run/pipe/steps/internal/token"
	"github.com/pipe-run/pipe/steps/steptest"
)

// learnt is testdata/learnt.json, which interop/golden/bpe_train.py writes.
type learnt struct {
	Texts []string `json:"texts"`
	Tests []string `json:"tests"`
	Cases []struct {
		PreTokenizer   string      `json:"preTokenizer"`
		NFC            bool        `json:"nfc"`
		VocabSize      int         `json:"vocabSize"`
		MinFrequency   int64       `json:"minFrequency"`
		MaxTokenLength int         `json:"maxTokenLength"`
		Pieces         []string    `json:"pieces"`
		Merges         [][2]string `json:"merges"`
		IDs            [][]int32   `json:"ids"`
	} `json:"cases"`
}

func readLearnt(t *testing.T) (l learnt) {
	t.Helper()
	data, err := os.ReadFile("testdata/learnt.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, &l); err != nil {
		t.Fatal(err)
	}
	return l
}

func newCase(t *testing.T, p Params, texts ...string) steptest.Case {
	t.Helper()
	dir := t.TempDir()
	w, err := dataset.CreateRecords(dir, dataset.Text)
	if err != nil {
		t.Fatal(err)
	}
	for i, s := range texts {
		if err := w.Write(dataset.Record{Shape: dataset.Text, Text: s, Origin: dataset.Origin{File: "a", Record: int64(i + 1)}}); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	raw, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	return steptest.Case{Kind: Kind, Params: string(raw), In: map[string]string{"records": dir}, Out: []string{"tokenizer"}}
}

// TestMergesOfHuggingFace: pieces, merges and ids are those of BpeTrainer.
func TestMergesOfHuggingFace(t *testing.T) {
	l := readLearnt(t)
	for _, c := range l.Cases {
		p := Params{
			VocabSize: c.VocabSize, MinFrequency: c.MinFrequency, PreTokenizer: c.PreTokenizer, Normalizer: "none",
			MaxTokenLength: max(0, c.MaxTokenLength-1), // BpeTrainer's is the first length that is too long
			SpecialTokens:  []string{"<|endoftext|>", "<pad>"},
		}
		if c.NFC {
			p.Normalizer = "nfc"
		}
		for _, threads := range []int{1, 3} {
			dir := steptest.Do(t, newCase(t, p, l.Texts...), threads).Out["tokenizer"]
			var file struct {
				Model struct {
					Vocab  map[string]int `json:"vocab"`
					Merges [][2]string    `json:"merges"`
				} `json:"model"`
			}
			data, err := os.ReadFile(filepath.Join(dir, "tokenizer.json"))
			if err != nil {
				t.Fatal(err)
			}
			if err := json.Unmarshal(data, &file); err != nil {
				t.Fatal(err)
			}
			for i, m := range c.Merges {
				if i >= len(file.Model.Merges) || m != file.Model.Merges[i] {
					t.Fatalf("%s %d: merge %d is another than %q", c.PreTokenizer, c.VocabSize, i, m)
				}
			}
			if len(c.Merges) != len(file.Model.Merges) || len(c.Pieces) != len(file.Model.Vocab) {
				t.Fatalf("%s: %d merges and %d pieces, want %d and %d", c.PreTokenizer, len(file.Model.Merges), len(file.Model.Vocab), len(c.Merges), len(c.Pieces))
			}
			for id, piece := range c.Pieces {
				if file.Model.Vocab[piece] != id {
					t.Fatalf("%s: %q has id %d, want %d", c.PreTokenizer, piece, file.Model.Vocab[piece], id)
				}
			}
			tok, err := token.Load(dir)
			if err != nil {
				t.Fatal(err)
			}
			for i, s := range l.Tests {
				if got := tok.Encode(s, true); !slices.Equal(got, c.IDs[i]) {
					t.Errorf("%s: %q is %v, want %v", c.PreTokenizer, s, got, c.IDs[i])
				}
			}
		}
	}
}

func TestTokenizer(t *testing.T) {
	p := Params{
		VocabSize: 300, MinFrequency: 2, PreTokenizer: "gpt2", Normalizer: "none", SpecialTokens: []string{"<s>", "<e>"},
		Roles: &Roles{BOS: "<s>", EOS: "<e>"}, ChatTemplate: "{% for m in messages %}{{ m.content }}<e>{% endfor %}",
	}
	c := newCase(t, p, readLearnt(t).Texts[:50]...)
	steptest.Run(t, c)
	tok, err := token.Load(steptest.Do(t, c, 2).Out["tokenizer"])
	if err != nil {
		t.Fatal(err)
	}
	if bos, _ := tok.BOS(); bos != 0 {
		t.Errorf("bos is %d", bos)
	}
	if eos, _ := tok.EOS(); eos != 1 {
		t.Errorf("eos is %d", eos)
	}
	if tok.VocabSize() != 300 {
		t.Errorf("%d pieces", tok.VocabSize())
	}
}

// TestSpecialTokensAreNotLearnt: text between special tokens is.
func TestSpecialTokensAreNotLearnt(t *testing.T) {
	p := Params{VocabSize: 300, MinFrequency: 2, PreTokenizer: "gpt2", Normalizer: "none", SpecialTokens: []string{"<sep>"}}
	tok, err := token.Load(steptest.Do(t, newCase(t, p, strings.Repeat("ab<sep>", 20)), 1).Out["tokenizer"])
	if err != nil {
		t.Fatal(err)
	}
	if tok.VocabSize() != 258 { // the bytes, <sep> and ab: too little text is no error
		t.Errorf("%d pieces", tok.VocabSize())
	}
	if got := tok.Encode("ab<sep>", false); !slices.Equal(got, []int32{257, 0}) {
		t.Errorf("%v", got)
	}
}

func TestVet(t *testing.T) {
	good := Params{VocabSize: 300, MinFrequency: 2, PreTokenizer: "gpt2", Normalizer: "none", SpecialTokens: []string{"<s>"}}
	for field, spoil := range map[string]func(*Params){
		"":              func(*Params) {},
		"vocabSize":     func(p *Params) { p.VocabSize = 256 },
		"specialTokens": func(p *Params) { p.SpecialTokens = []string{"<s>", "<s>"} },
		"roles.eos":     func(p *Params) { p.Roles = &Roles{EOS: "</s>"} },
		"chatTemplate":  func(p *Params) { p.ChatTemplate = "{% for" },
	} {
		p := good
		spoil(&p)
		raw, err := json.Marshal(p)
		if err != nil {
			t.Fatal(err)
		}
		err = Kind.Vet(raw, []string{"records"})
		var at *pipeline.FieldError
		if field == "" && err != nil || field != "" && (!errors.As(err, &at) || at.Field != field) {
			t.Errorf("%s: %v", field, err)
		}
	}
	for _, s := range []string{"", "a", "Ġ", "\xff", strings.Repeat("x", 300)} {
		p := good
		p.SpecialTokens = []string{s}
		if p.check() == nil {
			t.Errorf("special token %.10q is taken", s)
		}
	}
}
