package train

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/pipe-run/pipe/internal/shareddata"
)

// TestTortureWeights: no file is a reason to panic, or to train.
func TestTortureWeights(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(shareddata.Path(t, "torture/weights-malformed"), "*.safetensors"))
	if err != nil || len(files) == 0 {
		t.Fatalf("files %v, %v", files, err)
	}
	tokens := tinyTokens(t, 4, false)
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		model := tinyModel(t, false)
		if err := os.WriteFile(filepath.Join(model, "model.safetensors"), b, 0o644); err != nil {
			t.Fatal(err)
		}
		for name, p := range map[string]Params{"adapter": loraParams(), "model": fullParams()} {
			in := map[string]string{"model": model, "tokens": tokens}
			if err := newJob(t, in, name).train(t.Context(), p); err == nil {
				t.Errorf("%s: a training begins", filepath.Base(file))
			}
		}
	}
}
