package decoder

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/pipe-run/pipe/steps/internal/weights"
)

// minimal is a configuration of a family that leaves out all it may.
func minimal(kind, extra string) string {
	shape := `"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 6, "num_attention_heads": 4`
	if kind == "gpt2" {
		shape = `"n_embd": 32, "n_layer": 6, "n_head": 4`
	}
	return `{"model_type": "` + kind + `", "vocab_size": 64, "num_key_value_heads": 4, ` + shape + extra + `}`
}

// TestFamilyDefaults compares what is absent from a file with the defaults of
// transformers' configuration classes.
func TestFamilyDefaults(t *testing.T) {
	none := []int(nil)
	for kind, want := range map[string]struct {
		headDim, positions int
		tied               bool
		theta, local       float64
		windows            []int
		scale              float64
		attnCap, logitCap  float64
		act                Activation
	}{
		"llama":       {8, 2048, false, 1e4, 0, none, 0, 0, 0, SiLU},
		"mistral":     {8, 131072, false, 1e4, 0, []int{4096, 4096, 4096, 4096, 4096, 4096}, 0, 0, 0, SiLU},
		"qwen2":       {8, 32768, false, 1e4, 0, none, 0, 0, 0, SiLU},
		"qwen3":       {128, 32768, false, 1e4, 0, none, 0, 0, 0, SiLU},
		"gemma":       {256, 8192, true, 1e4, 0, none, 0, 0, 0, GELUTanh},
		"gemma2":      {256, 8192, true, 1e4, 0, []int{4096, 0, 4096, 0, 4096, 0}, 1. / 16, 50, 30, GELUTanh},
		"gemma3_text": {256, 131072, true, 1e6, 1e4, []int{4096, 4096, 4096, 4096, 4096, 0}, 1. / 16, 0, 0, GELUTanh},
		"gpt2":        {8, 1024, true, 1e4, 0, none, 0, 0, 0, GELUTanh},
	} {
		c, err := ParseConfig([]byte(minimal(kind, "")))
		if err != nil {
			t.Errorf("%s: %v", kind, err)
			continue
		}
		if c.Family != kind || c.HeadDim != want.headDim || c.MaxPositions != want.positions || c.Tied != want.tied || c.Act != want.act {
			t.Errorf("%s: %+v", kind, c)
		}
		if c.RopeTheta != want.theta || c.LocalTheta != want.local || !slices.Equal(c.Windows, want.windows) {
			t.Errorf("%s: bases %g and %g, windows %v", kind, c.RopeTheta, c.LocalTheta, c.Windows)
		}
		if c.AttnScale != want.scale || c.AttnCap != want.attnCap || c.LogitCap != want.logitCap {
			t.Errorf("%s: scale %g, caps %g and %g", kind, c.AttnScale, c.AttnCap, c.LogitCap)
		}
	}
}

// TestFamilyOptions reads what families spell differently.
func TestFamilyOptions(t *testing.T) {
	for _, x := range []struct {
		kind, extra string
		ok          func(c Config) bool
	}{
		{"mistral", `, "sliding_window": null`, func(c Config) bool { return c.Windows == nil }},
		{"mistral", `, "sliding_window": 262144`, func(c Config) bool { return c.Windows == nil }},
		{"qwen2", `, "use_sliding_window": true, "sliding_window": 9, "max_window_layers": 4`, func(c Config) bool {
			return slices.Equal(c.Windows, []int{0, 0, 0, 0, 9, 9})
		}},
		{"qwen2", `, "sliding_window": 9, "max_window_layers": 4`, func(c Config) bool { return c.Windows == nil }},
		{"qwen2", `, "attention_bias": true`, func(c Config) bool { return c.Bias[projQ] && !c.Bias[projO] }},
		{"qwen3", `, "attention_bias": true`, func(c Config) bool { return c.Bias[projQ] && c.Bias[projO] && !c.Bias[projUp] }},
		{"llama", `, "mlp_bias": true`, func(c Config) bool { return !c.Bias[projQ] && c.Bias[projGate] && c.Bias[projDown] }},
		{"gemma", `, "hidden_act": "gelu", "hidden_activation": null`, func(c Config) bool { return c.Act == GELUTanh }},
		{"gemma2", `, "attn_logit_softcapping": null, "query_pre_attn_scalar": 144`, func(c Config) bool {
			return c.AttnCap == 0 && c.LogitCap == 30 && c.AttnScale == 1./12
		}},
		{"gemma3_text", `, "sliding_window": 7, "sliding_window_pattern": 3`, func(c Config) bool {
			return slices.Equal(c.Windows, []int{7, 7, 0, 7, 7, 0})
		}},
		{"gemma3_text", `, "rope_scaling": {"rope_type": "linear", "factor": 8.0}, "rope_local_base_freq": 5000.0`, func(c Config) bool {
			return c.Rope.Factor == 8 && c.RopeTheta == 1e6 && c.LocalTheta == 5000
		}},
		{"gemma3_text", `, "rope_parameters": {"full_attention": {"rope_type": "default", "rope_theta": 2e6}}`, func(c Config) bool {
			return c.Rope == nil && c.RopeTheta == 2e6 && c.LocalTheta == 1e4
		}},
		{"gpt2", `, "n_inner": 40, "scale_attn_weights": false`, func(c Config) bool { return c.Intermediate == 40 && c.AttnScale == 1 }},
		{"gpt2", `, "activation_function": "gelu"`, func(c Config) bool { return c.Act == GELU && c.Intermediate == 128 }},
	} {
		c, err := ParseConfig([]byte(minimal(x.kind, x.extra)))
		if err != nil || !x.ok(c) {
			t.Errorf("%s%s: %+v, %v", x.kind, x.extra, c, err)
		}
	}
}

// TestGemma3WithoutVision reads the text model of a file that describes no
// vision tower.
func TestGemma3WithoutVision(t *testing.T) {
	text := minimal("gemma3_text", "")
	c, err := ParseConfig([]byte(`{"model_type": "gemma3", "architectures": ["Gemma3ForConditionalGeneration"], "text_config": ` + text + `}`))
	if err != nil || c.Family != "gemma3_text" || c.Layers != 6 {
		t.Errorf("%+v, %v", c, err)
	}
	_, err = ParseConfig([]byte(`{"model_type": "gemma3", "text_config": ` + text + `, "vision_config": {"hidden_size": 4}}`))
	if err == nil || !strings.Contains(err.Error(), `model_type "gemma3" with a vision_config is not supported`) {
		t.Errorf("error %v", err)
	}
}

func TestFamilyRefuses(t *testing.T) {
	for _, x := range []struct{ kind, extra, want string }{
		{"mamba", "", `model_type "mamba" is not supported (pipe computes llama, mistral,`},
		{"qwen2_moe", `, "num_experts": 60`, `model_type "qwen2_moe" with 60 experts is not supported`},
		{"deepseek_v3", `, "n_routed_experts": 256`, `with 256 experts`},
		{"t5", `, "is_encoder_decoder": true`, `it is an encoder with a decoder`},
		{"qwen2_5_vl", `, "vision_config": {}`, `model_type "qwen2_5_vl" is not supported`},
		{"qwen2_5_vl", `, "vision_config": {"depth": 2}`, `with a vision_config`},
		{"llama", `, "quantization_config": {"quant_method": "gptq"}`, `quant_method "gptq" is not supported: want bitsandbytes`},
		{"llama", `, "architectures": ["LlamaForSequenceClassification"]`, `LlamaForSequenceClassification is not supported: of model_type "llama" pipe computes LlamaForCausalLM`},
		{"llama", `, "hidden_act": "gelu"`, `hidden_act "gelu" is not supported in a gated MLP`},
		{"mistral", `, "layer_types": ["full_attention"]`, `layer_types is not supported`},
		{"mistral", `, "sliding_window": 0`, `sliding_window is not from 1`},
		{"qwen3", `, "layer_types": ["full_attention"]`, `layer_types names 1 layers, num_hidden_layers is 6`},
		{"qwen3", `, "layer_types": ["full_attention", "full_attention", "linear_attention", "full_attention", "full_attention", "full_attention"]`, `"linear_attention" is not supported`},
		{"qwen3", `, "layer_types": ["sliding_attention", "full_attention", "full_attention", "full_attention", "full_attention", "full_attention"]`, `layer 0 slides`},
		{"qwen2", `, "rope_scaling": {"type": "yarn", "factor": 4.0}`, `rope_type "yarn" is not supported`},
		{"qwen2", `, "rope_parameters": {"full_attention": {"rope_theta": 5.0}}`, `full_attention layers alone`},
		{"gemma", `, "hidden_act": "gelu_pytorch_tanh", "hidden_activation": "silu"`, `contradict each other`},
		{"gemma2", `, "use_bidirectional_attention": true`, `use_bidirectional_attention`},
		{"gemma2", `, "query_pre_attn_scalar": -1`, `query_pre_attn_scalar is -1`},
		{"gemma2", `, "final_logit_softcapping": 0`, `final_logit_softcapping is 0`},
		{"gemma3_text", `, "attn_logit_softcapping": 50.0`, `attn_logit_softcapping 50`},
		{"gemma3_text", `, "sliding_window_pattern": 0`, `sliding_window_pattern is 0`},
		{"gemma3_text", `, "rope_parameters": {"rope_theta": 5.0}`, `want full_attention and sliding_attention`},
		{"gemma3_text", `, "rope_local_base_freq": 0.5`, `rope_local_base_freq is 0.5`},
		{"gemma3_text", `, "rope_parameters": {"sliding_attention": {"rope_type": "linear", "factor": 2.0}}`, `sliding_attention: rope_type "linear"`},
		{"gpt2", `, "scale_attn_by_inverse_layer_idx": true`, `scale_attn_by_inverse_layer_idx`},
		{"gpt2", `, "add_cross_attention": true`, `add_cross_attention`},
		{"gpt2", `, "activation_function": "relu"`, `activation_function "relu" is not supported`},
		{"gpt2", `, "n_embd": 33`, `n_embd 33 is not a multiple of n_head 4`},
		{"gpt2", `, "n_positions": 0`, `n_positions is 0`},
		{"gpt2", `, "layer_norm_epsilon": 2`, `layer_norm_epsilon is 2`},
		{"gpt2", `, "n_embd": 9223372036854775807`, `n_embd is 9223372036854775807`},
	} {
		_, err := ParseConfig([]byte(minimal(x.kind, x.extra)))
		if err == nil || !strings.Contains(err.Error(), x.want) {
			t.Errorf("%s%s: error %v, want %q", x.kind, x.extra, err, x.want)
		}
	}
}

// TestFamilyNames compares the tensors that a configuration implies with those
// that transformers stored, whatever prefix they have.
func TestFamilyNames(t *testing.T) {
	dirs, err := filepath.Glob("testdata/families/*")
	if err != nil {
		t.Fatal(err)
	}
	for _, dir := range dirs {
		c, err := ReadConfig(dir)
		if err != nil {
			t.Fatal(err)
		}
		w, err := weights.Open(dir)
		if err != nil {
			t.Fatal(err)
		}
		var want []string
		for _, x := range c.Tensors() {
			want = append(want, x.Name)
		}
		slices.Sort(want)
		if got := w.Names(); !slices.Equal(got, want) {
			t.Errorf("%s holds\n%v, want\n%v", dir, got, want)
		}
		w.Close()
		bare := strings.HasSuffix(dir, "-bare")
		if c.bare != bare || c.Canonical().bare || strings.HasPrefix(c.Modules()[0].Tensor, "h.") != bare {
			t.Errorf("%s: %t, first module %+v", dir, c.bare, c.Modules()[0])
		}
	}
}

// TestLoadRefuses names the tensor that does not fit, with the shape of the file.
func TestLoadRefuses(t *testing.T) {
	raw, err := os.ReadFile("testdata/families/gpt2/config.json")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	abs, err := filepath.Abs("testdata/families/gpt2/model.safetensors")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(abs, filepath.Join(dir, "model.safetensors")); err != nil {
		t.Skip(err)
	}
	for change, want := range map[string]string{
		`"n_inner": 20`:               "tensor transformer.h.0.mlp.c_fc.weight has shape [16 64]; config.json implies [16 20]",
		`"n_layer": 3`:                "the model has no tensor transformer.h.2.ln_1.weight",
		`"tie_word_embeddings":false`: "the model has no tensor lm_head.weight",
	} {
		text := strings.Replace(string(raw), "{", "{"+change+",", 1)
		key := strings.SplitN(change, ":", 2)[0]
		lines := slices.DeleteFunc(strings.Split(text, "\n"), func(l string) bool { return strings.HasPrefix(strings.TrimSpace(l), key) })
		if err := os.WriteFile(filepath.Join(dir, "config.json"), []byte(strings.Join(lines, "\n")), 0o644); err != nil {
			t.Fatal(err)
		}
		if _, err := Load(dir, 1, Infer); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want %q", change, err, want)
		}
	}
}
