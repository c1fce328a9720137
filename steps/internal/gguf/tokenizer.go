package gguf

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"sort"
	"strings"
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
	Model         any          `json:"model"`
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
	t := &tokenizerFile{Version: "1.0", AddedTokens: v.added(), PostProcessor: v.template()}
	m := &bpeModel{Type: "BPE", Vocab: v.tokens}
	switch v.model {
	case "bert":
		return t, v.wordPiece(t)
	case "t5":
		return t, v.unigram(t)
	case "llama":
		t.Model = m
		return t, v.sentencePiece(t, m)
	}
	t.Model = m
	return t, v.byteLevel(t, m)
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
	regex := func(pattern string) object {
		return object{"type": "Split", "behavior": "Isolated", "invert": false, "pattern": object{"Regex": pattern}}
	}
	split := func(numbers string) object {
		return regex(`(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|` + numbers +
			`| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`)
	}
	splits := func(patterns ...string) object {
		var all []object
		for _, p := range patterns {
			all = append(all, regex(p))
		}
		return object{"type": "Sequence", "pretokenizers": append(all, byteLevel(false))}
	}
	digits := sequence(object{"type": "Digits", "individual_digits": true}, true)
	gpt2, smollm := preTokenizer{split: byteLevel(true)}, preTokenizer{split: digits}
	llama3 := preTokenizer{split: sequence(split(`\p{N}{1,3}`), false), ignoreMerges: true, addBOS: true}
	qwen2 := preTokenizer{normalizer: object{"type": "NFC"}, split: sequence(split(`\p{N}`), false)}
	const cjk, upper, lower = `[一-龥ࠀ-一가-퟿]+`, `[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]`, `[\p{Ll}\p{Lm}\p{Lo}\p{M}]`
	const contraction, rest = `(?i:'s|'t|'re|'ve|'m|'ll|'d)?`, `| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+`
	words := func(after, numbers string) object {
		return sequence(regex(`[^\r\n\p{L}\p{N}]?`+upper+`*`+lower+`+`+after+`|[^\r\n\p{L}\p{N}]?`+upper+`+`+lower+`*`+after+`|`+numbers+rest), false)
	}
	return map[string]preTokenizer{
		"gpt-2": gpt2, "phi-2": gpt2, "olmo": gpt2, "mpt": gpt2, "jina-v2-en": gpt2,
		"smollm": smollm, "starcoder": smollm, "refact": smollm, "command-r": smollm, "codeshell": smollm,
		"llama-bpe": llama3, "llama3": llama3, "llama-v3": llama3,
		"qwen2": qwen2, "stablelm2": {split: qwen2.split},
		"qwen35": {normalizer: object{"type": "NFC"}, split: sequence(regex(
			`(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`), false)},
		"deepseek-llm":   {split: splits(`[\r\n]`, `\s?\p{L}+`, `\s?\p{P}+`, cjk, `\p{N}`), addBOS: true},
		"deepseek-coder": {split: splits(`[\r\n]`, `\s?\p{L}+`, `\s?\p{P}+`, cjk, `\p{N}`), addBOS: true},
		"deepseek-v3": {addBOS: true, split: splits(`\p{N}{1,3}`, `[一-龥぀-ゟ゠-ヿ]+`,
			"[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|"+`[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`)},
		"gpt-4o": {split: words(contraction, `\p{N}{1,3}`)},
		"tekken": {split: words("", `\p{N}`), ignoreMerges: true, addBOS: true},
	}
}

// byteLevel completes a tokenizer of GPT-2's kind.
func (v *vocabulary) byteLevel(t *tokenizerFile, m *bpeModel) error {
	pre, ok := preTokenizers()[v.pre]
	if !ok {
		return fmt.Errorf("tokenizer.ggml.pre is %q; how it splits text is known for %s", v.pre, strings.Join(slices.Sorted(maps.Keys(preTokenizers())), ", "))
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
	m.IgnoreMerges, m.Merges = pre.ignoreMerges, v.merges
	return nil
}

// space is what SentencePiece writes for a blank.
const space = "▁"

// sentencePiece completes a tokenizer of Llama 2's kind, as transformers
// converts one: characters without a token fall back to bytes, and the merges
// are the ways to put tokens together from two others, best score first.
func (v *vocabulary) sentencePiece(t *tokenizerFile, m *bpeModel) error {
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
	m.Unk, m.FuseUnk, m.ByteFallback = v.text(v.unk), true, true
	m.Merges = v.mergesFromScores()
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
