package decoder

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/pipe-run/pipe/steps/internal/jsonfile"
	"github.com/pipe-run/pipe/steps/internal/quant"
)

// family is one architecture: how its config.json is read and what it calls its
// tensors.
type family struct {
	// kind is the model_type, and class the one of its classes that predicts text.
	kind, class string
	// defaults are what transformers takes where config.json has no such key.
	defaults rawConfig
	// read completes what rawConfig.config took, or refuses what pipe does not compute.
	read  func(c *Config, r rawConfig) error
	names names
	// keys are the family's own spellings of keys, by the common one.
	keys map[string]string
}

// families lists every architecture.
func families() []family {
	return []family{llamaFamily(), mistralFamily(), qwen2Family(), qwen3Family(), gemmaFamily(), gemma2Family(), gemma3Family(), gpt2Family()}
}

// key is the family's spelling of a key of config.json.
func (f family) key(name string) string {
	if own, ok := f.keys[name]; ok {
		return own
	}
	return name
}

// family is the one that c was read for; a Config made by hand is a llama.
func (c Config) family() family {
	for _, f := range families() {
		if f.kind == c.Family {
			return f
		}
	}
	return llamaFamily()
}

// unsupported is the error of a model that pipe cannot compute.
func unsupported(format string, args ...any) error {
	var kinds []string
	for _, f := range families() {
		kinds = append(kinds, f.kind)
	}
	return fmt.Errorf("%w (pipe computes %s models; any other wants an exec step that runs a trainer of its own, say on a GPU)",
		fmt.Errorf(format, args...), strings.Join(kinds, ", "))
}

// outline is what tells architectures apart.
type outline struct {
	ModelType      string          `json:"model_type"`
	Architectures  []string        `json:"architectures"`
	Text           json.RawMessage `json:"text_config"`
	Vision         json.RawMessage `json:"vision_config"`
	Audio          json.RawMessage `json:"audio_config"`
	EncoderDecoder bool            `json:"is_encoder_decoder"`
	Experts        *int            `json:"num_experts"`
	LocalExperts   *int            `json:"num_local_experts"`
	RoutedExperts  *int            `json:"n_routed_experts"`
	Quantization   json.RawMessage `json:"quantization_config"`
}

// recognize finds the family of a config.json, and the part of the file that
// describes the decoder.
func recognize(raw []byte) (family, []byte, error) {
	var o outline
	if err := jsonfile.Decode(raw, &o); err != nil {
		return family{}, nil, err
	}
	if err := o.refuse(); err != nil {
		return family{}, nil, err
	}
	if o.ModelType == "gemma3" && !absent(o.Text) {
		return gemma3Family(), o.Text, nil
	}
	for _, f := range families() {
		switch {
		case o.ModelType == "" && slices.Contains(o.Architectures, f.class):
			return f, raw, nil
		case o.ModelType != f.kind:
		case len(o.Architectures) > 0 && !slices.Contains(o.Architectures, f.class):
			return family{}, nil, unsupported("architectures %s is not supported: of model_type %q pipe computes %s",
				strings.Join(o.Architectures, ", "), f.kind, f.class)
		default:
			return f, raw, nil
		}
	}
	if o.ModelType == "" {
		return family{}, nil, unsupported("model_type is missing and architectures names no model that pipe knows")
	}
	return family{}, nil, unsupported("model_type %q is not supported", o.ModelType)
}

// refuse names what no family has.
func (o outline) refuse() error {
	for _, n := range []*int{o.Experts, o.LocalExperts, o.RoutedExperts} {
		if n != nil && *n > 1 {
			return unsupported("model_type %q with %d experts is not supported", o.ModelType, *n)
		}
	}
	switch {
	case !absent(o.Vision):
		return unsupported("model_type %q with a vision_config is not supported: a model that reads images as well as text", o.ModelType)
	case !absent(o.Audio):
		return unsupported("model_type %q with an audio_config is not supported: a model that hears as well as reads", o.ModelType)
	case o.EncoderDecoder:
		return unsupported("model_type %q is not supported: it is an encoder with a decoder", o.ModelType)
	}
	if err := quant.CheckConfig(o.Quantization); err != nil {
		return unsupported("%w", err)
	}
	return nil
}

// activation finds a nonlinearity by its name in transformers.
func activation(key, name string) (Activation, error) {
	switch name {
	case "silu", "swish":
		return SiLU, nil
	case "gelu_pytorch_tanh", "gelu_new":
		return GELUTanh, nil
	case "gelu":
		return GELU, nil
	}
	return 0, unsupported("%s %q is not supported: want silu, gelu, gelu_new or gelu_pytorch_tanh", key, name)
}

// The kinds of layers in layer_types.
const (
	fullAttention    = "full_attention"
	slidingAttention = "sliding_attention"
)

// setWindows gives a window to the layers that layer_types, or else the rule
// sliding, says have one.
func (c *Config) setWindows(r rawConfig, sliding func(layer int) bool) error {
	if r.LayerTypes != nil && len(r.LayerTypes) != r.Layers {
		return fmt.Errorf("layer_types names %d layers, num_hidden_layers is %d", len(r.LayerTypes), r.Layers)
	}
	if r.Layers < 1 || r.Layers > maxLayers {
		return nil // check says so
	}
	windows := make([]int, r.Layers)
	for i := range windows {
		slides := sliding(i)
		if r.LayerTypes != nil {
			switch kind := r.LayerTypes[i]; kind {
			case fullAttention, slidingAttention:
				slides = kind == slidingAttention
			default:
				return unsupported("layer_types: %q is not supported", kind)
			}
		}
		if !slides {
			continue
		}
		if r.SlidingWindow == nil || *r.SlidingWindow < 1 || *r.SlidingWindow > maxPositions {
			return fmt.Errorf("layer %d slides, but sliding_window is not from 1 to %d", i, maxPositions)
		}
		if *r.SlidingWindow < c.MaxPositions { // a longer one bounds nothing
			windows[i] = *r.SlidingWindow
		}
	}
	if slices.Max(windows) > 0 {
		c.Windows = windows
	}
	return nil
}

// positive reads a factor that must be positive and finite; 0 for none.
func positive(key string, x *float64) (float64, error) {
	if x == nil {
		return 0, nil
	}
	if !(*x > 0 && *x < 1e30) {
		return 0, fmt.Errorf("%s is %g, want more than 0", key, *x)
	}
	return *x, nil
}

// just is a default that null in the file takes away.
func just[T any](v T) *T { return &v }
