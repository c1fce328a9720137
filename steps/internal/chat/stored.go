package chat

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/pipe-run/pipe/steps/internal/jsonfile"
)

// maxConfig bounds tokenizer_config.json, in bytes.
const maxConfig = 64 << 20

// storedTemplate returns the template in chat_template.jinja, else the one in
// tokenizer_config.json: a string, or a list of named ones of which it is
// "default". fs.ErrNotExist when there is none.
func storedTemplate(dir string) (string, error) {
	data, err := readBounded(filepath.Join(dir, "chat_template.jinja"), maxSource)
	if err == nil {
		return string(data), nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("chat_template.jinja: %w", err)
	}
	data, err = readBounded(filepath.Join(dir, "tokenizer_config.json"), maxConfig)
	if err != nil {
		return "", fmt.Errorf("tokenizer_config.json: %w", err)
	}
	var config struct {
		Template json.RawMessage `json:"chat_template"`
	}
	if err := jsonfile.Decode(data, &config); err != nil {
		return "", fmt.Errorf("tokenizer_config.json: %w", err)
	}
	if len(config.Template) == 0 || string(config.Template) == "null" {
		return "", fs.ErrNotExist
	}
	var one string
	if json.Unmarshal(config.Template, &one) == nil {
		return one, nil
	}
	var named []struct{ Name, Template string }
	if err := json.Unmarshal(config.Template, &named); err != nil {
		return "", errors.New("tokenizer_config.json: chat_template is neither a string nor a list of named templates")
	}
	for _, n := range named {
		if n.Name == "default" {
			return n.Template, nil
		}
	}
	return "", errors.New("tokenizer_config.json: no chat_template is named default")
}

// readBounded reads a file of at most limit bytes.
func readBounded(path string, limit int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil, fs.ErrNotExist
		}
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(data)) > limit {
		err = fmt.Errorf("larger than %d bytes", limit)
	}
	return data, err
}
