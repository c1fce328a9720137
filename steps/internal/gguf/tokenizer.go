package gguf

import (
	"errors"
	"fmt"
	"sort"
)

// object is a JSON object, written with sorted keys.
type object map[string]any

// tokenizerFile is tokenizer.json.
type tokenizerFile struct {
	Version       string       `json:"version"`
	Truncation    any          `json:"truncation"`
	Padding       any          `json:"padding"`
	AddedTokens   []addedToken `json:"added_tokens"`
	Normalizer    any          `json:"normalizer"`
	PreTokenizer  any          `json:"pre_tokenizer"`
	PostProcessor any          `json:"post_processor"`
	Decoder       any          `json:"decoder"`
	Model         bpeModel     `json:"model"`
}

// addedToken is a token that is cut out of the text before anything else.
type addedToken struct {
	ID         int    `json:"id"`
	Content    string `json:"content"`
	SingleWord bool   `json:"single_word"`
	LStrip     bool   `json:"lstrip"`
	RStrip     bool   `json:"rstrip"`
	Normalized bool   `json:"normalized"`
	Special    bool   `json:"special"`
}

// bpeModel is the model of a byte-pair encoding.
type bpeModel struct {
	Type         string       `json:"type"`
	Dropout      any          `json:"dropout"`
	Unk          *string      `json:"unk_token"`
	Prefix       any          `json:"continuing_subword_prefix"`
	Suffix       any          `json:"end_of_word_suffix"`
	FuseUnk      bool         `json:"fuse_unk"`
	ByteFallback bool         `json:"byte_fallback"`
	IgnoreMerges bool         `json:"ignore_merges"`
	Vocab        orderedVocab `json:"vocab"`
	Merges       []string     `json:"merges"`
}

// tokenizer builds tokenizer.json.
func (v *vocabulary) tokenizer() (*tokenizerFile, error) {
	t := &tokenizerFile{
		Version: "1.0", AddedTokens: v.added(), PostProcessor: v.template(),
		Model: bpeModel{Type: "BPE", Vocab: v.tokens},
	}
	var err error
	if v.model == "llama" {
		err = v.sentencePiece(t)
	} else {
		err = v.byteLevel(t)
	}
	return t, err
}

// added lists the tokens that text may not be merged into: control and unknown
// tokens are special, user-defined ones are not.
func (v *vocabulary) added() []addedToken {
	list := []addedToken{}
	for id, token := range v.tokens {
		switch v.types[id] {
		case tokenControl, tokenUnknown:
			list = append(list, addedToken{ID: id, Content: token, Special: true})
		case tokenUserDefined:
			list = append(list, addedToken{ID: id, Content: token})
		}
	}
	return list
}

// template adds BOS and EOS to a text, or is nil.
func (v *vocabulary) template() any {
	if !v.addBOS && !v.addEOS {
		return nil
	}
	tokens := object{}
	special := func(id int, typeID int) object {
		token := v.tokens[id]
		tokens[token] = object{"id": token, "ids": []int{id}, "tokens": []string{token}}
		return object{"SpecialToken": object{"id": token, "type_id": typeID}}
	}
	sequence := func(name string, typeID int) []object {
		var list []object
		if v.addBOS {
			list = append(list, special(*v.bos, typeID))
		}
		list = append(list, object{"Sequence": object{"id": name, "type_id": typeID}})
		if v.addEOS {
			list = append(list, special(*v.eos, typeID))
		}
		return list
	}
	return object{
		"type": "TemplateProcessing", "single": sequence("A", 0),
		"pair": append(sequence("A", 0), sequence("B", 1)...), "special_tokens": tokens,
	}
}

// preTokenizer is how a family of byte-level tokenizers splits text.
type preTokenizer struct {
	normalizer   any
	split        any
	ignoreMerges bool
	addBOS       bool // unless the file says otherwise
}

// preTokenizers are the known values of tokenizer.ggml.pre.
func preTokenizers() map[string]preTokenizer {
	byteLevel := func(regex bool) object {
		return object{"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": regex}
	}
	sequence := func(first object, regex bool) object {
		return object{"type": "Sequence", "pretokenizers": []object{first, byteLevel(regex)}}
	}
	split := func(numbers string) object {
		return object{"type": "Split", "behavior": "Isolated", "invert": false, "pattern": object{
			"Regex": `(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|` + numbers +
				`| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`}}
	}
	llama3 := preTokenizer{split: sequence(split(`\p{N}{1,3}`), false), ignoreMerges: true, addBOS: true}
	return map[string]preTokenizer{
		"gpt-2":     {split: byteLevel(true)},
		"smollm":    {split: sequence(object{"type": "Digits", "individual_digits": true}, true)},
		"llama-bpe": llama3,
		"llama3":    llama3,
		"llama-v3":  llama3,
		"qwen2":     {normalizer: object{"type": "NFC"}, split: sequence(split(`\p{N}`), false)},
	}
}

// byteLevel completes a tokenizer of GPT-2's kind.
func (v *vocabulary) byteLevel(t *tokenizerFile) error {
	pre, ok := preTokenizers()[v.pre]
	if !ok {
		return fmt.Errorf("tokenizer.ggml.pre is %q; how it splits text is known for gpt-2, llama-bpe, qwen2 and smollm only", v.pre)
	}
	if len(v.merges) == 0 {
		return errors.New("no merges")
	}
	for i, merge := range v.merges {
		left, right, ok := splitMerge(merge)
		if !ok {
			return fmt.Errorf("merge %d, %q, is not two tokens", i, merge)
		}
		for _, token := range []string{left, right, left + right} {
			if _, ok := v.ids[token]; !ok {
				return fmt.Errorf("merge %d, %q, needs the token %q, which is missing", i, merge, token)
			}
		}
	}
	t.Normalizer, t.PreTokenizer = pre.normalizer, pre.split
	t.Decoder = object{"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true}
	t.Model.IgnoreMerges = pre.ignoreMerges
	t.Model.Merges = v.merges
	return nil
}

// space is what SentencePiece writes for a blank.
const space = "▁"

// sentencePiece completes a tokenizer of Llama 2's kind, as transformers
// converts one: characters without a token fall back to bytes, and the merges
// are the ways to put tokens together from two others, best score first.
func (v *vocabulary) sentencePiece(t *tokenizerFile) error {
	if v.unk == nil {
		return errors.New("no unknown token")
	}
	normalizers := []object{{"type": "Replace", "pattern": object{"String": " "}, "content": space}}
	decoders := []object{
		{"type": "Replace", "pattern": object{"String": space}, "content": " "}, {"type": "ByteFallback"}, {"type": "Fuse"},
	}
	if v.addSpace {
		normalizers = append([]object{{"type": "Prepend", "prepend": space}}, normalizers...)
		decoders = append(decoders, object{"type": "Strip", "content": " ", "start": 1, "stop": 0})
	}
	t.Normalizer = object{"type": "Sequence", "normalizers": normalizers}
	t.Decoder = object{"type": "Sequence", "decoders": decoders}
	t.Model.Unk, t.Model.FuseUnk, t.Model.ByteFallback = v.text(v.unk), true, true
	t.Model.Merges = v.mergesFromScores()
	return nil
}

// maxPiece bounds the characters of a token that merges are looked for in;
// SentencePiece's own limit is 16, longer ones come from elsewhere.
const maxPiece = 512

// mergesFromScores lists every split of a normal token into two normal tokens:
// highest score first, then by the ids of the token and its left part.
func (v *vocabulary) mergesFromScores() []string {
	type merge struct {
		token, left, right int
	}
	var list []merge
	for id, token := range v.tokens {
		if v.types[id] != tokenNormal || len(token) > maxPiece {
			continue
		}
		for i := range token {
			left, okLeft := v.ids[token[:i]]
			right, okRight := v.ids[token[i:]]
			if i > 0 && okLeft && okRight && v.types[left] == tokenNormal && v.types[right] == tokenNormal {
				list = append(list, merge{id, left, right})
			}
		}
	}
	sort.Slice(list, func(i, j int) bool {
		a, b := list[i], list[j]
		if sa, sb := v.scores[a.token], v.scores[b.token]; sa != sb {
			return sa > sb
		}
		if a.token != b.token {
			return a.token < b.token
		}
		return a.left < b.left
	})
	merges := make([]string, len(list))
	for i, m := range list {
		merges[i] = v.tokens[m.left] + " " + v.tokens[m.right]
	}
	return merges
}
