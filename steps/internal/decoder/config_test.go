package decoder

import (
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/pipe-run/pipe/internal/shareddata"
)

// llama is a sound configuration; extra keys come last and win.
func llamaJSON(extra string) string {
	return `{"architectures": ["LlamaForCausalLM"], "model_type": "llama", "vocab_size": 100, "hidden_size": 32,
		"intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "max_position_embeddings": 64,
		"rms_norm_eps": 1e-6` + extra + `}`
}

func TestParseConfig(t *testing.T) {
	c, err := ParseConfig([]byte(llamaJSON(`, "num_key_value_heads": 2, "head_dim": 16, "tie_word_embeddings": true,
		"bos_token_id": 1, "eos_token_id": [7, 3, 999], "rope_theta": 500000.0, "hidden_act": "silu",
		"attention_bias": false, "rope_scaling": null, "sliding_window": null`)))
	if err != nil {
		t.Fatal(err)
	}
	if c.KVHeads != 2 || c.HeadDim != 16 || !c.Tied || c.BOS != 1 || !slices.Equal(c.Stop, []int32{3, 7}) || c.RopeTheta != 5e5 {
		t.Errorf("configuration %+v", c)
	}
	c, err = ParseConfig([]byte(llamaJSON("")))
	if err != nil {
		t.Fatal(err)
	}
	if c.KVHeads != 4 || c.HeadDim != 8 || c.Tied || c.BOS != -1 || c.RopeTheta != 1e4 || c.Rope != nil {
		t.Errorf("defaults %+v", c)
	}
}

// TestRopeSpellings reads one scaling in the old and in the new spelling.
func TestRopeSpellings(t *testing.T) {
	scaling := `"factor": 32.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 8192`
	var all []Config
	for _, extra := range []string{
		`, "rope_theta": 5e5, "rope_scaling": {"rope_type": "llama3", ` + scaling + `}`,
		`, "rope_theta": 5e5, "rope_scaling": {"type": "llama3", ` + scaling + `}`,
		`, "rope_parameters": {"rope_theta": 5e5, "rope_type": "llama3", ` + scaling + `}`,
	} {
		c, err := ParseConfig([]byte(llamaJSON(extra)))
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, c)
	}
	for _, c := range all {
		if c.RopeTheta != 5e5 || c.Rope == nil || *c.Rope != *all[0].Rope {
			t.Errorf("%+v differs from %+v", c.Rope, all[0].Rope)
		}
	}
}

// TestLlama3Frequencies compares with the factors that llama.cpp stores for the
// same scaling, worked out by hand: short wavelengths stay, long ones are
// divided, and between them the factor is 1/((1-s)/32 + s).
func TestLlama3Frequencies(t *testing.T) {
	c := Config{HeadDim: 64, RopeTheta: 5e5, Rope: &RopeScaling{
		Kind: "llama3", Factor: 32, LowFreqFactor: 1, HighFreqFactor: 4, OriginalPosition: 8192,
	}}
	plain := Config{HeadDim: 64, RopeTheta: 5e5}.inverseFrequencies()
	var kept, blended, divided int
	for i, f := range c.inverseFrequencies() {
		exact := math.Pow(5e5, -float64(2*i)/64)
		if math.Abs(plain[i]-exact) > 1e-14 {
			t.Errorf("frequency %d is %v, want %v", i, plain[i], exact)
		}
		wave := 2 * math.Pi / exact
		factor := 1.0
		switch {
		case wave < 2048:
			kept++
		case wave > 8192:
			factor, divided = 32, divided+1
		default:
			s := (8192/wave - 1) / 3
			factor, blended = 1/((1-s)/32+s), blended+1
		}
		if math.Abs(f*factor/exact-1) > 1e-12 {
			t.Errorf("frequency %d is %v, want %v", i, f, exact/factor)
		}
	}
	if kept == 0 || blended == 0 || divided == 0 {
		t.Errorf("%d kept, %d blended, %d divided: want some of each", kept, blended, divided)
	}
	c.Rope = &RopeScaling{Kind: "linear", Factor: 4}
	if f := c.inverseFrequencies()[0]; f != 0.25 {
		t.Errorf("linear scaling gives %v, want 0.25", f)
	}
}

func TestConfigRefuses(t *testing.T) {
	for extra, want := range map[string]string{
		`, "model_type": "mixtral", "num_local_experts": 8`:    `model_type "mixtral" with 8 experts is not supported`,
		`, "model_type": "phi3"`:                               `model_type "phi3" is not supported (pipe computes llama, mistral, qwen2, qwen3, gemma, gemma2, gemma3_text, gpt2 models; any other wants an exec step`,
		`, "model_type": "", "architectures": null`:            "model_type is missing",
		`, "architectures": ["MistralForCausalLM"]`:            "MistralForCausalLM",
		`, "hidden_act": "gelu"`:                               `hidden_act "gelu"`,
		`, "sliding_window": 4096`:                             "sliding_window",
		`, "partial_rotary_factor": 0.5`:                       "partial_rotary_factor",
		`, "rope_interleaved": true`:                           "rope_interleaved",
		`, "rope_scaling": {"rope_type": "yarn"}`:              `rope_type "yarn"`,
		`, "rope_scaling": {"rope_type": "linear"}`:            "factor is 0",
		`, "rope_scaling": {"rope_type": "llama3"}`:            "llama3 wants",
		`, "rope_scaling": 7`:                                  "rope_scaling",
		`, "rope_parameters": {"rope_theta": -1}`:              "rope_theta is -1",
		`, "rope_theta": 0`:                                    "rope_theta is 0",
		`, "vocab_size": 0`:                                    "vocab_size is 0",
		`, "vocab_size": 99999999999`:                          "vocab_size is 99999999999",
		`, "hidden_size": -4`:                                  "hidden_size is -4",
		`, "num_hidden_layers": 100000`:                        "num_hidden_layers is 100000",
		`, "num_key_value_heads": 3`:                           "not a multiple",
		`, "num_attention_heads": 5, "num_key_value_heads": 5`: "head_dim is absent",
		`, "head_dim": 7`:                                      "head_dim is 7",
		`, "rms_norm_eps": 0`:                                  "rms_norm_eps",
		`, "eos_token_id": "x"`:                                "eos_token_id",
		`, "hidden_size": "x"`:                                 "hidden_size",
		`, "max_position_embeddings": 100000000000`:            "max_position_embeddings",
	} {
		if _, err := ParseConfig([]byte(llamaJSON(extra))); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want %q", extra, err, want)
		}
	}
}

func FuzzParseConfig(f *testing.F) {
	f.Add([]byte(llamaJSON("")))
	f.Add([]byte(llamaJSON(`, "rope_scaling": {"rope_type": "llama3", "factor": 8, "low_freq_factor": 1, "high_freq_factor": 4, "original_max_position_embeddings": 8192}`)))
	f.Add([]byte(llamaJSON(`, "eos_token_id": [1, 2], "bos_token_id": 9e99`)))
	for _, family := range families() {
		f.Add([]byte(minimal(family.kind, "")))
	}
	f.Add([]byte(minimal("gemma3_text", `, "rope_parameters": {"sliding_attention": {"rope_theta": 5}, "full_attention": {"factor": 2, "type": "linear"}}`)))
	f.Fuzz(func(t *testing.T, raw []byte) {
		c, err := ParseConfig(raw)
		if err != nil {
			return
		}
		for _, freq := range c.inverseFrequencies() {
			if !(freq > 0 && freq <= 1) {
				t.Errorf("frequency %v", freq)
			}
		}
		if c.Params() <= 0 {
			t.Errorf("%d weights", c.Params())
		}
	})
}

func TestReadConfigStops(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"config.json":            llamaJSON(`, "eos_token_id": 5`),
		"generation_config.json": `{"eos_token_id": [9, 5, 2]}`,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	c, err := ReadConfig(dir)
	if err != nil || !slices.Equal(c.Stop, []int32{2, 5, 9}) {
		t.Errorf("stop ids %v, %v", c.Stop, err)
	}
}

// TestParams compares with the published size of SmolLM2-135M.
func TestParams(t *testing.T) {
	c, err := ReadConfig(shareddata.Path(t, "models/smollm2-135m-instruct-config"))
	if err != nil {
		t.Fatal(err)
	}
	var sum int64
	for _, tensor := range c.Tensors() {
		n := int64(1)
		for _, d := range tensor.Shape {
			n *= int64(d)
		}
		sum += n
	}
	if c.Params() != 134515008 || sum != c.Params() {
		t.Errorf("%d weights, and tensors of %d; want 134515008", c.Params(), sum)
	}
}
