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
	"github.com/pipe-run/pipe/steps/internal/artifact"
	"github.com/pipe-run/pipe/steps/internal/decoder"
	"github.com/pipe-run/pipe/steps/internal/quant"
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

// TestConfigPatterns follows PEFT's example of overriding by module.
func TestConfigPatterns(t *testing.T) {
	c, err := ParseConfig([]byte(`{"peft_type": "LORA", "r": 4, "lora_alpha": 8, "use_rslora": true,
		"rank_pattern": {"q_proj": 16, "layers.1.self_attn.k_proj": 2}, "alpha_pattern": {"v_.*": 1}, "target_modules": "all-linear"}`))
	if err != nil {
		t.Fatal(err)
	}
	for module, want := range map[string][2]float64{
		"model.layers.0.self_attn.q_proj":  {16, 2},
		"model.layers.0.self_attn.k_proj":  {4, 4},
		"model.layers.1.self_attn.k_proj":  {2, 8 / math.Sqrt2},
		"model.layers.11.self_attn.v_proj": {4, 0.5},
		"model.layers.0.xq_proj":           {4, 4},
	} {
		rank, scale := c.For(module)
		if float64(rank) != want[0] || math.Abs(float64(scale)-want[1]) > 1e-6 {
			t.Errorf("%s: rank %d, scale %v; want %v", module, rank, scale, want)
		}
	}
}

func TestConfigRefuses(t *testing.T) {
	for extra, want := range map[string]string{
		`"bias": "all"`:                                   "bias",
		`"layer_replication": [[0, 4]]`:                   "layer_replication",
		`"alora_invocation_tokens": [1]`:                  "alora_invocation_tokens",
		`"use_qalora": true`:                              "use_qalora",
		`"arrow_config": {"a": 1}`:                        "arrow_config",
		`"kasa_config": {"a": 1}`:                         "kasa_config",
		`"monteclora_config": {"a": 1}`:                   "monteclora_config",
		`"target_parameters": ["x"]`:                      "target_parameters",
		`"init_lora_weights": "pissa_niter_4"`:            "pissa",
		`"r": 0`:                                          "r is 0",
		`"r": 99999999`:                                   "r is 99999999",
		`"rank_pattern": {"(": 1}`:                        "pattern",
		`"target_modules": 3`:                             "target_modules",
		`"peft_type": "IA3"`:                              "IA3",
		`"trainable_token_indices": {"a": [1], "b": [2]}`: "names 2 modules",
		`"trainable_token_indices": [1, 1]`:               "comes twice",
		`"trainable_token_indices": [-1]`:                 "negative",
		`"trainable_token_indices": "x"`:                  "neither a list",
	} {
		_, err := ParseConfig([]byte(`{"peft_type": "LORA", ` + extra + `}`))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v", extra, err)
		}
	}
	if _, err := ParseConfig([]byte(`{"peft_type": "LORA", "layer_replication": null, "use_dora": false, "loftq_config": {}}`)); err != nil {
		t.Errorf("harmless keys: %v", err)
	}
}

// TestReadRefuses breaks one tensor of a sound adapter at a time.
func TestReadRefuses(t *testing.T) {
	spec := func(name string, shape ...int) safetensors.Spec {
		return safetensors.Spec{Name: name, DType: tensor.F32, Shape: shape}
	}
	const q = "base_model.model.model.layers.0.self_attn.q_proj"
	for want, specs := range map[string][]safetensors.Spec{
		"no LoRA weights":                        {},
		"only one of":                            {spec(q+suffixA, 4, 8)},
		"ranks":                                  {spec(q+suffixA, 4, 8), spec(q+suffixB, 8, 3)},
		"want a matrix":                          {spec(q+suffixA, 4, 8, 1)},
		"neither a lora_A":                       {spec(q+".lora_C", 4)},
		"which adapter_config.json does not say": {spec(q+suffixM, 4)},
		"a has rows too":                         {spec("a"+suffixTokens, 1, 2), spec("b"+suffixTokens, 1, 2)},
		"has 3 rows for 1":                       {spec("a"+suffixTokens, 3, 2)},
		"tensor base_model.model.lm_head.weight has shape [4], want a matrix": {spec(prefix+"lm_head.weight", 4)},
		"rank 2 in": {spec(q+suffixA, 2, 8), spec(q+suffixB, 8, 2)},
	} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, ConfigFile), []byte(`{"peft_type": "LORA", "r": 4, "modules_to_save": ["lm_head"], "trainable_token_indices": [5]}`), 0o644); err != nil {
			t.Fatal(err)
		}
		w, err := safetensors.Create(filepath.Join(dir, WeightsFile), specs, nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range safetensors.Order(specs) {
			if err := w.Write(s.Name, make([]byte, size(s))); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		if _, err := Read(dir); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
	dir := t.TempDir()
	for _, name := range []string{ConfigFile, "adapter_model.bin"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(`{"peft_type": "LORA"}`), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := Read(dir); err == nil || !strings.Contains(err.Error(), "pickle") {
		t.Errorf("error %v", err)
	}
}

func TestCheck(t *testing.T) {
	_, c := model(t, tensor.F32)
	a := adapter(t, c)
	if err := a.Check(c); err != nil {
		t.Error(err)
	}
	narrow := c
	narrow.Hidden = 32
	if err := a.Check(narrow); err == nil || !strings.Contains(err.Error(), "[64, 96], the model's [32, 96]") {
		t.Errorf("error %v", err)
	}
	short := c
	short.Layers = 1
	if err := a.Check(short); err == nil || !strings.Contains(err.Error(), "layers.1.") {
		t.Errorf("error %v", err)
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

// merge merges into a new model directory.
func merge(t *testing.T, dir string, c decoder.Config, a *Adapter, opt MergeOptions) string {
	t.Helper()
	w, err := weights.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	out := t.TempDir()
	if err := Merge(context.Background(), c, w, a, out, opt); err != nil {
		t.Fatal(err)
	}
	set := map[string]any{}
	if a.Unties(c) {
		set["tie_word_embeddings"] = false
	}
	if err := artifact.RewriteConfig(dir, out, set); err != nil {
		t.Fatal(err)
	}
	return out
}

func TestMergeEqualsAdapter(t *testing.T) {
	for _, stored := range []tensor.DType{tensor.F32, tensor.BF16} {
		dir, c := model(t, stored)
		a := adapter(t, c)
		with, without := logits(t, dir, a), logits(t, dir, nil)
		merged := logits(t, merge(t, dir, c, a, MergeOptions{DType: tensor.F32, Threads: 2}), nil)
		if d := distance(with, merged); d > 1e-4 {
			t.Errorf("%s: merged logits are off by %g", stored, d)
		}
		if d := distance(with, without); d < 0.1 {
			t.Errorf("%s: the adapter changes logits by only %g", stored, d)
		}
		half := logits(t, merge(t, dir, c, a, MergeOptions{DType: tensor.BF16, Threads: 2}), nil)
		if d := distance(with, half); d > 0.5 {
			t.Errorf("%s: logits merged to BF16 are off by %g", stored, d)
		}
	}
}

func TestZeroAdapterIsTheBase(t *testing.T) {
	dir, c := model(t, tensor.F32)
	a := build(t, c, Spec{Rank: 3, Alpha: 6})
	if !slices.Equal(logits(t, dir, a), logits(t, dir, nil)) {
		t.Error("an adapter with B = 0 changes the logits")
	}
	out := merge(t, dir, c, a, MergeOptions{DType: tensor.F32, Threads: 1})
	got, err := os.ReadFile(filepath.Join(out, weights.SingleFile))
	if err != nil {
		t.Fatal(err)
	}
	want, err := os.ReadFile(filepath.Join(dir, weights.SingleFile))
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(got, want) {
		t.Error("merging an adapter with B = 0 changes the file")
	}
}

// TestMergeRounds merges into the quantized weights, and checks them against
// quantizing first and merging what that holds.
func TestMergeRounds(t *testing.T) {
	dir, c := model(t, tensor.F32)
	a := adapter(t, c, "q_proj")
	round := &artifact.Quantization{Scheme: "nf4", BlockSize: 64, DoubleQuant: true, Skip: []string{"model.layers.1.mlp.up_proj"}}
	out := merge(t, dir, c, a, MergeOptions{DType: tensor.F32, Threads: 1, Round: round})
	before, after := open(t, dir), open(t, out)
	for _, m := range c.Modules() {
		x, y := f32(t, before, m.Path+".weight"), f32(t, after, m.Path+".weight")
		if p, ok := a.Pairs[m.Path]; ok {
			for i, d := range p.Delta(1) {
				y[i] -= d
			}
		}
		var worst float64
		for i := range x {
			worst = max(worst, math.Abs(float64(x[i]-y[i])))
		}
		if skipped := m.Path == "model.layers.1.mlp.up_proj"; skipped != (worst == 0) || worst > 0.3 {
			t.Errorf("%s moved by %g", m.Path, worst)
		}
	}
	if !slices.Equal(f32(t, before, decoder.EmbedName), f32(t, after, decoder.EmbedName)) {
		t.Error("the embedding was rounded")
	}
}

func open(t *testing.T, dir string) *weights.Dir {
	t.Helper()
	w, err := weights.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.Close() })
	return w
}

func f32(t *testing.T, w *weights.Dir, name string) []float32 {
	t.Helper()
	x, err := w.F32(name)
	if err != nil {
		t.Fatal(err)
	}
	return x
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

// TestMergeIntoStored4Bit merges into weights stored in 4 bits, which is the
// same as rounding the dense ones on the way.
func TestMergeIntoStored4Bit(t *testing.T) {
	dir, c := model(t, tensor.F32)
	a := adapter(t, c)
	round := &artifact.Quantization{Scheme: "nf4", BlockSize: 64, DoubleQuant: true}
	opt := MergeOptions{DType: tensor.F32, Threads: 2}
	small := quantized(t, dir, c, round)
	fromSmall := merge(t, small, c, a, opt)
	opt.Round = round
	fromDense := merge(t, dir, c, a, opt)
	got, err := os.ReadFile(filepath.Join(fromSmall, weights.SingleFile))
	if err != nil {
		t.Fatal(err)
	}
	want, err := os.ReadFile(filepath.Join(fromDense, weights.SingleFile))
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(got, want) {
		t.Error("merging into 4-bit weights differs from quantizing, dequantizing and merging")
	}
	if d := distance(logits(t, small, a), logits(t, fromSmall, nil)); d > 1e-4 {
		t.Errorf("merged logits are off by %g", d)
	}
}

// quantized writes the model in dir once more, its linears in 4 bits.
func quantized(t *testing.T, dir string, c decoder.Config, q *artifact.Quantization) string {
	t.Helper()
	w := open(t, dir)
	linear := map[string]bool{}
	for _, m := range c.Modules() {
		linear[m.Path+".weight"] = true
	}
	var specs []safetensors.Spec
	data := map[string][]byte{}
	for _, name := range w.Names() {
		spec, raw, err := w.Stored(name)
		if err != nil {
			t.Fatal(err)
		}
		if !linear[name] {
			specs, data[name] = append(specs, spec), raw
			continue
		}
		n, err := quant.Quantize(1, f32(t, w, name), spec.Shape, quant.Options{Scheme: q.Scheme, BlockSize: q.BlockSize, DoubleQuant: q.DoubleQuant, DType: tensor.F32})
		if err != nil {
			t.Fatal(err)
		}
		parts, err := n.Parts()
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range parts {
			specs = append(specs, safetensors.Spec{Name: name + p.Suffix, DType: p.DType, Shape: p.Shape})
			data[name+p.Suffix] = p.Data
		}
	}
	out := t.TempDir()
	sw, err := safetensors.Create(filepath.Join(out, weights.SingleFile), specs, safetensors.PyTorch())
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range safetensors.Order(specs) {
		if err := sw.Write(s.Name, data[s.Name]); err != nil {
			t.Fatal(err)
		}
	}
	if err := sw.Close(); err != nil {
		t.Fatal(err)
	}
	if err := artifact.RewriteConfig(dir, out, nil); err != nil {
		t.Fatal(err)
	}
	return out
}

// TestTrainingOn4Bit takes a block forward and backward over weights that are
// kept in 4 bits or in BF16: the same bits as over what they unpack to.
func TestTrainingOn4Bit(t *testing.T) {
	dense, c := model(t, tensor.BF16)
	small := quantized(t, dense, c, &artifact.Quantization{Scheme: "nf4", BlockSize: 64, DoubleQuant: true})
	for _, dir := range []string{dense, small} {
		stored, err := decoder.Load(dir, 2, decoder.Train)
		if err != nil {
			t.Fatal(err)
		}
		w := open(t, dir)
		unpacked, err := decoder.FromTensors(c, func(name string) []float32 { return f32(t, w, name) })
		if err != nil {
			t.Fatal(err)
		}
		if got, want := blockGradients(t, stored), blockGradients(t, unpacked); !slices.Equal(got, want) {
			t.Errorf("%s: weights kept as stored give other gradients", dir)
		}
	}
}

// blockGradients returns output and gradients of a block and the loss.
func blockGradients(t *testing.T, m *decoder.Model) []float32 {
	t.Helper()
	b, err := decoder.NewBatch(m.Config, []int32{1, 2, 3, 4, 5}, nil, []int64{1, 2, 3, 4, 5})
	if err != nil {
		t.Fatal(err)
	}
	tr := decoder.NewTraining(m, 5, 2)
	if err := tr.SetBatch(b, 4); err != nil {
		t.Fatal(err)
	}
	n := 5 * m.Hidden
	x, y, loss := make([]float32, n), make([]float32, n), make([]float32, 1)
	tr.Embed(x)
	a := adapter(t, m.Config)
	block := tr.NewBlockOp(0, func(string) (decoder.Adapt, bool) { return decoder.Adapt{Rank: 4, Scale: 2}, true })
	in, grads := [][]float32{x}, [][]float32{make([]float32, n)}
	for i := 0; i < len(block.Inputs()); i += 2 {
		p := a.Pairs[strings.TrimSuffix(block.Inputs()[i].Name, suffixA)]
		in, grads = append(in, p.A, p.B), append(grads, make([]float32, len(p.A)), make([]float32, len(p.B)))
	}
	head, dy := tr.NewLossOp(), [][]float32{make([]float32, n)}
	for _, err := range []error{
		block.Forward(y, in), head.Forward(loss, [][]float32{y}),
		head.Backward(dy, [][]float32{y}, loss, []float32{1}), block.Backward(grads, in, y, dy[0]),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	return slices.Concat(append(grads, y, loss, dy[0])...)
}

func FuzzParseConfig(f *testing.F) {
	f.Add([]byte(`{"peft_type": "LORA", "r": 4, "lora_alpha": 8, "rank_pattern": {"q_proj": 16}, "alpha_pattern": {"v_.*": 1}}`))
	f.Add([]byte(`{"peft_type": "LORA", "target_modules": "all-linear", "use_rslora": true, "init_lora_weights": "gaussian"}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		c, err := ParseConfig(raw)
		if err != nil {
			return
		}
		rank, scale := c.For("model.layers.0.self_attn.q_proj")
		if rank < 1 || rank > maxRank || scale != scale {
			t.Errorf("rank %d, scale %v", rank, scale)
		}
	})
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
