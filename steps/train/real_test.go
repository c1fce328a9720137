package train

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/pipe-run/pipe/internal/shareddata"
	"github.com/pipe-run/pipe/steps/internal/artifact"
	"github.com/pipe-run/pipe/steps/internal/dataset"
	"github.com/pipe-run/pipe/steps/internal/token"
)

// textTokens cuts text[from:to] into rows of 128 tokens, all supervised.
func textTokens(t *testing.T, model, text string, from, to int) string {
	t.Helper()
	tok, err := token.Load(model)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(text)
	if err != nil {
		t.Fatal(err)
	}
	ids := tok.Encode(string(raw[from:to]), true)
	var rows []dataset.Row
	for lo := 0; lo+128 <= len(ids); lo += 128 {
		row := dataset.Row{InputIDs: ids[lo : lo+128]}
		for _, id := range row.InputIDs {
			row.Labels, row.AttentionMask = append(row.Labels, int64(id)), append(row.AttentionMask, 1)
		}
		rows = append(rows, row)
	}
	dir := writeTokens(t, rows, false)
	if err := artifact.Write(dir, artifact.Provenance{Type: "tokens", Tokenizer: tok.Digest()}); err != nil {
		t.Fatal(err)
	}
	return dir
}

// TestRealModelLearns fine-tunes a real model of stories on plays and looks at
// plays it has not seen.
func TestRealModelLearns(t *testing.T) {
	if testing.Short() {
		t.Skip("trains a real model")
	}
	model, text := shareddata.Path(t, "models/stories260K/hf"), shareddata.Path(t, "datasets/text/tinyshakespeare.txt")
	in := map[string]string{
		"model": model, "tokens": textTokens(t, model, text, 0, 20000),
		"validation": textTokens(t, model, text, 20000, 25000),
	}
	p := loraParams()
	p.LoRA.Rank, p.LoRA.Alpha, p.Epochs, p.MaxUpdates, p.LearningRate = 8, 16, 2, 0, 5e-3
	j := newJob(t, in, "adapter")
	log := j.must(t, p)[logFile]
	if strings.Contains(j.log.String(), "which tokenizer") {
		t.Errorf("the tokenizer is known, yet: %s", j.log.String())
	}
	var held []float64
	for l := range strings.Lines(log) {
		var v validationLine
		if err := json.Unmarshal([]byte(l), &v); err != nil {
			t.Fatal(err)
		}
		if v.ValidationTokens > 0 {
			held = append(held, v.ValidationLoss)
		}
	}
	first := lines(t, log)[0].Loss
	t.Logf("loss of unseen text from about %.3f to %.3f", first, held)
	if len(held) != 2 || held[1] > held[0] || held[0] > first-0.3 {
		t.Errorf("first loss %g, validation losses %v", first, held)
	}
}
