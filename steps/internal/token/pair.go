package token

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"strings"
)

// loadPair reads a tokenizer stored as vocab.json and merges.txt, whose stages
// follow from the class in tokenizer_config.json as transformers' converters
// have it: GPT-2's ByteLevel, or Qwen2's pattern after NFC.
func loadPair(dir string, config *side, file *tokenizerFile) error {
	if err := readJSON(dir, "vocab.json", &file.Model.vocab); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return noTokenizer()
		}
		return err
	}
	data, err := readFile(dir, "merges.txt")
	if err != nil {
		return err
	}
	if file.Model.merges, err = readMergeLines(string(data)); err != nil {
		return err
	}
	if file.AddedTokens, err = config.addedTokens(); err != nil {
		return err
	}
	return file.stagesOf(config)
}

// stagesOf fills in the stages of a tokenizer class.
func (file *tokenizerFile) stagesOf(config *side) error {
	file.Decoder = json.RawMessage(`{"type":"ByteLevel"}`)
	switch class := strings.TrimSuffix(config.Class, "Fast"); class {
	case "", "GPT2Tokenizer":
		file.PreTokenizer = json.RawMessage(fmt.Sprintf(`{"type":"ByteLevel","add_prefix_space":%t}`, config.AddPrefixSpace))
		if len(file.AddedTokens) == 0 {
			file.endOfText(config)
		}
	case "Qwen2Tokenizer":
		file.Normalizer = json.RawMessage(`{"type":"NFC"}`)
		file.PreTokenizer = json.RawMessage(`{"type":"Sequence","pretokenizers":[{"type":"Split","behavior":"Isolated","pattern":{"Regex":` +
			`"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"}},` +
			`{"type":"ByteLevel","add_prefix_space":false,"use_regex":false}]}`)
	default:
		return fmt.Errorf("tokenizer class %q without a tokenizer.json is not supported: save the model with a fast tokenizer, which writes one", config.Class)
	}
	return nil
}

// endOfText makes GPT-2's one special token what its class has it be, unless
// the configuration names others.
func (file *tokenizerFile) endOfText(config *side) {
	const name = "<|endoftext|>"
	id, ok := file.Model.vocab[name]
	if !ok {
		return
	}
	file.AddedTokens = []addedToken{{ID: id, Content: name, Special: true}}
	if config.BOSToken == "" {
		config.BOSToken = name
	}
	if config.EOSToken == "" {
		config.EOSToken = name
	}
}

// noTokenizer says what a folder without a tokenizer lacks.
func noTokenizer() error {
	return fmt.Errorf("the model has neither tokenizer.json nor tokenizer.model, *.tiktoken, vocab.json and merges.txt or *.gguf: %w", fs.ErrNotExist)
}

// readMergeLines reads merges.txt: a pair a line, after a line with a version.
func readMergeLines(data string) ([][2]string, error) {
	merges := [][2]string{}
	n := 0
	for line := range strings.Lines(data) {
		n++
		line = strings.TrimRight(line, "\r\n")
		if strings.HasPrefix(line, "#version") || line == "" {
			continue
		}
		pair, err := splitMerge(line)
		if err != nil {
			return nil, fmt.Errorf("merges.txt line %d: %w", n, err)
		}
		merges = append(merges, pair)
	}
	return merges, nil
}

// splitMerge reads "a b".
func splitMerge(line string) ([2]string, error) {
	left, right, ok := strings.Cut(line, " ")
	if !ok || left == "" || right == "" || strings.Contains(right, " ") {
		return [2]string{}, fmt.Errorf("%.60q is not two pieces with a space between", line)
	}
	return [2]string{left, right}, nil
}
