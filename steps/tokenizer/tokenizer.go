// Package tokenizer implements the tokenizer step: a byte-level BPE tokenizer is
// learnt from the text of records.
package tokenizer

import (
	"context"
	"fmt"

	"github.com/pipe-run/pipe/pipeline"
	"github.com/pipe-run/pipe/steps/internal/token"
	"github.com/pipe-run/pipe/steps/internal/token/train"
)

// Kind is the tokenizer step.
var Kind = kind()

func kind() pipeline.Kind {
	k := pipeline.Define("tokenizer", 1, run)
	k.Vet = vet
	return k
}

// Params mirrors schemas/tokenizer.cue.
type Params struct {
	VocabSize      int      `json:"vocabSize"`
	MinFrequency   int64    `json:"minFrequency"`
	PreTokenizer   string   `json:"preTokenizer"`
	Normalizer     string   `json:"normalizer"`     // "none" or "nfc"
	MaxTokenLength int      `json:"maxTokenLength"` // bytes; 0 is any
	SpecialTokens  []string `json:"specialTokens"`
	Roles          *Roles   `json:"roles"`
	ChatTemplate   string   `json:"chatTemplate"` // "" is none
}

// Roles name special tokens; "" is none.
type Roles struct {
	BOS string `json:"bos"`
	EOS string `json:"eos"`
	Pad string `json:"pad"`
	Unk string `json:"unk"`
}

func (p Params) blank() token.Blank {
	return token.Blank{Pattern: p.PreTokenizer, NFC: p.Normalizer == "nfc", Special: p.SpecialTokens}
}

func run(ctx context.Context, p Params, t *pipeline.Task) error {
	words, counts, err := count(ctx, p, t)
	if err != nil {
		return err
	}
	special := make([]string, len(p.SpecialTokens))
	for i, s := range p.SpecialTokens {
		special[i] = s
		if raw, ok := token.SpelledBytes(s); ok {
			special[i] = raw
		}
	}
	learnt, err := train.Learn(ctx, words, counts, train.Params{
		VocabSize: p.VocabSize, MinFrequency: p.MinFrequency, MaxTokenLength: p.MaxTokenLength,
		Special: special, Order: token.ByteOrder(),
		Learnt: func(n int) {
			t.Emit(pipeline.Progress{Done: int64(n), Total: int64(p.VocabSize), Unit: "pieces"})
		},
	})
	if err != nil {
		return err
	}
	if n := len(learnt.Pieces); n < p.VocabSize {
		t.Log.Warn(fmt.Sprintf("the vocabulary has %d pieces, not %d: no other pair occurs %d times; more text or a smaller minFrequency makes more", n, p.VocabSize, p.MinFrequency))
	}
	if err := p.write(t.Out["tokenizer"], learnt); err != nil {
		return err
	}
	t.Emit(pipeline.Metric{Name: "vocabulary", Value: float64(len(learnt.Pieces))})
	return p.measure(t, words, counts)
}

// measure tells how many bytes a token has, on what was learnt from.
func (p Params) measure(t *pipeline.Task, words []string, counts []int64) error {
	tok, err := token.Load(t.Out["tokenizer"])
	if err != nil {
		return fmt.Errorf("reading what was written: %w", err)
	}
	var bytes, tokens int64
	var ids []int32
	for i, w := range words {
		ids = tok.AppendEncode(ids[:0], w, false)
		bytes += int64(len(w)) * counts[i]
		tokens += int64(len(ids)) * counts[i]
	}
	share := float64(bytes) / float64(max(1, tokens))
	t.Log.Info(fmt.Sprintf("%d pieces; on the text it was made from a token has %.2f bytes", tok.VocabSize(), share))
	t.Emit(pipeline.Metric{Name: "bytes/token", Value: share})
	return nil
}
