package train

import (
	"context"
	"math"
	"path/filepath"
	"slices"
	"testing"

	"github.com/pipe-run/pipe/steps/internal/dataset"
	"github.com/pipe-run/pipe/steps/internal/decoder"
	"github.com/pipe-run/pipe/steps/internal/weights"
)

// families are the golden models of every architecture but those in 4 bits; in
// short tests the three that differ most.
func families(t *testing.T) []string {
	t.Helper()
	dirs, err := filepath.Glob("../internal/decoder/testdata/families/*")
	if err != nil || len(dirs) < 18 {
		t.Fatalf("%d models, %v", len(dirs), err)
	}
	return slices.DeleteFunc(dirs, func(dir string) bool {
		name := filepath.Base(dir)
		return name == "gpt2-nf4" || testing.Short() && !slices.Contains([]string{"qwen3", "gemma3", "gpt2-bare"}, name)
	})
}

// familyInputs are a model and two documents to learn.
func familyInputs(t *testing.T, model string) map[string]string {
	t.Helper()
	row := func(length, step int) dataset.Row {
		r := dataset.Row{}
		for i := range length {
			id := int32((i*i + step*i) % 64)
			r.InputIDs, r.Labels = append(r.InputIDs, id), append(r.Labels, int64(id))
			r.AttentionMask = append(r.AttentionMask, 1)
		}
		return r
	}
	tokens := writeTokens(t, []dataset.Row{row(20, 3), row(11, 5)}, false)
	return map[string]string{"model": model, "tokens": tokens}
}

// TestFamiliesLearn trains a model of every architecture, whole and with LoRA,
// and finds that the loss falls.
func TestFamiliesLearn(t *testing.T) {
	for _, model := range families(t) {
		for _, p := range []Params{fullParams(), loraParams()} {
			p.MaxUpdates, p.BatchSize = 8, 2
			output := "model"
			if p.Method != "full" {
				output = "adapter"
				p.LoRA.Targets.Names = nil
				p.LoRA.Rank = 2
			}
			j := newJob(t, familyInputs(t, model), output)
			files := j.must(t, p)
			all := lines(t, files["training.jsonl"])
			if first, last := all[0].Loss, all[len(all)-1].Loss; !(last < first) || math.IsNaN(last) {
				t.Errorf("%s, %s: loss goes from %g to %g", filepath.Base(model), p.Method, first, last)
			}
			if output == "model" {
				sameFiles(t, model, j.task.Out["model"])
			}
		}
	}
}

// sameFiles wants names and shapes of a trained model to be those of its base,
// and the model to be usable.
func sameFiles(t *testing.T, base, trained string) {
	t.Helper()
	was, is := openWeights(t, base), openWeights(t, trained)
	for _, name := range is.Names() {
		want, err := was.Shape(name)
		if err != nil {
			t.Error(err)
			continue
		}
		if got, err := is.Shape(name); err != nil || !slices.Equal(got, want) {
			t.Errorf("%s: %s has shape %v, want %v; %v", base, name, got, want, err)
		}
	}
	if _, err := decoder.Load(trained, 1, decoder.Infer); err != nil {
		t.Error(err)
	}
}

func openWeights(t *testing.T, dir string) *weights.Dir {
	t.Helper()
	w, err := weights.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.Close() })
	return w
}

// TestFamiliesBegin makes random models: norms that change nothing, biases of
// zero, and logits that are small numbers.
func TestFamiliesBegin(t *testing.T) {
	for _, model := range families(t) {
		p := fullParams()
		p.Init, p.MaxUpdates, p.LearningRate = "random", 1, 1e-9
		j := newJob(t, familyInputs(t, model), "model")
		j.must(t, p)
		m, err := decoder.Load(j.task.Out["model"], 1, decoder.Infer)
		if err != nil {
			t.Fatal(err)
		}
		logits, err := m.NewSession(1).Read(context.Background(), []int32{3, 9, 27})
		if err != nil {
			t.Fatal(err)
		}
		for _, v := range logits {
			if !(math.Abs(float64(v)) < 1) {
				t.Errorf("%s: a random model has a logit of %g", filepath.Base(model), v)
				break
			}
		}
	}
}
