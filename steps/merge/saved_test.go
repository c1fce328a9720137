package merge

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/pipe-run/pipe/steps/internal/decoder"
	"github.com/pipe-run/pipe/steps/internal/lora"
	"github.com/pipe-run/pipe/steps/internal/tiny"
)

// TestTrainedBesideTheAdapter merges what is trained whole into a model that
// ties its head: it stays tied where single tokens are trained, and only there.
func TestTrainedBesideTheAdapter(t *testing.T) {
	model := tiny.Model(t, 1)
	c, err := decoder.ReadConfig(model)
	if err != nil {
		t.Fatal(err)
	}
	for name, k := range map[string]struct {
		s    lora.Spec
		tied bool
	}{
		"dora":   {lora.Spec{Rank: 2, Alpha: 4, DoRA: true}, true},
		"embed":  {lora.Spec{Rank: 2, Alpha: 4, ModulesToSave: []string{lora.SaveEmbed}}, false},
		"head":   {lora.Spec{Rank: 2, Alpha: 4, ModulesToSave: []string{lora.SaveHead}}, false},
		"tokens": {lora.Spec{Rank: 2, Alpha: 4, Tokens: []int32{40, 80}}, true},
	} {
		design, err := k.s.Plan(c)
		if err != nil {
			t.Fatal(err)
		}
		a := design.New()
		if err := a.Measure(t.Context(), c, model, 1); err != nil {
			t.Fatal(err)
		}
		a.StartMagnitudes()
		if err := a.StartSaved(c, model); err != nil {
			t.Fatal(err)
		}
		for _, x := range [][]float32{a.Saved.Embed, a.Saved.Head, a.Saved.Rows} {
			for i := range x {
				x[i] += 0.3 * float32(i%7-3)
			}
		}
		for _, p := range a.Pairs {
			for i := range p.A {
				p.A[i] = 0.1 * float32(i%5-2)
			}
			for i := range p.B {
				p.B[i] = 0.1 * float32(i%3-1)
			}
			for i := range p.Magnitude {
				p.Magnitude[i] *= 1 + 0.1*float32(i%3)
			}
		}
		adapter := t.TempDir()
		if err := a.Write(adapter, lora.Card{Text: "Made up."}); err != nil {
			t.Fatal(err)
		}
		merged := mustMerge(t, `{"dtype": "f32"}`, model, adapter)
		with := logits(t, model, adapter)
		if d := distance(with, logits(t, merged, "")); d > 2e-4 {
			t.Errorf("%s: logits are off by %g", name, d)
		}
		if d := distance(with, logits(t, model, "")); d < 0.1 {
			t.Errorf("%s: the adapter moves logits by only %g", name, d)
		}
		text, err := os.ReadFile(filepath.Join(merged, "config.json"))
		if err != nil {
			t.Fatal(err)
		}
		var config struct {
			Tied bool `json:"tie_word_embeddings"`
		}
		if err := json.Unmarshal(text, &config); err != nil || config.Tied != k.tied {
			t.Errorf("%s: tied is %t, want %t, %v", name, config.Tied, k.tied, err)
		}
	}
}
