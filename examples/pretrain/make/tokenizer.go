package main

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"unicode"
)

// vocabSize counts bytes, merges and special tokens.
const vocabSize = 448

var specialTokens = []string{"<|endoftext|>", "<|im_start|>", "<|im_end|>"}

// Tokenizer trains a byte-level BPE on texts and returns its tokenizer.json.
// Digits stand alone, as in SmolLM2, so that numbers can be copied.
func Tokenizer(texts []string) ([]byte, error) {
	words := map[string]int{}
	for _, t := range texts {
		for _, s := range specialTokens {
			t = strings.ReplaceAll(t, s, "\x00")
		}
		for part := range strings.SplitSeq(t, "\x00") {
			for _, w := range pretokens(part) {
				words[w]++
			}
		}
	}
	vocab := slices.Clone(specialTokens)
	for _, r := range byteLetters() {
		vocab = append(vocab, string(r))
	}
	merges, pieces := train(words, vocabSize-len(vocab))
	vocab = append(vocab, pieces...)
	return tokenizerJSON(vocab, merges)
}

// pretokens splits text as GPT-2's pattern does for the letters of this
// corpus: a word or a run of signs with the space before it, digits alone.
func pretokens(text string) []string {
	letters := byteLetters()
	var out []string
	var b strings.Builder
	class := func(r rune) int {
		switch {
		case unicode.IsLetter(r):
			return 1
		case unicode.IsDigit(r):
			return 2
		case r == ' ' || r == '\n':
			return 3
		}
		return 4
	}
	last := 0
	end := func() {
		if b.Len() > 0 {
			out = append(out, b.String())
			b.Reset()
		}
	}
	for _, r := range text {
		c := class(r)
		joins := c == last && c != 2 || last == 3 && b.String() == "Ġ" && c != 3 && c != 2
		if !joins {
			end()
		}
		for _, x := range []byte(string(r)) {
			b.WriteRune(letters[x])
		}
		last = c
	}
	end()
	return out
}

// byteLetters is the printable letter of each byte in byte-level BPE.
func byteLetters() []rune {
	letters := make([]rune, 256)
	next := rune(256)
	for i := range 256 {
		if i >= 0x21 && i <= 0x7e || i >= 0xa1 && i <= 0xac || i >= 0xae {
			letters[i] = rune(i)
		} else {
			letters[i] = next
			next++
		}
	}
	return letters
}

// train finds n merges, each of the most frequent pair, the first in order of
// text among equals.
func train(words map[string]int, n int) (merges [][2]string, pieces []string) {
	type word struct {
		parts []string
		count int
	}
	var list []word
	for _, w := range slices.Sorted(maps.Keys(words)) {
		var parts []string
		for _, r := range w {
			parts = append(parts, string(r))
		}
		list = append(list, word{parts, words[w]})
	}
	for range n {
		pairs := map[[2]string]int{}
		for _, w := range list {
			for i := 1; i < len(w.parts); i++ {
				pairs[[2]string{w.parts[i-1], w.parts[i]}] += w.count
			}
		}
		var best [2]string
		for p, c := range pairs {
			if d := c - pairs[best]; d > 0 || d == 0 && slices.Compare(p[:], best[:]) < 0 {
				best = p
			}
		}
		if pairs[best] < 2 {
			break
		}
		merges = append(merges, best)
		pieces = append(pieces, best[0]+best[1])
		for k := range list {
			list[k].parts = merge(list[k].parts, best)
		}
	}
	return merges, pieces
}

func merge(parts []string, pair [2]string) []string {
	out := parts[:0]
	for i := 0; i < len(parts); i++ {
		if i+1 < len(parts) && parts[i] == pair[0] && parts[i+1] == pair[1] {
			out = append(out, pair[0]+pair[1])
			i++
		} else {
			out = append(out, parts[i])
		}
	}
	return out
}

func tokenizerJSON(vocab []string, merges [][2]string) ([]byte, error) {
	ids := map[string]int{}
	var added []map[string]any
	for i, piece := range vocab {
		ids[piece] = i
		if i < len(specialTokens) {
			added = append(added, map[string]any{
				"id": i, "content": piece, "single_word": false, "lstrip": false, "rstrip": false, "normalized": false, "special": true,
			})
		}
	}
	byteLevel := map[string]any{"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", " ")
	err := enc.Encode(map[string]any{
		"version": "1.0", "truncation": nil, "padding": nil, "added_tokens": added, "normalizer": nil,
		"pre_tokenizer": map[string]any{"type": "Sequence", "pretokenizers": []any{
			map[string]any{"type": "Digits", "individual_digits": true}, byteLevel,
		}},
		"post_processor": nil, "decoder": byteLevel,
		"model": map[string]any{
			"type": "BPE", "dropout": nil, "unk_token": nil, "continuing_subword_prefix": nil, "end_of_word_suffix": nil,
			"fuse_unk": false, "byte_fallback": false, "ignore_merges": false, "vocab": ids, "merges": merges,
		},
	})
	return b.Bytes(), err
}
