package gguf

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// Token types of GGUF.
const (
	tokenNormal      = 1
	tokenUnknown     = 2
	tokenControl     = 3
	tokenUserDefined = 4
	tokenUnused      = 5
	tokenByte        = 6
)

// vocabulary is what a GGUF's metadata says of the tokenizer.
type vocabulary struct {
	model  string // "gpt2" (byte-level BPE), "llama" (SentencePiece BPE), "bert" (WordPiece) or "t5" (Unigram)
	pre    string // how gpt2 splits text before merging
	tokens []string
	ids    map[string]int
	types  []int32
	scores []float32 // llama only
	merges []string  // gpt2 only

	charsmap                []byte // t5 only
	bos, eos, eot, unk, pad *int
	cls, sep                *int
	addBOS, addEOS          bool
	addSpace                bool // llama: text begins with a space
	chatTemplate            string
}

// vocabulary reads the tokenizer of a model whose embedding has rows rows.
func (f *File) vocabulary(rows int) (*vocabulary, error) {
	v := &vocabulary{ids: map[string]int{}}
	v.model, _ = f.Text("tokenizer.ggml.model")
	v.pre, _ = f.Text("tokenizer.ggml.pre")
	v.chatTemplate, _ = f.Text("tokenizer.chat_template")
	v.tokens, _ = f.Texts("tokenizer.ggml.tokens")
	if len(v.tokens) == 0 || len(v.tokens) > rows {
		return nil, fmt.Errorf("%d tokens for an embedding of %d rows", len(v.tokens), rows)
	}
	for id, token := range v.tokens {
		if other, ok := v.ids[token]; ok {
			return nil, fmt.Errorf("tokens %d and %d are both %q", other, id, token)
		}
		if !utf8.ValidString(token) {
			return nil, fmt.Errorf("token %d, %q, is not valid UTF-8", id, token)
		}
		v.ids[token] = id
	}
	if !utf8.ValidString(v.chatTemplate) {
		return nil, errors.New("the chat template is not valid UTF-8")
	}
	if err := v.readTypes(f); err != nil {
		return nil, err
	}
	if err := v.readSpecial(f); err != nil {
		return nil, err
	}
	switch v.model {
	case "gpt2":
		v.merges, _ = f.Texts("tokenizer.ggml.merges")
	case "bert":
	case "llama", "t5":
		v.charsmap, _ = f.Value("tokenizer.ggml.precompiled_charsmap").([]byte)
		v.scores, _ = f.Floats("tokenizer.ggml.scores")
		if len(v.scores) != len(v.tokens) {
			return nil, fmt.Errorf("%d scores for %d tokens", len(v.scores), len(v.tokens))
		}
		if i := slices.IndexFunc(v.scores, func(s float32) bool { return s != s }); i >= 0 {
			return nil, fmt.Errorf("token %d has no number for a score", i)
		}
	default:
		return nil, fmt.Errorf("tokenizer model %q cannot be converted (gpt2, llama, bert and t5 can)", v.model)
	}
	return v, nil
}

// readTypes reads the tokens' types; without any, all are normal.
func (v *vocabulary) readTypes(f *File) error {
	v.types = make([]int32, len(v.tokens))
	for i := range v.types {
		v.types[i] = tokenNormal
	}
	if f.Value("tokenizer.ggml.token_type") == nil {
		return nil
	}
	types, _ := f.Ints("tokenizer.ggml.token_type")
	if len(types) != len(v.tokens) {
		return fmt.Errorf("%d token types for %d tokens", len(types), len(v.tokens))
	}
	for id, t := range types {
		if t < tokenNormal || t > tokenByte {
			return fmt.Errorf("token %d has unknown type %d", id, t)
		}
	}
	v.types = types
	return nil
}

// readSpecial reads the special tokens' ids and what is added to a text.
// Defaults are llama.cpp's: SentencePiece models begin a text with BOS and a space.
func (v *vocabulary) readSpecial(f *File) error {
	for key, to := range map[string]**int{
		"bos": &v.bos, "eos": &v.eos, "eot": &v.eot, "unknown": &v.unk, "padding": &v.pad, "cls": &v.cls, "seperator": &v.sep,
	} {
		key = "tokenizer.ggml." + key + "_token_id"
		if f.Value(key) == nil {
			continue
		}
		n, ok := f.Uint(key)
		if !ok || n >= uint64(len(v.tokens)) {
			return fmt.Errorf("metadata %q is %v, not one of %d tokens", key, f.Value(key), len(v.tokens))
		}
		id := int(n)
		*to = &id
	}
	v.addBOS = v.model == "llama" || preTokenizers()[v.pre].addBOS
	v.addSpace, v.addEOS = v.model == "llama" || v.model == "t5", v.model == "t5"
	for key, to := range map[string]*bool{
		"tokenizer.ggml.add_bos_token": &v.addBOS, "tokenizer.ggml.add_eos_token": &v.addEOS,
		"tokenizer.ggml.add_space_prefix": &v.addSpace,
	} {
		if b, ok := f.Bool(key); ok {
			*to = b
		}
	}
	if v.addBOS && v.bos == nil || v.addEOS && v.eos == nil {
		return errors.New("the tokenizer adds a BOS or EOS token that it does not name")
	}
	return nil
}

// stops are the tokens that end a generation: nil, an id, or a list of two.
func (v *vocabulary) stops() any {
	switch {
	case v.eos == nil && v.eot == nil:
		return nil
	case v.eot == nil || v.eos != nil && *v.eot == *v.eos:
		return *v.eos
	case v.eos == nil:
		return *v.eot
	}
	return []int{*v.eos, *v.eot}
}

// generation is generation_config.json.
func (v *vocabulary) generation() any {
	return struct {
		BOS *int `json:"bos_token_id,omitempty"`
		EOS any  `json:"eos_token_id,omitempty"`
		Pad *int `json:"pad_token_id,omitempty"`
	}{v.bos, v.stops(), v.pad}
}

// text is the token of an optional id.
func (v *vocabulary) text(id *int) *string {
	if id == nil {
		return nil
	}
	return &v.tokens[*id]
}

// specialTokens is special_tokens_map.json.
func (v *vocabulary) specialTokens() any {
	return struct {
		BOS *string `json:"bos_token,omitempty"`
		EOS *string `json:"eos_token,omitempty"`
		Pad *string `json:"pad_token,omitempty"`
		Unk *string `json:"unk_token,omitempty"`
	}{v.text(v.bos), v.text(v.eos), v.text(v.pad), v.text(v.unk)}
}

// tokenizerConfig is tokenizer_config.json.
func (v *vocabulary) tokenizerConfig(maxLength int) any {
	return struct {
		AddBOS       bool    `json:"add_bos_token"`
		AddEOS       bool    `json:"add_eos_token"`
		BOS          *string `json:"bos_token"`
		ChatTemplate string  `json:"chat_template,omitempty"`
		CleanUp      bool    `json:"clean_up_tokenization_spaces"`
		EOS          *string `json:"eos_token"`
		MaxLength    int     `json:"model_max_length"`
		Pad          *string `json:"pad_token"`
		Class        string  `json:"tokenizer_class"`
		Unk          *string `json:"unk_token"`
	}{v.addBOS, v.addEOS, v.text(v.bos), v.chatTemplate, false, v.text(v.eos), maxLength, v.text(v.pad), "PreTrainedTokenizerFast", v.text(v.unk)}
}

// orderedVocab is a vocabulary in JSON, {token: id} in the order of the ids.
type orderedVocab []string

// MarshalJSON implements json.Marshaler.
func (v orderedVocab) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	b.WriteByte('{')
	for id, token := range v {
		if id > 0 {
			b.WriteByte(',')
		}
		if err := enc.Encode(token); err != nil {
			return nil, err
		}
		b.Truncate(b.Len() - 1) // the newline
		fmt.Fprintf(&b, ":%d", id)
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

// splitMerge takes "left right" apart.
func splitMerge(merge string) (left, right string, ok bool) {
	left, right, ok = strings.Cut(merge, " ")
	return left, right, ok && left != "" && right != "" && !strings.Contains(right, " ")
}
