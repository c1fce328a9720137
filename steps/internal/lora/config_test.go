package lora

import (
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pipe-run/pipe/steps/internal/safetensors"
	"github.com/pipe-run/pipe/steps/internal/tensor"
)

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
