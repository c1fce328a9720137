package quantize

import (
	"bufio"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/pipe-run/pipe/steps/internal/artifact"
	"github.com/pipe-run/pipe/steps/internal/dataset"
	"github.com/pipe-run/pipe/steps/internal/tiny"
	"github.com/pipe-run/pipe/steps/merge"
	"github.com/pipe-run/pipe/steps/steptest"
	"github.com/pipe-run/pipe/steps/train"
)

// trainParams train an adapter of all linears for twenty updates.
const trainParams = `{"method":"lora","lora":{"rank":4,"alpha":8,"targets":"all-linear"},"maxUpdates":20,"batchSize":4,
"gradientAccumulation":1,"learningRate":0.02,"schedule":"constant","warmup":0,"weightDecay":0,"betas":[0.9,0.999],
"epsilon":1e-8,"maxGradNorm":1,"seed":42,"numerics":"f32"}`

// TestQLoRA trains on each kind of base and merges: into the quantized model,
// and into the original one rounded as the adapter remembers. Both are one model.
func TestQLoRA(t *testing.T) {
	for _, params := range []string{doubled, single, floats, eight, chosen} {
		c := steptest.Case{Kind: Kind, Params: params, Out: []string{"model"}, In: map[string]string{"model": tiny.Model(t, 1)}}
		if params == chosen {
			c.In["calibration"] = tinyTokens(t)
		}
		small := steptest.Do(t, c, 2).Out["model"]
		adapter := steptest.Do(t, steptest.Case{
			Kind: train.Kind, Params: trainParams, Out: []string{"adapter"},
			In: map[string]string{"model": small, "tokens": learnable(t)},
		}, 2).Out["adapter"]
		if first, last := losses(t, adapter); last > 0.8*first {
			t.Errorf("%s: the loss went from %v to %v", params, first, last)
		}
		var digests []string
		for _, base := range []string{small, c.In["model"]} {
			merged := steptest.Do(t, steptest.Case{
				Kind: merge.Kind, Params: `{"dtype":"f32"}`, Out: []string{"model"},
				In: map[string]string{"model": base, "adapter": adapter},
			}, 2).Out["model"]
			if err := os.Remove(filepath.Join(merged, artifact.File)); err != nil { // it names the base
				t.Fatal(err)
			}
			digest, err := artifact.Digest(merged)
			if err != nil {
				t.Fatal(err)
			}
			digests = append(digests, digest)
		}
		if digests[0] != digests[1] {
			t.Errorf("%s: merged into the quantized model it is %s, into the original one rounded %s", params, digests[0], digests[1])
		}
	}
}

// learnable writes rows in which each token follows from the one before.
func learnable(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	w, err := dataset.CreateTokens(dir, dataset.TokenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 8 {
		var r dataset.Row
		for j := range 10 {
			id := (5*i + 3*j) % 48
			r.InputIDs = append(r.InputIDs, int32(id))
			r.Labels = append(r.Labels, int64(id))
			r.AttentionMask = append(r.AttentionMask, 1)
		}
		if err := w.Write(r); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return dir
}

// losses are those of the first and the last update of a training.
func losses(t *testing.T, adapter string) (first, last float64) {
	t.Helper()
	f, err := os.Open(filepath.Join(adapter, "training.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		var update struct {
			Loss float64 `json:"loss"`
		}
		if err := json.Unmarshal(lines.Bytes(), &update); err != nil {
			t.Fatal(err)
		}
		if last = update.Loss; first == 0 {
			first = last
		}
	}
	return first, last
}
