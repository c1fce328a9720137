package token

import (
	"bytes"
	"cmp"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// A tiktoken file has a line a token: its bytes in base64 and its rank, which
// is its id. How text is split, and which special tokens there are, stands in
// the program that reads it; here the name of the tokenizer's class, of the
// file or the number of tokens tells.

// tiktokenKind is a known family of tiktoken files.
type tiktokenKind struct {
	pattern    string
	normalizer string   // JSON, or ""
	specials   []string // ids from the number of tokens on
	bos, eos   string
}

// reserved names tokens like <|extra_0|>.
func reserved(format string, from, to int) []string {
	var out []string
	for i := from; i < to; i++ {
		out = append(out, fmt.Sprintf(format, i))
	}
	return out
}

const (
	patternCL100K = `'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}| ?[^\s\p{L}\p{N}]++[\r\n]*+|\s++\z|\s*[\r\n]|\s+(?!\S)|\s`
	patternO200K  = `[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|` +
		`[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|` +
		`\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+`
)

// tiktokenKindOf finds the family by name, class and number of tokens.
func tiktokenKindOf(name, class string, tokens int) (tiktokenKind, error) {
	is := func(names ...string) bool {
		return slices.ContainsFunc(names, func(n string) bool { return strings.Contains(strings.ToLower(name+" "+class), n) })
	}
	switch {
	case is("o200k") || tokens == 199998:
		return tiktokenKind{pattern: patternO200K, specials: []string{"", "<|endoftext|>"}, eos: "<|endoftext|>"}, nil
	case is("cl100k") || tokens == 100256:
		return tiktokenKind{pattern: patternCL100K, specials: []string{"", "<|endoftext|>", "<|fim_prefix|>", "<|fim_middle|>", "<|fim_suffix|>"}, eos: "<|endoftext|>"}, nil
	case is("qwen") || tokens == 151643:
		return tiktokenKind{pattern: patternQwen2, normalizer: `{"type":"NFC"}`, eos: "<|endoftext|>",
			specials: append([]string{"<|endoftext|>", "<|im_start|>", "<|im_end|>"}, reserved("<|extra_%d|>", 0, 205)...)}, nil
	case is("r50k", "p50k", "gpt2") || tokens == 50256 || tokens == 50280:
		return tiktokenKind{pattern: patternGPT2, specials: []string{"<|endoftext|>"}, eos: "<|endoftext|>"}, nil
	case is("llama") || tokens == 128000:
		names := []string{"<|begin_of_text|>", "<|end_of_text|>", "<|reserved_special_token_0|>", "<|reserved_special_token_1|>", "<|finetune_right_pad_id|>",
			"<|reserved_special_token_2|>", "<|start_header_id|>", "<|end_header_id|>", "<|eom_id|>", "<|eot_id|>", "<|python_tag|>"}
		return tiktokenKind{pattern: patternLlama3, specials: append(names, reserved("<|reserved_special_token_%d|>", 3, 248)...), bos: names[0], eos: names[1]}, nil
	}
	return tiktokenKind{}, fmt.Errorf("how a tiktoken file of %d tokens splits text is not known: Qwen's, Llama 3's, cl100k, o200k, p50k and r50k are", tokens)
}

// looksLikeTiktoken tells a tiktoken file from a protocol buffer.
func looksLikeTiktoken(data []byte) bool {
	line, _, _ := bytes.Cut(data, []byte("\n"))
	_, _, err := tiktokenLine(strings.TrimRight(string(line[:min(len(line), maxPiece)]), "\r"))
	return err == nil
}

// tiktokenLine reads "base64 rank".
func tiktokenLine(line string) (token string, rank int, err error) {
	encoded, number, ok := strings.Cut(line, " ")
	if !ok {
		return "", 0, errors.New("not base64, a space and a rank")
	}
	raw, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil || len(raw) == 0 || len(raw) > maxPiece {
		return "", 0, fmt.Errorf("%.40q is not the base64 of a token of at most %d bytes", encoded, maxPiece)
	}
	if rank, err = strconv.Atoi(number); err != nil || rank < 0 || rank >= maxIDs {
		return "", 0, fmt.Errorf("rank %.20q is not a number from 0 to %d", number, maxIDs-1)
	}
	return string(raw), rank, nil
}

// findTiktoken returns the one *.tiktoken of a folder.
func findTiktoken(dir string) (name string, data []byte, err error) {
	names, err := filepath.Glob(filepath.Join(escapeGlob(dir), "*.tiktoken"))
	if err != nil || len(names) == 0 {
		return "", nil, fmt.Errorf("*.tiktoken: %w", fs.ErrNotExist)
	}
	if len(names) > 1 {
		return "", nil, fmt.Errorf("the model has %d .tiktoken files, %s and %s among them", len(names), filepath.Base(names[0]), filepath.Base(names[1]))
	}
	name = filepath.Base(names[0])
	data, err = readFile(dir, name)
	return name, data, err
}

// escapeGlob makes a folder's name match itself only.
func escapeGlob(dir string) string {
	if os.PathSeparator == '\\' {
		return dir
	}
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(dir)
}

// loadTiktoken makes the tokenizer of a tiktoken file, as transformers converts
// one: a token is merged from any two that make it, earlier ranks first.
func loadTiktoken(name string, data []byte, config *side) (*Tokenizer, error) {
	ranks := map[string]int32{}
	n := 0
	for line := range strings.Lines(string(data)) {
		n++
		if line = strings.TrimRight(line, "\r\n"); line == "" {
			continue
		}
		token, rank, err := tiktokenLine(line)
		if err != nil {
			return nil, fmt.Errorf("%s line %d: %w", name, n, err)
		}
		if _, ok := ranks[token]; ok {
			return nil, fmt.Errorf("%s line %d: the token is there twice", name, n)
		}
		ranks[token] = int32(rank)
	}
	kind, err := tiktokenKindOf(name, config.Class, len(ranks))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	file, err := kind.file(ranks, config)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	t, err := build(file, config)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return t, nil
}

// file spells a tiktoken vocabulary as a tokenizer.json.
func (kind tiktokenKind) file(ranks map[string]int32, config *side) (*tokenizerFile, error) {
	alphabet := newByteLevel()
	spell := func(raw string) string {
		var out strings.Builder
		for i := range len(raw) {
			out.WriteRune(alphabet.runes[raw[i]])
		}
		return out.String()
	}
	file := &tokenizerFile{Decoder: json.RawMessage(`{"type":"ByteLevel"}`)}
	if kind.normalizer != "" {
		file.Normalizer = json.RawMessage(kind.normalizer)
	}
	pattern, err := json.Marshal(kind.pattern)
	if err != nil {
		return nil, err
	}
	file.PreTokenizer = json.RawMessage(fmt.Sprintf(`{"type":"Sequence","pretokenizers":[{"type":"Split","behavior":"Isolated","pattern":{"Regex":%s}},`+
		`{"type":"ByteLevel","add_prefix_space":false,"use_regex":false}]}`, pattern))
	file.Model = modelFile{IgnoreMerges: true, vocab: make(map[string]int32, len(ranks)), merges: [][2]string{}}
	for raw, id := range ranks {
		file.Model.vocab[spell(raw)] = id
	}
	for _, m := range tiktokenMerges(ranks) {
		file.Model.merges = append(file.Model.merges, [2]string{spell(m[0]), spell(m[1])})
	}
	if file.AddedTokens, err = config.addedTokens(); err != nil {
		return nil, err
	}
	if len(file.AddedTokens) == 0 {
		for i, name := range kind.specials {
			if name != "" {
				file.AddedTokens = append(file.AddedTokens, addedToken{ID: int32(len(ranks) + i), Content: name, Special: true})
			}
		}
	}
	kind.ends(file, config)
	return file, nil
}

// ends names BOS and EOS where the files beside do not, and has BOS added.
func (kind tiktokenKind) ends(file *tokenizerFile, config *side) {
	has := func(name string) bool {
		return name != "" && slices.ContainsFunc(file.AddedTokens, func(a addedToken) bool { return a.Content == name })
	}
	if config.BOSToken == "" && len(config.bosIDs) == 0 && has(kind.bos) {
		config.BOSToken = tokenName(kind.bos)
	}
	if config.EOSToken == "" && len(config.eosIDs) == 0 && has(kind.eos) {
		config.EOSToken = tokenName(kind.eos)
	}
	if !has(kind.bos) {
		return
	}
	at := slices.IndexFunc(file.AddedTokens, func(a addedToken) bool { return a.Content == kind.bos })
	file.PostProcessor = json.RawMessage(fmt.Sprintf(
		`{"type":"TemplateProcessing","single":[{"SpecialToken":{"id":%q}},{"Sequence":{"id":"A"}}],"special_tokens":{%q:{"ids":[%d]}}}`,
		kind.bos, kind.bos, file.AddedTokens[at].ID))
}

// tiktokenMerges returns every way to put a token together from two others, in
// order of the token's rank, then of those of its halves.
func tiktokenMerges(ranks map[string]int32) [][2]string {
	type merge struct {
		token       string
		cut         int
		rank        int32
		left, right int32
	}
	var all []merge
	for token, rank := range ranks {
		if len(token) > longestMerged {
			continue
		}
		for i := 1; i < len(token); i++ {
			left, okLeft := ranks[token[:i]]
			right, okRight := ranks[token[i:]]
			if okLeft && okRight {
				all = append(all, merge{token, i, rank, left, right})
			}
		}
	}
	slices.SortFunc(all, func(a, b merge) int {
		return cmp.Or(cmp.Compare(a.rank, b.rank), cmp.Compare(a.left, b.left), cmp.Compare(a.right, b.right))
	})
	out := make([][2]string, len(all))
	for i, m := range all {
		out[i] = [2]string{m.token[:m.cut], m.token[m.cut:]}
	}
	return out
}

// longestMerged bounds the bytes of a token whose halves are looked for; longer
// ones are found whole only.
const longestMerged = 1 << 10
