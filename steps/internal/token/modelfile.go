package token

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
)

// modelFile is the member model of tokenizer.json.
type modelFile struct {
	Type          *string         `json:"type"`
	Dropout       *float64        `json:"dropout"`
	UnkToken      *string         `json:"unk_token"`
	UnkID         *int            `json:"unk_id"`
	SubwordPrefix *string         `json:"continuing_subword_prefix"`
	WordSuffix    *string         `json:"end_of_word_suffix"`
	MaxInputChars *int            `json:"max_input_chars_per_word"`
	FuseUnk       bool            `json:"fuse_unk"`
	ByteFallback  bool            `json:"byte_fallback"`
	IgnoreMerges  bool            `json:"ignore_merges"`
	Vocab         json.RawMessage `json:"vocab"`
	Merges        json.RawMessage `json:"merges"`

	vocab          map[string]int32 // from Vocab, or vocab.json
	scored         []scoredPiece    // Unigram: Vocab itself
	merges         [][2]string      // from Merges, or merges.txt
	byteLevelModel bool             // some stage writes the byte-level alphabet
	settings       []string         // what else decides ids, for the digest
}

// kind is the type of the model, which the oldest files leave out.
func (m *modelFile) kind() string {
	switch {
	case m.Type != nil:
		return *m.Type
	case m.merges != nil || !isNull(m.Merges):
		return "BPE"
	case bytes.HasPrefix(bytes.TrimSpace(m.Vocab), []byte("[")):
		return "Unigram"
	case m.MaxInputChars != nil || m.SubwordPrefix != nil:
		return "WordPiece"
	case m.vocab != nil:
		return "BPE"
	}
	return "WordLevel"
}

// check decodes the vocab and the merges.
func (m *modelFile) check() error {
	kind := m.kind()
	switch kind {
	case "BPE":
		if m.Dropout != nil && *m.Dropout != 0 {
			return errors.New("model dropout is not supported: ids would not be reproducible")
		}
		if m.merges == nil {
			merges, err := readMerges(m.Merges)
			if err != nil {
				return err
			}
			m.merges = merges
		}
	case "Unigram":
		if err := m.readUnigram(); err != nil {
			return err
		}
	case "WordPiece", "WordLevel":
	default:
		return fmt.Errorf("model type %q is not supported: BPE, Unigram, WordPiece and WordLevel are", kind)
	}
	if m.vocab == nil {
		if err := json.Unmarshal(m.Vocab, &m.vocab); err != nil {
			return fmt.Errorf("model vocab is not a map of pieces to ids: %w", err)
		}
	}
	if len(m.vocab) == 0 {
		return errors.New("model vocab is empty")
	}
	return nil
}

// build indexes the model.
func (m *modelFile) build(alphabet *byteLevel) (model, error) {
	switch m.kind() {
	case "Unigram":
		return m.buildUnigram(), nil
	case "WordPiece":
		return m.buildWordPiece()
	case "WordLevel":
		return m.buildWordLevel()
	}
	if m.needsAffix() {
		return m.buildAffix()
	}
	return m.buildBPE(alphabet)
}

// buildBPE indexes a BPE without prefixes and suffixes.
func (m *modelFile) buildBPE(alphabet *byteLevel) (*bpe, error) {
	model := &bpe{
		byteLevel: m.byteLevelModel, byteFallback: m.ByteFallback && !m.byteLevelModel,
		fuseUnk: m.FuseUnk, ignoreMerges: m.IgnoreMerges, unk: -1,
	}
	if m.UnkToken != nil {
		unk, err := m.unknown("")
		if err != nil {
			return nil, err
		}
		model.unk = unk
	}
	if err := newBPE(model, m.vocab, m.merges, alphabet); err != nil {
		return nil, err
	}
	model.setSplitAt("▁", m.merges)
	m.settings = []string{fmt.Sprintf("byteLevel %t byteFallback %t fuseUnk %t ignoreMerges %t unk %d",
		model.byteLevel, model.byteFallback, model.fuseUnk, model.ignoreMerges, model.unk)}
	return model, nil
}

// readsBytes tells whether the model reads the bytes of text where the last
// pre-tokenizer would write them in the byte-level alphabet: plain BPE, in
// which the two are the same.
func (m *modelFile) readsBytes() bool {
	return m.kind() == "BPE" && !m.needsAffix()
}
