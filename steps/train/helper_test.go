package train

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/pipe-run/pipe/pipeline"
	"github.com/pipe-run/pipe/steps/internal/dataset"
	"github.com/pipe-run/pipe/steps/internal/decoder"
	"github.com/pipe-run/pipe/steps/internal/quant"
	"github.com/pipe-run/pipe/steps/internal/safetensors"
	"github.com/pipe-run/pipe/steps/internal/tensor"
)

const tinyConfig = `{"architectures":["LlamaForCausalLM"],"model_type":"llama","vocab_size":48,"hidden_size":32,
"intermediate_size":64,"num_hidden_layers":2,"num_attention_heads":4,"num_key_value_heads":2,
"max_position_embeddings":64,"rms_norm_eps":1e-5,"rope_theta":10000,"tie_word_embeddings":%t,
"torch_dtype":"float32","hidden_act":"silu","bos_token_id":1,"eos_token_id":2}`

// tinyModel writes a random model with a configuration of tinyConfig.
func tinyModel(t *testing.T, tied bool) string {
	t.Helper()
	return randomModel(t, fmt.Sprintf(tinyConfig, tied))
}

// widerModel is a tiny model with matrices whose moments adamw8bit keeps in 8 bits.
func widerModel(t *testing.T) string {
	t.Helper()
	return randomModel(t, strings.NewReplacer(`"hidden_size":32`, `"hidden_size":64`, "%t", "false").Replace(tinyConfig))
}

func randomModel(t *testing.T, config string) string {
	t.Helper()
	dir := t.TempDir()
	r := rand.New(rand.NewPCG(1, 2))
	writeModel(t, dir, config, func(x decoder.Tensor) []quant.Part {
		data := make([]float32, elements(x.Shape))
		for i := range data {
			data[i] = float32(r.NormFloat64() * 0.15)
			if len(x.Shape) == 1 {
				data[i]++
			}
		}
		return []quant.Part{dense(t, x.Shape, data)}
	})
	return dir
}

// dense is a tensor stored as float32.
func dense(t *testing.T, shape []int, data []float32) quant.Part {
	t.Helper()
	raw := make([]byte, 4*len(data))
	if err := tensor.Encode(raw, tensor.F32, data); err != nil {
		t.Fatal(err)
	}
	return quant.Part{DType: tensor.F32, Shape: shape, Data: raw}
}

// writeModel writes a model of config whose tensors are stored as parts says.
func writeModel(t *testing.T, dir, config string, parts func(decoder.Tensor) []quant.Part) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, "config.json"), []byte(config), 0o644); err != nil {
		t.Fatal(err)
	}
	cfg, err := decoder.ReadConfig(dir)
	if err != nil {
		t.Fatal(err)
	}
	data := map[string][]byte{}
	var specs []safetensors.Spec
	for _, x := range cfg.Tensors() {
		for _, p := range parts(x) {
			specs = append(specs, safetensors.Spec{Name: x.Name + p.Suffix, DType: p.DType, Shape: p.Shape})
			data[x.Name+p.Suffix] = p.Data
		}
	}
	w, err := safetensors.Create(filepath.Join(dir, "model.safetensors"), specs, safetensors.PyTorch())
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range safetensors.Order(specs) {
		if err := w.Write(s.Name, data[s.Name]); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
}

// tinyTokens writes n rows of different lengths that follow a rule: each id is
// the one before it plus three.
func tinyTokens(t *testing.T, n int, packed bool) string {
	t.Helper()
	var rows []dataset.Row
	r := rand.New(rand.NewPCG(3, 4))
	for range n {
		var row dataset.Row
		for range 1 + r.IntN(2) {
			id := int32(r.IntN(48))
			for p := range 5 + r.IntN(9) {
				label := int64(id)
				if p < 3 {
					label = dataset.Unsupervised
				}
				row.InputIDs, row.Labels = append(row.InputIDs, id), append(row.Labels, label)
				row.AttentionMask, row.PositionIDs = append(row.AttentionMask, 1), append(row.PositionIDs, int32(p))
				id = (id + 3) % 48
			}
			if !packed {
				break
			}
		}
		if !packed {
			row.PositionIDs = nil
		}
		rows = append(rows, row)
	}
	return writeTokens(t, rows, packed)
}

func writeTokens(t *testing.T, rows []dataset.Row, packed bool) string {
	t.Helper()
	dir := t.TempDir()
	w, err := dataset.CreateTokens(dir, dataset.TokenOptions{Packed: packed, Weighted: len(rows) > 0 && rows[0].LossWeights != nil})
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range rows {
		if err := w.Write(row); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return dir
}

// loraParams are the schema's defaults with a short training.
func loraParams() Params {
	return Params{
		Method: "lora", LoRA: &LoRA{Rank: 4, Alpha: 8}, MaxUpdates: 10, BatchSize: 8, GradientAccumulation: 1,
		LearningRate: 1e-2, Schedule: "cosine", Warmup: Span{Ratio: 0.1}, Betas: [2]float64{0.9, 0.999},
		Epsilon: 1e-8, MaxGradNorm: 1, Seed: 42, Numerics: "f32",
	}
}

func fullParams() Params {
	p := loraParams()
	p.Method, p.LoRA, p.Init, p.DType, p.WeightDecay = "full", nil, "pretrained", "f32", 0.1
	return p
}

// job is one training in directories of its own.
type job struct {
	task  *pipeline.Task
	facts []pipeline.Fact
	log   bytes.Buffer
	stop  func(pipeline.Fact) // called with every fact
}

func newJob(t *testing.T, in map[string]string, output string) *job {
	j := &job{}
	j.task = &pipeline.Task{
		In: in, Out: map[string]string{output: t.TempDir()}, Tmp: t.TempDir(), State: t.TempDir(), Threads: 2,
		Log: slog.New(slog.NewTextHandler(&j.log, nil)),
		Emit: func(f pipeline.Fact) {
			j.facts = append(j.facts, f)
			if j.stop != nil {
				j.stop(f)
			}
		},
	}
	return j
}

// train runs p through the kind, as the child process does.
func (j *job) train(ctx context.Context, p Params) error {
	raw, err := json.Marshal(paramsJSON(p))
	if err != nil {
		return err
	}
	s, err := Kind.New(raw)
	if err != nil {
		return err
	}
	return s.Run(ctx, j.task)
}

// paramsJSON leaves out what p does not have, as the compiler does.
func paramsJSON(p Params) map[string]any {
	raw, _ := json.Marshal(p)
	m := map[string]any{}
	_ = json.Unmarshal(raw, &m)
	for k, v := range m {
		if v == nil || v == "" || (v == 0.0 && slices.Contains([]string{"epochs", "maxUpdates", "checkpointEvery"}, k)) {
			delete(m, k)
		}
	}
	return m
}

func (j *job) must(t *testing.T, p Params) map[string]string {
	t.Helper()
	if err := j.train(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	return j.files(t)
}

// files returns the content of the output's files by name.
func (j *job) files(t *testing.T) map[string]string {
	t.Helper()
	files := map[string]string{}
	for _, dir := range j.task.Out {
		entries, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			b, err := os.ReadFile(filepath.Join(dir, e.Name()))
			if err != nil {
				t.Fatal(err)
			}
			files[e.Name()] = string(b)
		}
	}
	return files
}

func lines(t *testing.T, jsonl string) (updates []updateLine) {
	t.Helper()
	for l := range strings.Lines(jsonl) {
		var u updateLine
		if err := json.Unmarshal([]byte(l), &u); err != nil {
			t.Fatal(err)
		}
		if strings.Contains(l, `"loss"`) {
			updates = append(updates, u)
		}
	}
	return updates
}

func inputs(t *testing.T) map[string]string {
	return map[string]string{"model": tinyModel(t, false), "tokens": tinyTokens(t, 40, true)}
}

// oneRow is a document of four tokens that predicts three.
func oneRow() []dataset.Row {
	return []dataset.Row{{
		InputIDs: []int32{1, 2, 3, 4}, AttentionMask: []int8{1, 1, 1, 1}, Labels: []int64{1, 2, 3, 4},
	}}
}
