package quant

import (
	"encoding/json"
	"strings"
	"testing"
)

func TestConfigIsRead(t *testing.T) {
	for _, scheme := range []string{NF4, FP4, Q8} {
		raw, err := json.Marshal(Config(Options{Scheme: scheme}, []string{"lm_head"}, "bfloat16"))
		if err != nil {
			t.Fatal(err)
		}
		if err := CheckConfig(raw); err != nil {
			t.Errorf("%s: %v", scheme, err)
		}
	}
	for _, text := range []string{``, `null`, `{"load_in_4bit": true}`} {
		if err := CheckConfig(json.RawMessage(text)); err != nil {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func TestCheckConfigRefuses(t *testing.T) {
	group := `{"quant_method":"compressed-tensors","config_groups":{"g":{"input_activations":null,"weights":{"num_bits":8,"type":"int","symmetric":true,"strategy":"group","group_size":32}}}}`
	if err := CheckConfig(json.RawMessage(group)); err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]string{
		`[]`:                      "quantization_config",
		`{"quant_method":"gptq"}`: `"gptq"`,
		`{"quant_method":"bitsandbytes","load_in_8bit":true}`:                           "load_in_8bit",
		`{"quant_method":"bitsandbytes","bnb_4bit_quant_type":"af4"}`:                   `"af4"`,
		strings.Replace(group, `"num_bits":8`, `"num_bits":4`, 1):                       "4-bit",
		strings.Replace(group, `"int"`, `"float"`, 1):                                   "float",
		strings.Replace(group, `"symmetric":true`, `"zero":1`, 1):                       "symmetric",
		strings.Replace(group, `"group"`, `"channel"`, 1):                               `"channel"`,
		strings.Replace(group, `:32`, `:128`, 1):                                        "128",
		strings.Replace(group, `"input_activations":null`, `"input_activations":{}`, 1): "input_activations",
		strings.Replace(group, `"weights"`, `"other"`, 1):                               "no weights",
		strings.Replace(group, `{"q`, `{"kv_cache_scheme":{},"q`, 1):                    "kv_cache_scheme",
	} {
		if err := CheckConfig(json.RawMessage(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want one with %q", text, err, want)
		}
	}
}
