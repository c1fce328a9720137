package token

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"unicode/utf8"

	"github.com/pipe-run/pipe/steps/internal/jsonfile"
)

// Blank describes a byte-level BPE tokenizer before it is trained.
type Blank struct {
	Pattern string   // "gpt2", "llama3", "qwen2", "qwen3.5", "gpt4o" or "tekken": how text is split
	NFC     bool     // text is brought into Unicode's form NFC first
	Special []string // special tokens in the order of their ids, from 0
}

// expressions are the regular expressions of Blank's patterns.
func expressions() map[string]string {
	return map[string]string{
		"llama3": patternLlama3, "qwen2": patternQwen2, "qwen3.5": patternQwen35,
		"gpt4o": patternO200k, "tekken": patternTekken,
	}
}

// ByteOrder returns the bytes in the order of the characters that spell them,
// which is that of their ids.
func ByteOrder() (order [256]byte) {
	a := newByteLevel()
	for i := range order {
		order[i] = byte(i)
	}
	slices.SortFunc(order[:], func(x, y byte) int { return int(a.runes[x]) - int(a.runes[y]) })
	return order
}

// SpellBytes returns how a vocabulary spells bytes.
func SpellBytes(raw string) string {
	a := byteAlphabet()
	out := make([]rune, len(raw))
	for i := range len(raw) {
		out[i] = a.runes[raw[i]]
	}
	return string(out)
}

// SpelledBytes returns the bytes that a piece of a vocabulary spells, or false.
func SpelledBytes(piece string) (string, bool) { return byteAlphabet().raw(piece) }

var byteAlphabet = sync.OnceValue(newByteLevel)

// File returns the tokenizer.json with these pieces, by id, and merges.
func (b Blank) File(pieces []string, merges [][2]string) ([]byte, error) {
	type object = map[string]any
	vocab := make(map[string]int, len(pieces))
	added := []object{}
	for id, piece := range pieces {
		vocab[piece] = id
		if id < len(b.Special) {
			added = append(added, object{
				"id": id, "content": piece, "special": true,
				"single_word": false, "lstrip": false, "rstrip": false, "normalized": false,
			})
		}
	}
	var normalizer any
	if b.NFC {
		normalizer = object{"type": "NFC"}
	}
	level := object{"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": b.Pattern == "gpt2"}
	pre := level
	if b.Pattern != "gpt2" {
		regex, ok := expressions()[b.Pattern]
		if !ok {
			return nil, fmt.Errorf("there is no pattern %q", b.Pattern)
		}
		split := object{"type": "Split", "pattern": object{"Regex": regex}, "behavior": "Isolated", "invert": false}
		pre = object{"type": "Sequence", "pretokenizers": []any{split, level}}
	}
	if merges == nil {
		merges = [][2]string{}
	}
	return encodeJSON(object{
		"version": "1.0", "truncation": nil, "padding": nil, "added_tokens": added,
		"normalizer": normalizer, "pre_tokenizer": pre,
		"post_processor": object{"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": false, "use_regex": true},
		"decoder":        object{"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true},
		"model": object{
			"type": "BPE", "dropout": nil, "unk_token": nil, "continuing_subword_prefix": nil, "end_of_word_suffix": nil,
			"fuse_unk": false, "byte_fallback": false, "ignore_merges": false, "vocab": vocab, "merges": merges,
		},
	})
}

func encodeJSON(v any) ([]byte, error) {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", " ")
	err := enc.Encode(v)
	return buf.Bytes(), err
}

// Tokenizer returns the one that knows only bytes and special tokens.
func (b Blank) Tokenizer() (*Tokenizer, error) {
	pieces := slices.Clone(b.Special)
	for _, c := range ByteOrder() {
		pieces = append(pieces, SpellBytes(string([]byte{c})))
	}
	data, err := b.File(pieces, nil)
	if err != nil {
		return nil, err
	}
	var file tokenizerFile
	if err := jsonfile.Decode(data, &file); err != nil {
		return nil, err
	}
	return build(&file, &side{})
}

// Pretokens calls emit with what text is split into before the model sees it:
// special tokens are cut out, the rest is normalized and split.
func (t *Tokenizer) Pretokens(in string, emit func(string)) {
	whole := text{s: in}
	if !utf8.ValidString(in) {
		whole = validUTF8(whole, false)
	}
	t.raw.cut(whole, func(part text, id int32) {
		if id >= 0 {
			return
		}
		if t.normalizer != nil {
			part = t.normalizer.normalize(part, false)
		}
		t.normalized.cut(part, func(part text, id int32) {
			switch {
			case id >= 0 || part.s == "":
			case t.pre == nil:
				emit(part.s)
			default:
				t.pre.split(part, false, func(piece text) { emit(piece.s) })
			}
		})
	})
}
