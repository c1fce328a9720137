package merge

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pipe-run/pipe/internal/shareddata"
	"github.com/pipe-run/pipe/pipeline"
	"github.com/pipe-run/pipe/steps/internal/answer"
	"github.com/pipe-run/pipe/steps/internal/artifact"
	"github.com/pipe-run/pipe/steps/internal/decoder"
	"github.com/pipe-run/pipe/steps/internal/tiny"
)

// mergeDir runs the step and returns its output directory.
func mergeDir(t *testing.T, params, model, adapter string, threads int) (string, error) {
	t.Helper()
	out := t.TempDir()
	step, err := Kind.New(json.RawMessage(params))
	if err != nil {
		t.Fatal(err)
	}
	return out, step.Run(context.Background(), &pipeline.Task{
		In: map[string]string{"model": model, "adapter": adapter}, Out: map[string]string{"model": out}, Threads: threads,
		Log: slog.New(slog.NewTextHandler(io.Discard, nil)), Emit: func(pipeline.Fact) {},
	})
}

func mustMerge(t *testing.T, params, model, adapter string) string {
	t.Helper()
	out, err := mergeDir(t, params, model, adapter, 2)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// logits scores some ids with a model, and an adapter unless "".
func logits(t *testing.T, model, adapter string) []float32 {
	t.Helper()
	m, err := answer.Open(model, adapter, 1)
	if err != nil {
		t.Fatal(err)
	}
	b, err := decoder.NewBatch(m.Config, []int32{0, 40, 50, 60, 70, 80, 90, 100}, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	out, err := m.NewScorer(1).Logits(context.Background(), b, []int32{0, 4, 7})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func distance(a, b []float32) float64 {
	var d float64
	for i := range a {
		d = max(d, math.Abs(float64(a[i])-float64(b[i])))
	}
	return d
}

func TestMergedIsTheAdapter(t *testing.T) {
	model := tiny.Model(t, 1)
	adapter := tiny.Adapter(t, model, 0.1)
	for dtype, tolerance := range map[string]float64{"f32": 1e-4, "bf16": 1, "f16": 0.1} {
		merged := mustMerge(t, `{"dtype": "`+dtype+`"}`, model, adapter)
		if d := distance(logits(t, model, adapter), logits(t, merged, "")); d > tolerance {
			t.Errorf("%s: logits are off by %g", dtype, d)
		}
	}
	if d := distance(logits(t, model, adapter), logits(t, model, "")); d < 1 {
		t.Errorf("the adapter moves logits by only %g", d)
	}
}

func TestFiles(t *testing.T) {
	model := tiny.Model(t, 1)
	adapter := tiny.Adapter(t, model, 0.1)
	if err := artifact.Write(model, artifact.Provenance{Type: "model", License: "mit", Tokenizer: "t"}); err != nil {
		t.Fatal(err)
	}
	if err := artifact.Write(adapter, artifact.Provenance{Type: "adapter", ChatTemplate: &artifact.ChatTemplate{Kind: "chatml"}}); err != nil {
		t.Fatal(err)
	}
	merged := mustMerge(t, `{"dtype": "bf16"}`, model, adapter)
	for _, name := range []string{"tokenizer.json", "tokenizer_config.json", "generation_config.json"} {
		want, _ := os.ReadFile(filepath.Join(model, name))
		if got, err := os.ReadFile(filepath.Join(merged, name)); err != nil || string(got) != string(want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	var config map[string]any
	raw, err := os.ReadFile(filepath.Join(merged, "config.json"))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(raw, &config); err != nil || config["torch_dtype"] != "bfloat16" {
		t.Errorf("config %v, %v", config, err)
	}
	p, err := artifact.Read(merged)
	if err != nil {
		t.Fatal(err)
	}
	modelDigest, _ := artifact.Digest(model)
	adapterDigest, _ := artifact.Digest(adapter)
	if p.Type != "model" || p.Base != modelDigest || p.Adapter != adapterDigest || p.MergedInto != "original" ||
		p.License != "mit" || p.Tokenizer != "t" || p.ChatTemplate.Kind != "chatml" {
		t.Errorf("provenance %+v", p)
	}
}

// TestBase merges an adapter of quantized weights into dense ones.
func TestBase(t *testing.T) {
	model := tiny.Model(t, 1)
	adapter := tiny.Adapter(t, model, 0.1)
	plain := mustMerge(t, `{"dtype": "f32"}`, model, adapter)
	if _, err := mergeDir(t, `{"dtype": "f32", "base": "quantized"}`, model, adapter, 1); err == nil || !strings.Contains(err.Error(), "base: the adapter does not say how") {
		t.Errorf("error %v", err)
	}
	err := artifact.Write(adapter, artifact.Provenance{
		Type: "adapter", TrainedOn: &artifact.Quantization{Scheme: "nf4", BlockSize: 64, DoubleQuant: true},
	})
	if err != nil {
		t.Fatal(err)
	}
	rounded := mustMerge(t, `{"dtype": "f32"}`, model, adapter)
	if distance(logits(t, rounded, ""), logits(t, plain, "")) < 1e-3 {
		t.Error("by default the adapter is not added to what it was trained on")
	}
	forced := mustMerge(t, `{"dtype": "f32", "base": "original"}`, model, adapter)
	if distance(logits(t, forced, ""), logits(t, plain, "")) != 0 {
		t.Error("base: original still rounds")
	}
}

func TestThreadsDoNotMatter(t *testing.T) {
	model := tiny.Model(t, 1)
	adapter := tiny.Adapter(t, model, 0.1)
	var first string
	for _, threads := range []int{1, 3} {
		out, err := mergeDir(t, `{"dtype": "f32"}`, model, adapter, threads)
		if err != nil {
			t.Fatal(err)
		}
		digest, err := artifact.Digest(out)
		if err != nil {
			t.Fatal(err)
		}
		if first == "" {
			first = digest
		}
		if digest != first {
			t.Errorf("%d threads write other bytes than 1", threads)
		}
	}
}

// TestStories merges an adapter into a real model.
func TestStories(t *testing.T) {
	model := shareddata.Path(t, "models/stories260K/hf")
	adapter := tiny.Adapter(t, model, 0.1)
	merged := mustMerge(t, `{"dtype": "f32"}`, model, adapter)
	with := logits(t, model, adapter)
	if d := distance(with, logits(t, merged, "")); d > 1e-4 {
		t.Errorf("logits are off by %g", d)
	}
	if d := distance(with, logits(t, model, "")); d < 0.1 {
		t.Errorf("the adapter moves logits by only %g", d)
	}
}

func TestWrongAdapter(t *testing.T) {
	adapter := tiny.Adapter(t, tiny.Model(t, 1), 0.1)
	stories := shareddata.Path(t, "models/stories260K/hf")
	if _, err := mergeDir(t, `{"dtype": "f32"}`, stories, adapter, 1); err == nil || !strings.Contains(err.Error(), "does not fit the model") {
		t.Errorf("error %v", err)
	}
}

// TestAnotherModel: an adapter of another base is refused, by the plan too; one
// of another program is taken as it is.
func TestAnotherModel(t *testing.T) {
	model := tiny.Model(t, 1)
	digest, err := artifact.Digest(model)
	if err != nil {
		t.Fatal(err)
	}
	adapter := tiny.Adapter(t, model, 0.1)
	for base, refused := range map[string]bool{"": false, digest: false, "00": true} {
		if err := artifact.Write(adapter, artifact.Provenance{Type: pipeline.TypeAdapter, Base: base}); err != nil {
			t.Fatal(err)
		}
		_, ran := mergeDir(t, `{"dtype": "f32"}`, model, adapter, 1)
		root, err := pipeline.ParseDigest(digest)
		if err != nil {
			t.Fatal(err)
		}
		e, planned := Kind.Estimate(context.Background(), &pipeline.EstimateRequest{
			Inputs:  map[string]fs.FS{"model": os.DirFS(model), "adapter": os.DirFS(adapter)},
			Digests: map[string]pipeline.Digest{"model": root},
		})
		if e != nil {
			t.Errorf("estimate %+v", e)
		}
		for _, err := range []error{ran, planned} {
			var field *pipeline.FieldError
			if !refused && err != nil || refused && (!errors.As(err, &field) || field.Field != "in.adapter") {
				t.Errorf("base %q: %v", base, err)
			}
		}
	}
}

// TestGolden holds the bytes of merged models. Where they change on purpose,
// the kind's version must be raised.
func TestGolden(t *testing.T) {
	model := tiny.Model(t, 5)
	adapter := tiny.Adapter(t, model, 0.1)
	err := artifact.Write(adapter, artifact.Provenance{
		Type: "adapter", TrainedOn: &artifact.Quantization{Scheme: "nf4", BlockSize: 64, DoubleQuant: true},
	})
	if err != nil {
		t.Fatal(err)
	}
	for params, want := range map[string]string{
		`{"dtype": "f32"}`:                      "f534c2e3501dfa55574346c5f938db5074614be3150317afa9188fd6a6dbdeee",
		`{"dtype": "bf16", "base": "original"}`: "425e556cf122bdb15ac9a8802b5b36d38d20874ae7cc373ca0ed096dbed99d35",
	} {
		got, err := artifact.Digest(mustMerge(t, params, model, adapter))
		if err != nil {
			t.Fatal(err)
		}
		if got != want || Kind.Version != 1 {
			t.Errorf("%s: version %d writes %s, want version 1 and %s", params, Kind.Version, got, want)
		}
	}
}
