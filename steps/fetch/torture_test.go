package fetch

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pipe-run/pipe/internal/shareddata"
	"github.com/pipe-run/pipe/pipeline"
)

// TestTortureWeights fetches malformed weights as models: each is refused at
// the user's line, with the file's name. What is well formed but no model of
// language may be fetched or refused, by the same rules.
func TestTortureWeights(t *testing.T) {
	dir := shareddata.Path(t, "torture/weights-malformed")
	raw, err := os.ReadFile(filepath.Join(dir, "expected.json"))
	if err != nil {
		t.Fatal(err)
	}
	var expected map[string]struct{ Valid bool }
	if err := json.Unmarshal(raw, &expected); err != nil {
		t.Fatal(err)
	}
	if len(expected) < 30 {
		t.Fatalf("only %d files", len(expected))
	}
	for name, want := range expected {
		data, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		gguf := strings.HasSuffix(name, ".gguf")
		files := map[string]string{"config.json": "{}", "model.safetensors": string(data)}
		if gguf {
			files = map[string]string{name: string(data)}
		}
		m := newMachine(t)
		_, err = m.fetch(folderParams(t, files, `, "as": "model"`))
		if want.Valid && !gguf && err != nil {
			t.Errorf("%s is valid, yet: %v", name, err)
		}
		if !want.Valid && err == nil {
			t.Errorf("%s was fetched as a model", name)
		}
		if err == nil {
			continue
		}
		var field *pipeline.FieldError
		if !errors.As(err, &field) || field.Field != "as" || strings.Contains(err.Error(), m.work) {
			t.Errorf("%s: error %q is not one about the field as, or names a folder of no meaning to the user", name, err)
		}
		if blamed := map[bool]string{false: "model.safetensors", true: name}[gguf]; !strings.Contains(err.Error(), blamed) {
			t.Errorf("%s: error %q does not name the file", name, err)
		}
	}
}
