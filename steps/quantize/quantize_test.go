package quantize

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/pipe-run/pipe/internal/shareddata"
	"github.com/pipe-run/pipe/pipeline"
	"github.com/pipe-run/pipe/steps/internal/artifact"
	"github.com/pipe-run/pipe/steps/internal/decoder"
	"github.com/pipe-run/pipe/steps/internal/quant"
	"github.com/pipe-run/pipe/steps/internal/safetensors"
	"github.com/pipe-run/pipe/steps/internal/tensor"
	"github.com/pipe-run/pipe/steps/internal/weights"
)

const tinyConfig = `{"architectures":["LlamaForCausalLM"],"model_type":"llama","vocab_size":48,"hidden_size":32,
"intermediate_size":40,"num_hidden_layers":2,"num_attention_heads":4,"num_key_value_heads":2,
"max_position_embeddings":64,"rms_norm_eps":1e-5,"rope_theta":10000.0,"tie_word_embeddings":false,
"torch_dtype":"bfloat16","hidden_act":"silu","bos_token_id":1,"eos_token_id":2}`

// wideConfig has rows of whole blocks of 32 in every linear.
func wideConfig() string {
	return strings.Replace(tinyConfig, `"intermediate_size":40`, `"intermediate_size":96`, 1)
}

// tinyModel writes a model of tinyConfig: linears in BF16, all else in F32.
func tinyModel(t *testing.T) string {
	t.Helper()
	return modelOf(t, tinyConfig, tensor.BF16)
}

// modelOf writes a model of a configuration, all but the linears in F32.
func modelOf(t *testing.T, config string, linears tensor.DType) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{"config.json": config, "tokenizer_config.json": "{}"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	c, err := decoder.ReadConfig(dir)
	if err != nil {
		t.Fatal(err)
	}
	var specs []safetensors.Spec
	for _, x := range c.Tensors() {
		dtype := tensor.F32
		if strings.Contains(x.Name, "_proj") {
			dtype = linears
		}
		specs = append(specs, safetensors.Spec{Name: x.Name, DType: dtype, Shape: x.Shape})
	}
	w, err := safetensors.Create(filepath.Join(dir, weights.SingleFile), specs, safetensors.PyTorch())
	if err != nil {
		t.Fatal(err)
	}
	seed := uint32(1)
	for _, s := range safetensors.Order(specs) {
		values := make([]float32, elements(s))
		for i := range values {
			seed = seed*1664525 + 1013904223
			values[i] = float32(int32(seed>>8)-1<<23) / (1 << 25)
		}
		data := make([]byte, len(values)*s.DType.Size())
		if err := tensor.Encode(data, s.DType, values); err != nil {
			t.Fatal(err)
		}
		if err := w.Write(s.Name, data); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return dir
}

// do runs the step and returns its output and what it emitted.
func do(t *testing.T, model string, threads int, p Params) (string, []pipeline.Fact, error) {
	t.Helper()
	return doWith(t, map[string]string{"model": model}, threads, p)
}

func doWith(t *testing.T, in map[string]string, threads int, p Params) (string, []pipeline.Fact, error) {
	t.Helper()
	out := t.TempDir()
	var facts []pipeline.Fact
	task := &pipeline.Task{
		In: in, Out: map[string]string{"model": out}, Threads: threads,
		Log: slog.New(slog.DiscardHandler), Emit: func(f pipeline.Fact) { facts = append(facts, f) },
	}
	return out, facts, run(context.Background(), p, task)
}

var nf4 = Params{Scheme: "nf4", DoubleQuant: true, BlockSize: 64}

func TestQuantize(t *testing.T) {
	for _, p := range []Params{nf4, {Scheme: "nf4", BlockSize: 32}, {Scheme: "fp4", BlockSize: 128, DoubleQuant: true}, {Scheme: "q8_0"}} {
		model := modelOf(t, wideConfig(), tensor.BF16)
		out, facts, err := do(t, model, 2, p)
		if err != nil {
			t.Fatal(err)
		}
		was, is := open(t, model), open(t, out)
		if !reflect.DeepEqual(is.Names(), was.Names()) {
			t.Fatalf("tensors %v, want %v", is.Names(), was.Names())
		}
		for _, name := range was.Names() {
			checkTensor(t, was, is, name, p)
		}
		var bits float64
		for _, f := range facts {
			if m, ok := f.(pipeline.Metric); ok && m.Name == "quantize/bitsPerParameter" {
				bits = m.Value
			}
		}
		if bits < 5 || bits > 32 {
			t.Errorf("%v bits per parameter", bits)
		}
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

// checkTensor compares a tensor with what it must have become.
func checkTensor(t *testing.T, was, is *weights.Dir, name string, p Params) {
	t.Helper()
	if !strings.Contains(name, "_proj") {
		specA, a, errA := was.Stored(name)
		specB, b, errB := is.Stored(name)
		if errA != nil || errB != nil || !reflect.DeepEqual(specA, specB) || !bytes.Equal(a, b) {
			t.Errorf("%s changed: %v %v, %v %v", name, specA, errA, specB, errB)
		}
		return
	}
	values, err := was.F32(name)
	if err != nil {
		t.Fatal(err)
	}
	shape, _ := was.Shape(name)
	want, err := quant.Quantize(1, values, shape, quant.Options{Scheme: p.Scheme, BlockSize: p.BlockSize, DoubleQuant: p.DoubleQuant, DType: tensor.BF16})
	if err != nil {
		t.Fatal(err)
	}
	got, ok, err := is.Quant(name)
	if err != nil || !ok || !reflect.DeepEqual(got, want) {
		t.Errorf("%s is not what quantizing it gives: %v, %v", name, ok, err)
	}
}

func TestSideFiles(t *testing.T) {
	model := tinyModel(t)
	if err := artifact.Write(model, artifact.Provenance{Type: "model", License: "mit", Tokenizer: "t"}); err != nil {
		t.Fatal(err)
	}
	out, _, err := do(t, model, 1, nf4)
	if err != nil {
		t.Fatal(err)
	}
	var config struct {
		Quantization map[string]any `json:"quantization_config"`
		Heads        int            `json:"num_attention_heads"`
	}
	readJSON(t, filepath.Join(out, "config.json"), &config)
	for key, want := range map[string]any{
		"quant_method": "bitsandbytes", "bnb_4bit_quant_type": "nf4", "bnb_4bit_compute_dtype": "bfloat16",
		"bnb_4bit_use_double_quant": true, "load_in_4bit": true, "llm_int8_skip_modules": []any{"lm_head"},
	} {
		if got := config.Quantization[key]; !reflect.DeepEqual(got, want) {
			t.Errorf("quantization_config.%s is %v, want %v", key, got, want)
		}
	}
	if text, err := os.ReadFile(filepath.Join(out, "config.json")); err != nil || !bytes.Contains(text, []byte(`"llm_int8_threshold": 6.0,`)) {
		t.Errorf("llm_int8_threshold is no float in %s, %v", text, err)
	}
	if config.Heads != 4 {
		t.Error("the rest of config.json is lost")
	}
	got, err := artifact.Read(out)
	if err != nil {
		t.Fatal(err)
	}
	digest, err := artifact.Digest(model)
	if err != nil {
		t.Fatal(err)
	}
	want := artifact.Provenance{
		Schema: artifact.Schema, Type: "model", Base: digest, License: "mit", Tokenizer: "t",
		Quantization: &artifact.Quantization{Scheme: "nf4", BlockSize: 64, DoubleQuant: true, Skip: []string{"lm_head"}},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("provenance %+v\nwant %+v", got, want)
	}
	if _, err := os.Stat(filepath.Join(out, "tokenizer_config.json")); err != nil {
		t.Error(err)
	}
	if _, err := decoder.ReadConfig(out); err != nil {
		t.Errorf("the decoder refuses the result: %v", err)
	}
}

func readJSON(t *testing.T, path string, to any) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, to); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
}

func TestReport(t *testing.T) {
	out, _, err := do(t, tinyModel(t), 1, nf4)
	if err != nil {
		t.Fatal(err)
	}
	var s summary
	readJSON(t, filepath.Join(out, ReportFile), &s)
	if len(s.Tensors) != 14 || s.Quantized < 0.7 || s.Quantized > 0.9 {
		t.Errorf("%d tensors, share %v", len(s.Tensors), s.Quantized)
	}
	for _, e := range s.Tensors {
		if e.Bits < 4.1 || e.Bits > 4.4 || e.RMS < 0.05 || e.RMS > 0.15 || e.Max < e.RMS/4 || e.Max > 0.2 {
			t.Errorf("%+v is not what NF4 does", e)
		}
	}
}

func TestThreadsDoNotMatter(t *testing.T) {
	model := tinyModel(t)
	one, _, err := do(t, model, 1, nf4)
	if err != nil {
		t.Fatal(err)
	}
	three, _, err := do(t, model, 3, nf4)
	if err != nil {
		t.Fatal(err)
	}
	a, errA := artifact.Digest(one)
	b, errB := artifact.Digest(three)
	if errA != nil || errB != nil || a != b {
		t.Errorf("digests %s and %s, %v, %v", a, b, errA, errB)
	}
}

func TestRefuses(t *testing.T) {
	model := tinyModel(t)
	out, _, err := do(t, model, 1, nf4)
	if err != nil {
		t.Fatal(err)
	}
	var field *pipeline.FieldError
	if _, _, err := do(t, out, 1, nf4); !errors.As(err, &field) || field.Field != "in.model" || !strings.Contains(err.Error(), "already quantized") {
		t.Errorf("quantizing twice: %v", err)
	}
	if _, _, err := do(t, model, 1, Params{Scheme: "int3", BlockSize: 64}); !errors.As(err, &field) || field.Field != "scheme" {
		t.Errorf("scheme: %v", err)
	}
	if _, _, err := do(t, model, 1, Params{Scheme: "q8_0"}); !errors.As(err, &field) || field.Field != "scheme" || !strings.Contains(err.Error(), "rows of 40 weights") {
		t.Errorf("rows of no whole blocks: %v", err)
	}
	config := strings.Replace(tinyConfig, `"intermediate_size":40`, `"intermediate_size":48`, 1)
	if err := os.WriteFile(filepath.Join(model, "config.json"), []byte(config), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, _, err := do(t, model, 1, nf4); err == nil || !strings.Contains(err.Error(), "as config.json says") {
		t.Errorf("shapes that do not fit: %v", err)
	}
	config = strings.Replace(tinyConfig, `"num_hidden_layers":2`, `"num_hidden_layers":3`, 1)
	if err := os.WriteFile(filepath.Join(model, "config.json"), []byte(config), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, _, err := do(t, model, 1, nf4); err == nil || !strings.Contains(err.Error(), "model.layers.2.") {
		t.Errorf("a missing layer: %v", err)
	}
}

// TestNotFinite: the model is to blame, by file and tensor.
func TestNotFinite(t *testing.T) {
	model := modelOf(t, wideConfig(), tensor.BF16)
	path := filepath.Join(model, weights.SingleFile)
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	copy(raw[len(raw)-2:], []byte{0xc0, 0x7f}) // NaN, in the last of the linears
	if err := os.WriteFile(path, raw, 0o644); err != nil {
		t.Fatal(err)
	}
	for _, p := range []Params{nf4, {Scheme: "fp4", BlockSize: 64}, {Scheme: "q8_0"}} {
		_, _, err := do(t, model, 1, p)
		var field *pipeline.FieldError
		if !errors.As(err, &field) || field.Field != "in.model" || field.Hint == "" ||
			!strings.Contains(err.Error(), `model.safetensors: tensor "model.layers.1.self_attn.v_proj.weight": `) {
			t.Errorf("%s: %v", p.Scheme, err)
		}
	}
}

func TestCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	task := &pipeline.Task{
		In: map[string]string{"model": tinyModel(t)}, Out: map[string]string{"model": t.TempDir()}, Threads: 1,
		Log: slog.New(slog.DiscardHandler), Emit: func(pipeline.Fact) {},
	}
	if err := run(ctx, nf4, task); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
}

func TestEstimate(t *testing.T) {
	request := func(dir string) *pipeline.EstimateRequest {
		return &pipeline.EstimateRequest{Params: json.RawMessage(doubled), Inputs: map[string]fs.FS{"model": os.DirFS(dir)}}
	}
	e, err := Kind.Estimate(context.Background(), request(tinyModel(t)))
	if err != nil {
		t.Fatal(err)
	}
	// Two layers of 2·32·32 + 2·16·32 + 3·40·32 weights and two norms, embedding, head and the last norm.
	if want := int64(2*(2*1024+2*512+3*1280+64) + 2*48*32 + 32); e.Parameters != want || e.Memory <= resident || e.Memory > 2*resident {
		t.Errorf("%+v, want %d parameters", e, want)
	}
	if _, err := Kind.Estimate(context.Background(), request(t.TempDir())); err == nil {
		t.Error("a model without a configuration is estimated")
	}
	out, _, err := do(t, tinyModel(t), 1, nf4)
	if err != nil {
		t.Fatal(err)
	}
	var field *pipeline.FieldError
	if _, err := Kind.Estimate(context.Background(), request(out)); !errors.As(err, &field) || field.Field != "in.model" {
		t.Errorf("a quantized model: %v", err)
	}
}

func TestRealModel(t *testing.T) {
	out, _, err := do(t, shareddata.Path(t, "models/stories260K/hf"), 2, nf4)
	if err != nil {
		t.Fatal(err)
	}
	var s summary
	readJSON(t, filepath.Join(out, ReportFile), &s)
	if len(s.Tensors) != 35 || s.RMS > 0.12 {
		t.Errorf("%d tensors, error %v", len(s.Tensors), s.RMS)
	}
	c, err := decoder.ReadConfig(out)
	if err != nil {
		t.Fatal(err)
	}
	if fmt.Sprint(c.Layers) != "5" {
		t.Errorf("%d layers", c.Layers)
	}
}
