package artifact

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// maxConfig bounds the size of a config.json.
const maxConfig = 4 << 20

// RewriteConfig writes the config.json of src to dst with some keys set to new
// values and those whose value is nil removed. Keys come out sorted, so that
// equal content gives equal bytes; numbers keep their spelling.
func RewriteConfig(src, dst string, set map[string]any) error {
	f, err := os.Open(filepath.Join(src, "config.json"))
	if err != nil {
		return fmt.Errorf("reading model configuration: %w", err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxConfig+1))
	if err != nil {
		return fmt.Errorf("reading config.json: %w", err)
	}
	if len(text) > maxConfig {
		return fmt.Errorf("config.json is larger than %d bytes", maxConfig)
	}
	keys := map[string]any{}
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.UseNumber()
	if err := dec.Decode(&keys); err != nil {
		return fmt.Errorf("config.json: %w", err)
	}
	for name, value := range set {
		if value == nil {
			delete(keys, name)
		} else {
			keys[name] = value
		}
	}
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(keys); err != nil {
		return fmt.Errorf("encoding config.json: %w", err)
	}
	return os.WriteFile(filepath.Join(dst, "config.json"), buf.Bytes(), 0o644)
}

// TorchDType is how config.json spells a dtype of safetensors.
func TorchDType(dtype string) (string, bool) {
	name, ok := map[string]string{"F32": "float32", "BF16": "bfloat16", "F16": "float16"}[dtype]
	return name, ok
}
