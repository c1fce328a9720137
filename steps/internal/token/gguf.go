package token

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"github.com/pipe-run/pipe/steps/internal/gguf"
)

// findGGUF returns the path of the one *.gguf of a folder.
func findGGUF(dir string) (string, error) {
	names, err := filepath.Glob(filepath.Join(escapeGlob(dir), "*.gguf"))
	if err != nil || len(names) == 0 {
		return "", fmt.Errorf("*.gguf: %w", fs.ErrNotExist)
	}
	if len(names) > 1 {
		return "", fmt.Errorf("the model has no tokenizer.json but %d .gguf files, %s and %s among them", len(names), filepath.Base(names[0]), filepath.Base(names[1]))
	}
	return names[0], nil
}

// loadGGUF reads the tokenizer in a GGUF file's metadata.
func loadGGUF(path string) (*Tokenizer, error) {
	f, err := gguf.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	files, err := f.Tokenizer()
	if err != nil {
		return nil, fmt.Errorf("%s: tokenizer: %w", filepath.Base(path), err)
	}
	var file tokenizerFile
	config := &side{}
	var generation struct {
		BOS idList `json:"bos_token_id"`
		EOS idList `json:"eos_token_id"`
	}
	err = errors.Join(json.Unmarshal(files.Tokenizer, &file), json.Unmarshal(files.Config, config), json.Unmarshal(files.Generation, &generation))
	if err != nil {
		return nil, fmt.Errorf("%s: tokenizer: %w", filepath.Base(path), err)
	}
	config.bosIDs, config.eosIDs = generation.BOS, generation.EOS
	t, err := build(&file, config)
	if err != nil {
		return nil, fmt.Errorf("%s: tokenizer: %w", filepath.Base(path), err)
	}
	return t, nil
}
