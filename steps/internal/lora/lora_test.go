package lora

import (
	"context"
	"encoding/json"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/pipe-run/pipe/internal/shareddata"
	"github.com/pipe-run/pipe/steps/internal/decoder"
	"github.com/pipe-run/pipe/steps/internal/safetensors"
	"github.com/pipe-run/pipe/steps/internal/tensor"
	"github.com/pipe-run/pipe/steps/internal/weights"
)

const smallConfig = `{"model_type": "llama", "architectures": ["LlamaForCausalLM"], "vocab_size": 40, "hidden_size": 64,
"intermediate_size": 96, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 64,
"rms_norm_eps": 1e-5, "tie_word_embeddings": true, "bos_token_id": 1, "eos_token_id": 2}`

// model writes a random model directory and returns it with its configuration.
func model(t *testing.T, dtype tensor.DType) (string, decoder.Config) {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "config.json"), []byte(smallConfig), 0o644); err != nil {
		t.Fatal(err)
	}
	c, err := decoder.ReadConfig(dir)
	if err != nil {
		t.Fatal(err)
	}
	var specs []safetensors.Spec
	for _, p := range c.Tensors() {
		specs = append(specs, safetensors.Spec{Name: p.Name, DType: dtype, Shape: p.Shape})
	}
	w, err := safetensors.Create(filepath.Join(dir, weights.SingleFile), specs, safetensors.PyTorch())
	if err != nil {
		t.Fatal(err)
	}
	r := rand.New(rand.NewPCG(1, 1))
	for _, s := range safetensors.Order(specs) {
		x := make([]float32, size(s)/int64(dtype.Size()))
		for i := range x {
			x[i] = float32(0.3 * r.NormFloat64())
			if len(s.Shape) == 1 {
				x[i]++
			}
		}
		raw := make([]byte, size(s))
		if err := tensor.Encode(raw, dtype, x); err != nil {
			t.Fatal(err)
		}
		if err := w.Write(s.Name, raw); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return dir, c
}

// adapter returns a random adapter for c.
func adapter(t *testing.T, c decoder.Config, targets ...string) *Adapter {
	t.Helper()
	a := build(t, c, Spec{Selection: Selection{Targets: Selector{Names: targets}}, Rank: 4, Alpha: 8})
	r := rand.New(rand.NewPCG(2, 2))
	for _, path := range a.Modules() {
		p := a.Pairs[path]
		for _, x := range [][]float32{p.A, p.B} {
			for i := range x {
				x[i] = float32(0.2 * r.NormFloat64())
			}
		}
	}
	return a
}

// build returns an adapter of zeros.
func build(t *testing.T, c decoder.Config, s Spec) *Adapter {
	t.Helper()
	d, err := s.Plan(c)
	if err != nil {
		t.Fatal(err)
	}
	return d.New()
}

func TestWriteRead(t *testing.T) {
	_, c := model(t, tensor.F32)
	want := adapter(t, c, "q_proj", "layers.1.mlp.down_proj")
	want.Config.BaseModel = "org/name"
	dir := t.TempDir()
	if err := want.Write(dir, Card{License: "apache-2.0", Text: "An adapter."}); err != nil {
		t.Fatal(err)
	}
	got, err := Read(dir)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got.Pairs, want.Pairs) {
		t.Error("weights changed on the way")
	}
	if got.Config.Rank != 4 || got.Config.Alpha != 8 || got.Config.BaseModel != "org/name" ||
		!slices.Equal(got.Config.Targets, []string{"layers.1.mlp.down_proj", "q_proj"}) {
		t.Errorf("configuration %+v", got.Config)
	}
	if len(got.Pairs) != 3 || got.Pairs["model.layers.0.self_attn.q_proj"].Scale != 2 {
		t.Errorf("%d pairs, scale %v", len(got.Pairs), got.Pairs["model.layers.0.self_attn.q_proj"].Scale)
	}
	text, err := os.ReadFile(filepath.Join(dir, ConfigFile))
	if err != nil {
		t.Fatal(err)
	}
	var keys []string
	for _, line := range strings.Split(string(text), "\n") {
		if strings.HasPrefix(line, "  \"") {
			keys = append(keys, strings.SplitN(line, "\"", 3)[1])
		}
	}
	if len(keys) != 20 || !slices.IsSorted(keys) {
		t.Errorf("keys %v: want 20, sorted", keys)
	}
}

// logits scores a fixed text with a model directory and an adapter, nil for none.
func logits(t *testing.T, dir string, a *Adapter) []float32 {
	t.Helper()
	m, err := decoder.Load(dir, 1, decoder.Infer)
	if err != nil {
		t.Fatal(err)
	}
	if a != nil {
		if err := m.Attach(a.Lookup); err != nil {
			t.Fatal(err)
		}
	}
	return scores(t, m)
}

// scores are the logits of a fixed text.
func scores(t *testing.T, m *decoder.Model) []float32 {
	t.Helper()
	b, err := decoder.NewBatch(m.Config, []int32{1, 5, 9, 3, 30, 7}, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	out, err := m.NewScorer(1).Logits(context.Background(), b, []int32{0, 3, 5})
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

// TestPublishedAdapter compares the deltas of a real adapter with those an
// independent program computed.
func TestPublishedAdapter(t *testing.T) {
	dir := shareddata.Path(t, "models/smollm135m-lora-medical-5ep")
	a, err := Read(dir)
	if err != nil {
		t.Fatal(err)
	}
	c, err := decoder.ReadConfig(shareddata.Path(t, "models/smollm2-135m-instruct-config"))
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Check(c); err != nil {
		t.Error(err)
	}
	raw, err := os.ReadFile(filepath.Join(dir, "golden_delta.json"))
	if err != nil {
		t.Fatal(err)
	}
	var golden struct {
		Delta map[string]struct {
			Shape     []int     `json:"delta_shape"`
			Frobenius float64   `json:"frobenius"`
			First     []float32 `json:"delta[0][0:4]"`
			Last      []float32 `json:"delta[-1][-4:]"`
		} `json:"delta"`
	}
	if err := json.Unmarshal(raw, &golden); err != nil {
		t.Fatal(err)
	}
	if len(golden.Delta) == 0 {
		t.Fatal("no golden deltas")
	}
	for module, want := range golden.Delta {
		p := a.Pairs["model."+module]
		d := p.Delta(2)
		var sum float64
		for _, v := range d {
			sum += float64(v) * float64(v)
		}
		if p.Out != want.Shape[0] || p.In != want.Shape[1] || math.Abs(math.Sqrt(sum)-want.Frobenius) > 1e-4*want.Frobenius {
			t.Errorf("%s: [%d, %d] of norm %v, want %v of %v", module, p.Out, p.In, math.Sqrt(sum), want.Shape, want.Frobenius)
		}
		if distance(want.First, d[:4]) > 1e-6 || distance(want.Last, d[len(d)-4:]) > 1e-6 {
			t.Errorf("%s: delta begins %v and ends %v; want %v and %v", module, d[:4], d[len(d)-4:], want.First, want.Last)
		}
	}
}

// withDoRA gives an adapter magnitudes near the lengths of rows of 1.
func withDoRA(a *Adapter) *Adapter {
	r := rand.New(rand.NewPCG(9, 9))
	a.Config.DoRA = true
	for _, path := range a.Modules() {
		p := a.Pairs[path]
		p.Magnitude = make([]float32, p.Out)
		for i := range p.Magnitude {
			p.Magnitude[i] = 1 + 2*r.Float32()
		}
		a.Pairs[path] = p
	}
	return a
}

// TestDoRA writes, reads, merges and computes with an adapter of DoRA.
func TestDoRA(t *testing.T) {
	for _, stored := range []tensor.DType{tensor.F32, tensor.BF16} {
		dir, c := model(t, stored)
		out := t.TempDir()
		if err := withDoRA(adapter(t, c, "q_proj", "down_proj")).Write(out, Card{}); err != nil {
			t.Fatal(err)
		}
		a, err := Read(out)
		if err != nil {
			t.Fatal(err)
		}
		m, err := decoder.Load(dir, 1, decoder.Infer)
		if err != nil {
			t.Fatal(err)
		}
		if err := a.Attach(m, dir, 2); err != nil {
			t.Fatal(err)
		}
		fixed := scores(t, m)
		if d := distance(fixed, logits(t, merge(t, dir, c, a, MergeOptions{DType: tensor.F32, Threads: 2}), nil)); d > 1e-4 {
			t.Errorf("%s: merged logits are off by %g", stored, d)
		}
		if d := distance(fixed, logits(t, dir, nil)); d < 0.1 {
			t.Errorf("%s: the adapter changes logits by only %g", stored, d)
		}
		// While it is trained, the lengths of rows are computed in the forward pass.
		if a, err = Read(out); err != nil {
			t.Fatal(err)
		}
		if err := a.Measure(t.Context(), c, dir, 1); err != nil {
			t.Fatal(err)
		}
		if d := distance(fixed, logits(t, dir, a)); d > 1e-4 {
			t.Errorf("%s: logits in training are off by %g", stored, d)
		}
		a.StartMagnitudes()
		for _, p := range a.Pairs {
			clear(p.B)
		}
		if d := distance(logits(t, dir, a), logits(t, dir, nil)); d > 1e-4 {
			t.Errorf("%s: logits at the start of training are off by %g", stored, d)
		}
	}
}
