package token

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"github.com/pipe-run/pipe/steps/internal/jsonfile"
)

// Bounds on what a model's folder may hold; the largest tokenizers known are
// at half of them.
const (
	maxFile  = 128 << 20 // bytes of one file
	maxIDs   = 1 << 22   // largest vocabulary
	maxPiece = 1 << 16   // bytes of one piece
)

// tokenizerFile is tokenizer.json.
type tokenizerFile struct {
	Truncation    json.RawMessage `json:"truncation"`
	AddedTokens   []addedToken    `json:"added_tokens"`
	Normalizer    json.RawMessage `json:"normalizer"`
	PreTokenizer  json.RawMessage `json:"pre_tokenizer"`
	PostProcessor json.RawMessage `json:"post_processor"`
	Decoder       json.RawMessage `json:"decoder"`
	Model         modelFile       `json:"model"`
}

// Load reads the tokenizer of a model directory: the first that is there of
// tokenizer.json, the SentencePiece model or tiktoken file tokenizer.model, a
// *.tiktoken, the pair vocab.json and merges.txt, and the one *.gguf, with
// tokenizer_config.json, special_tokens_map.json, generation_config.json and
// config.json beside it as far as they are there. A path to a GGUF file is read
// as a folder that holds it. What is not supported is refused by name.
func Load(dir string) (*Tokenizer, error) {
	if isFile(dir) {
		return loadGGUF(dir)
	}
	config, err := loadSide(dir)
	if err != nil {
		return nil, err
	}
	var file tokenizerFile
	name := "tokenizer.json"
	err = file.read(dir, name)
	if errors.Is(err, fs.ErrNotExist) {
		t, err := loadOther(dir, config)
		if !errors.Is(err, fs.ErrNotExist) {
			return t, err
		}
		name = "vocab.json and merges.txt"
		if err = loadPair(dir, config, &file); err != nil {
			return nil, err
		}
	} else if err != nil {
		return nil, err
	}
	t, err := build(&file, config)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return t, nil
}

// read decodes a tokenizer.json.
func (file *tokenizerFile) read(dir, name string) error {
	data, err := readFile(dir, name)
	if err != nil {
		return err
	}
	if readTables(data, file) {
		return nil
	}
	*file = tokenizerFile{}
	if err := jsonfile.Decode(data, file); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

// loadOther reads a tokenizer.model, a *.tiktoken or, where there is no
// vocab.json, a *.gguf. Its error is fs.ErrNotExist where there is none.
func loadOther(dir string, config *side) (*Tokenizer, error) {
	t, err := loadSP(dir, config)
	if !errors.Is(err, fs.ErrNotExist) {
		return t, err
	}
	name, data, err := findTiktoken(dir)
	if err == nil {
		return loadTiktoken(name, data, config)
	}
	if !errors.Is(err, fs.ErrNotExist) || isFile(filepath.Join(dir, "vocab.json")) {
		return nil, err
	}
	path, err := findGGUF(dir)
	if err != nil {
		return nil, err
	}
	return loadGGUF(path)
}

// isFile tells whether a path is a regular file.
func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}

// build makes the tokenizer that a file describes.
func build(file *tokenizerFile, config *side) (*Tokenizer, error) {
	if err := file.Model.check(); err != nil {
		return nil, err
	}
	t := &Tokenizer{special: map[int32]bool{}, written: map[int32]string{}, bos: -1, eos: -1, config: config}
	if len(file.Truncation) > 0 && string(file.Truncation) != "null" {
		t.warnings = append(t.warnings, "tokenizer.json stores a truncation, which is not applied: maxLength of the tokenize step decides")
	}
	alphabet := newByteLevel()
	var err error
	if t.normalizer, err = readNormalizer(file.Normalizer); err != nil {
		return nil, err
	}
	if t.pre, file.Model.byteLevelModel, err = readPreTokenizer(file.PreTokenizer, file.Model.readsBytes()); err != nil {
		return nil, err
	}
	if t.decoders, err = readDecoder(file.Decoder, alphabet); err != nil {
		return nil, err
	}
	if err := t.addPieces(file); err != nil {
		return nil, err
	}
	if t.model, err = file.Model.build(alphabet); err != nil {
		return nil, err
	}
	t.addMatchers(file.AddedTokens)
	t.setPattern()
	if t.post, err = readPostProcessor(file.PostProcessor, len(t.pieces)); err != nil {
		return nil, err
	}
	if err := t.applySide(config); err != nil {
		return nil, err
	}
	t.digest = sync.OnceValue(func() string { return digest(t, file) })
	return t, nil
}

// readMerges reads both spellings: ["a b", …] and [["a", "b"], …].
func readMerges(raw json.RawMessage) ([][2]string, error) {
	var lines []string
	if err := json.Unmarshal(raw, &lines); err == nil {
		merges := make([][2]string, len(lines))
		for i, line := range lines {
			pair, err := splitMerge(line)
			if err != nil {
				return nil, fmt.Errorf("merge %d: %w", i, err)
			}
			merges[i] = pair
		}
		return merges, nil
	}
	var pairs [][]string
	if err := json.Unmarshal(raw, &pairs); err != nil {
		return nil, fmt.Errorf("model merges are neither strings nor pairs: %w", err)
	}
	merges := make([][2]string, len(pairs))
	for i, pair := range pairs {
		if len(pair) != 2 {
			return nil, fmt.Errorf("merge %d has %d parts, not 2", i, len(pair))
		}
		merges[i] = [2]string{pair[0], pair[1]}
	}
	return merges, nil
}

// addPieces fills the tables of pieces from the vocab and the added tokens.
func (t *Tokenizer) addPieces(file *tokenizerFile) error {
	size := 0
	for piece, id := range file.Model.vocab {
		if id < 0 || id >= maxIDs || len(piece) > maxPiece {
			return fmt.Errorf("piece %.40q with id %d: ids go from 0 to %d and pieces have at most %d bytes", piece, id, maxIDs-1, maxPiece)
		}
		size = max(size, int(id)+1)
	}
	for _, a := range file.AddedTokens {
		if a.ID < 0 || a.ID >= maxIDs || len(a.Content) > maxPiece {
			return fmt.Errorf("added token %.40q with id %d: ids go from 0 to %d and pieces have at most %d bytes", a.Content, a.ID, maxIDs-1, maxPiece)
		}
		size = max(size, int(a.ID)+1)
	}
	size = max(size, len(file.Model.scored))
	t.pieces, t.known = make([]string, size), make([]bool, size)
	for piece, id := range file.Model.vocab {
		if t.known[id] {
			a, b := min(piece, t.pieces[id]), max(piece, t.pieces[id])
			return fmt.Errorf("id %d is given to both %q and %q", id, a, b)
		}
		t.pieces[id], t.known[id] = piece, true
	}
	t.ids = maps.Clone(file.Model.vocab)
	if t.ids == nil {
		t.ids = map[string]int32{}
	}
	for id, p := range file.Model.scored { // those that are there twice too
		t.pieces[id], t.known[id] = p.piece, true
	}
	for _, a := range file.AddedTokens {
		if id, ok := t.ids[a.Content]; ok && id != a.ID {
			return fmt.Errorf("added token %q has id %d, but the vocab gives it %d", a.Content, a.ID, id)
		}
		if t.known[a.ID] && t.pieces[a.ID] != a.Content {
			return fmt.Errorf("id %d is given to both %q and the added token %q", a.ID, t.pieces[a.ID], a.Content)
		}
		t.pieces[a.ID], t.known[a.ID], t.ids[a.Content] = a.Content, true, a.ID
		if a.Special {
			t.special[a.ID] = true
		}
	}
	return nil
}

// addMatchers builds the two searches for added tokens.
func (t *Tokenizer) addMatchers(added []addedToken) {
	var raw, normalized []addedToken
	var rawText, normalizedText []string
	added = slices.Clone(added) // of equal ones the special one is found
	slices.SortStableFunc(added, func(a, b addedToken) int {
		switch {
		case a.Special == b.Special:
			return 0
		case a.Special:
			return -1
		}
		return 1
	})
	for _, a := range added {
		if !a.Normalized {
			raw, rawText = append(raw, a), append(rawText, a.Content)
			continue
		}
		content := text{s: a.Content}
		if t.normalizer != nil {
			content = t.normalizer.normalize(content, false)
			t.written[a.ID] = content.s
		}
		normalized, normalizedText = append(normalized, a), append(normalizedText, content.s)
	}
	t.raw, t.normalized = newMatcher(raw, rawText), newMatcher(normalized, normalizedText)
}

// readFile reads one file of dir, at most maxFile bytes of it.
func readFile(dir, name string) ([]byte, error) {
	f, err := os.Open(filepath.Join(dir, name))
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("%s: %w", name, fs.ErrNotExist)
		}
		return nil, err
	}
	defer f.Close()
	var data bytes.Buffer
	if info, err := f.Stat(); err == nil && info.Size() <= maxFile {
		data.Grow(int(info.Size()) + bytes.MinRead)
	}
	if _, err := data.ReadFrom(io.LimitReader(f, maxFile+1)); err != nil {
		return nil, fmt.Errorf("reading %s: %w", name, err)
	}
	if data.Len() > maxFile {
		return nil, fmt.Errorf("%s is larger than %d MiB", name, maxFile>>20)
	}
	return data.Bytes(), nil
}

// readJSON decodes one file of dir into v.
func readJSON(dir, name string, v any) error {
	data, err := readFile(dir, name)
	if err != nil {
		return err
	}
	if err := jsonfile.Decode(data, v); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

// sorted returns ids in order, each once.
func sorted(ids []int32) []int32 {
	slices.Sort(ids)
	return slices.Compact(ids)
}
