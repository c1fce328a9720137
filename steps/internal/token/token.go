// Package token turns text into token ids and back, exactly as the library that
// a tokenizer's file comes from does: Hugging Face tokenizers, sentencepiece or
// tiktoken.
//
// The stages are those of the first: added tokens are cut out of the text, what
// is left is normalized, split into pretokens, made into ids by the model, and
// wrapped in the special tokens of the post-processor. What is not supported is
// refused by name when the file is loaded, so that ids are right or absent. A
// Tokenizer is immutable after Load and safe for use by many goroutines.
//
// Properties of characters are those of Go's version of Unicode (15.0);
// docs/tokenizers.md says where the libraries have others.
package token

import (
	"slices"
	"sync"
)

// Span is a half-open range of bytes of the text that was encoded.
type Span struct{ Start, End int }

// Tokenizer holds one loaded tokenizer.
type Tokenizer struct {
	model      model
	normalizer normalizer // nil: none
	pre        splitter   // nil: none
	pattern    pattern    // what pre amounts to; nil if that is more
	bpe        *bpe       // model, if it is one
	spaced     *spaced    // what encodes without writing spaces as ▁; nil: nothing does
	post       []wrap
	decoders   []decoder
	raw        *matcher // added tokens looked for in the text as given
	normalized *matcher // added tokens looked for after normalization

	pieces  []string         // id → piece as the file spells it; "" where no id is
	known   []bool           // id → whether the id is defined
	ids     map[string]int32 // piece → id, added tokens first
	special map[int32]bool
	written map[int32]string // what added tokens decode to, where they are normalized

	bos, eos int32 // -1: none
	stops    []int32
	warnings []string
	config   *side

	digest func() string

	mu   sync.Mutex
	free []*scratch // guarded by mu
}

// Encode returns the ids of text. With addSpecial the post-processor's tokens
// (BOS and the like) are added; without, ids are those of the text alone.
// Special tokens spelled out in the text become their ids, as in Hugging Face
// tokenizers. Bytes that are not UTF-8 are read as U+FFFD.
func (t *Tokenizer) Encode(text string, addSpecial bool) []int32 {
	return t.AppendEncode(nil, text, addSpecial)
}

// AppendEncode is Encode appending to dst.
func (t *Tokenizer) AppendEncode(dst []int32, text string, addSpecial bool) []int32 {
	s := t.borrow(false)
	defer t.giveBack(s)
	s.ids = dst
	t.encode(s, text, addSpecial)
	dst, s.ids = s.ids, nil
	return dst
}

// EncodeWithOffsets is Encode that also tells which bytes of text each id came
// from. Where a character is split over several ids the spans are its parts,
// unless a normalizer rewrote it: then each id spans the whole. Ids added by
// the post-processor have empty spans.
func (t *Tokenizer) EncodeWithOffsets(text string, addSpecial bool) ([]int32, []Span) {
	s := t.borrow(true)
	defer t.giveBack(s)
	t.encode(s, text, addSpecial)
	ids, spans := s.ids, s.spans
	s.ids, s.spans = nil, nil
	return ids, spans
}

// VocabSize is one more than the largest id, added tokens included.
func (t *Tokenizer) VocabSize() int { return len(t.pieces) }

// ID returns the id of a piece as the file spells it ("Ġthe", "▁the",
// "<|im_end|>").
func (t *Tokenizer) ID(piece string) (int32, bool) {
	id, ok := t.ids[piece]
	return id, ok
}

// Piece returns the piece of an id as the file spells it, or "" and false.
func (t *Tokenizer) Piece(id int32) (string, bool) {
	if id < 0 || int(id) >= len(t.pieces) || !t.known[id] {
		return "", false
	}
	return t.pieces[id], true
}

// BOS returns the id that begins a sequence, if the model's files name one.
func (t *Tokenizer) BOS() (int32, bool) { return t.bos, t.bos >= 0 }

// EOS returns the id that ends a sequence, if the model's files name one.
func (t *Tokenizer) EOS() (int32, bool) { return t.eos, t.eos >= 0 }

// StopIDs returns, sorted, every id the model's files name as an end: the
// tokenizer's eos token and the eos_token_id (one or a list) of
// generation_config.json and config.json.
func (t *Tokenizer) StopIDs() []int32 { return slices.Clone(t.stops) }

// AddsBOS tells whether Encode with addSpecial begins with the BOS id.
func (t *Tokenizer) AddsBOS() bool {
	ids := t.wrapIDs(nil)
	return t.bos >= 0 && len(ids) > 0 && ids[0] == t.bos
}

// Special returns, sorted, the ids of special tokens.
func (t *Tokenizer) Special() []int32 {
	ids := make([]int32, 0, len(t.special))
	for id := range t.special {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return ids
}

// IsSpecial tells whether id is a special token, which Decode may skip.
func (t *Tokenizer) IsSpecial(id int32) bool { return t.special[id] }

// Warnings are sentences for the user about settings of the files that are
// known and deliberately not applied, such as a stored truncation.
func (t *Tokenizer) Warnings() []string { return slices.Clone(t.warnings) }

// Digest is the SHA-256, in hex, of everything that decides which ids a text
// becomes and which text ids become. Formatting of the files, the spelling of
// merges and keys that change no id are not in it.
func (t *Tokenizer) Digest() string { return t.digest() }
