package quant

import (
	"encoding/json"
	"fmt"

	"github.com/pipe-run/pipe/steps/internal/jsonfile"
)

// Config is the quantization_config that tells transformers how the linears of
// a model are stored: all but the modules of skip as opt says. compute is the
// dtype, as torch calls it, that the model computes in.
func Config(opt Options, skip []string, compute string) map[string]any {
	if opt.Scheme == Q8 {
		return map[string]any{
			"config_groups": map[string]any{"group_0": map[string]any{
				"format":             "int-quantized",
				"input_activations":  nil,
				"output_activations": nil,
				"targets":            []string{"Linear"},
				"weights": map[string]any{
					"actorder": nil, "block_structure": nil, "dynamic": false, "group_size": Q8Block, "num_bits": 8,
					"observer": "minmax", "observer_kwargs": map[string]any{}, "strategy": "group", "symmetric": true, "type": "int",
				},
			}},
			"format":              "int-quantized",
			"ignore":              skip,
			"kv_cache_scheme":     nil,
			"quant_method":        "compressed-tensors",
			"quantization_status": "compressed",
		}
	}
	return map[string]any{
		"_load_in_4bit":                    true,
		"_load_in_8bit":                    false,
		"bnb_4bit_compute_dtype":           compute,
		"bnb_4bit_quant_storage":           "uint8",
		"bnb_4bit_quant_type":              opt.Scheme,
		"bnb_4bit_use_double_quant":        opt.DoubleQuant,
		"llm_int8_enable_fp32_cpu_offload": false,
		"llm_int8_has_fp16_weight":         false,
		"llm_int8_skip_modules":            skip,
		"llm_int8_threshold":               json.Number("6.0"), // transformers insists on a float
		"load_in_4bit":                     true,
		"load_in_8bit":                     false,
		"quant_method":                     "bitsandbytes",
	}
}

// storedAs is a quantization_config as far as it decides what pipe can read.
type storedAs struct {
	Method     string           `json:"quant_method"`
	In8Bit     bool             `json:"load_in_8bit"`
	FourBit    string           `json:"bnb_4bit_quant_type"`
	Groups     map[string]group `json:"config_groups"`
	CacheTypes json.RawMessage  `json:"kv_cache_scheme"`
}

// group is how compressed-tensors stores some linears.
type group struct {
	Inputs  json.RawMessage `json:"input_activations"`
	Weights *struct {
		Bits      int    `json:"num_bits"`
		Type      string `json:"type"`
		Symmetric bool   `json:"symmetric"`
		Strategy  string `json:"strategy"`
		Group     int    `json:"group_size"`
	} `json:"weights"`
}

// CheckConfig refuses, by name, a quantization_config of a config.json that
// describes weights pipe does not read. nil is a model that is not quantized.
func CheckConfig(raw json.RawMessage) error {
	if absent(raw) {
		return nil
	}
	var s storedAs
	if err := jsonfile.Decode(raw, &s); err != nil {
		return fmt.Errorf("quantization_config: %w", err)
	}
	switch s.Method {
	case "", "bitsandbytes":
		return s.checkBitsAndBytes()
	case "compressed-tensors":
		return s.checkCompressed()
	}
	return fmt.Errorf("quantization_config: quant_method %q is not supported: want bitsandbytes (4-bit) or compressed-tensors (8-bit integers in groups of %d)", s.Method, Q8Block)
}

func (s storedAs) checkBitsAndBytes() error {
	switch {
	case s.In8Bit:
		return fmt.Errorf("quantization_config: load_in_8bit of bitsandbytes is not supported: want load_in_4bit")
	case s.FourBit != "" && s.FourBit != NF4 && s.FourBit != FP4:
		return fmt.Errorf("quantization_config: bnb_4bit_quant_type %q is not supported: want %s or %s", s.FourBit, NF4, FP4)
	}
	return nil
}

func (s storedAs) checkCompressed() error {
	if !absent(s.CacheTypes) {
		return fmt.Errorf("quantization_config: kv_cache_scheme is not supported")
	}
	for name, g := range s.Groups {
		w := g.Weights
		switch {
		case !absent(g.Inputs):
			return fmt.Errorf("quantization_config: %s has input_activations: quantized activations are not supported", name)
		case w == nil:
			return fmt.Errorf("quantization_config: %s has no weights", name)
		case w.Bits != 8 || w.Type != "int" || !w.Symmetric || w.Strategy != "group" || w.Group != Q8Block:
			return fmt.Errorf("quantization_config: %s has %d-bit %s weights, strategy %q, group_size %d, symmetric %v, which is not supported: of compressed-tensors pipe reads symmetric 8-bit integers in groups of %d",
				name, w.Bits, w.Type, w.Strategy, w.Group, w.Symmetric, Q8Block)
		}
	}
	return nil
}

// absent says whether a key of a JSON object is missing or null.
func absent(raw json.RawMessage) bool { return len(raw) == 0 || string(raw) == "null" }
