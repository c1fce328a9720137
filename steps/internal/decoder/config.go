// Package decoder runs and differentiates decoder-only transformers of the
// llama family on the CPU: RMSNorm, rotary positions, grouped-query attention
// and SwiGLU, with a tied or untied output head.
//
// Activations are row-major [tokens, width] float32 buffers. Several documents
// may lie one after another in one batch; a token attends only to itself and
// to earlier tokens of its own document. All sums run in a fixed order, so that
// results do not depend on the number of threads.
package decoder

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"slices"
	"strings"
)

// Config is what a model's config.json says about its shape and arithmetic.
type Config struct {
	// Family is the architecture's name in config.json (model_type).
	Family       string
	VocabSize    int
	Hidden       int
	Intermediate int
	Layers       int
	Heads        int
	KVHeads      int
	HeadDim      int
	MaxPositions int

	// Norm is the kind of all norms, and Eps what they add to the mean square
	// or the variance.
	Norm NormKind
	Eps  float64
	// Norms says which norms a block has; NormAttn and NormMLP always.
	Norms [numNorms]bool
	// Bias says which linears of a block add a bias.
	Bias [numProj]bool
	// FusedQKV makes the q projection compute queries, keys and values side by
	// side; k and v projections are then absent.
	FusedQKV bool
	// Act is the activation of the MLP. Gated: Down(act(Gate(h))·Up(h));
	// otherwise there is no gate projection: Down(act(Up(h))).
	Act   Activation
	Gated bool

	// LearnedPositions adds a trained vector for every position to the
	// embeddings; nothing is rotated then.
	LearnedPositions bool
	// RopeTheta is the base of the rotary frequencies.
	RopeTheta float64
	// Rope rescales the rotary frequencies; nil for none.
	Rope *RopeScaling
	// LocalTheta is the base, never rescaled, in layers with a window; 0 for
	// RopeTheta and Rope there too.
	LocalTheta float64
	// Windows [Layers] is how many tokens, itself included, a token of a layer
	// attends to at most; 0 is no bound. nil: no layer has a window.
	Windows []int
	// AttnScale is the factor on attention scores; 0 for 1/sqrt(HeadDim).
	AttnScale float64
	// AttnCap and LogitCap bound scores and logits: x becomes cap·tanh(x/cap);
	// 0 for no bound.
	AttnCap, LogitCap float64
	// EmbedScale multiplies the embeddings of tokens; 0 for 1.
	EmbedScale float64

	// Tied says that the output head is the embedding matrix.
	Tied bool
	// Stop holds the end-of-sequence ids of config.json and generation_config.json, sorted.
	Stop []int32
	// BOS is the beginning-of-sequence id, or -1.
	BOS int32
}

// RopeScaling is the frequency scaling of Llama 3.1 and later ("llama3") or
// plain position interpolation ("linear"), which uses Factor alone.
type RopeScaling struct {
	Kind             string
	Factor           float64
	LowFreqFactor    float64
	HighFreqFactor   float64
	OriginalPosition float64
}

// Bounds on what a configuration may ask for, so that a hostile file cannot
// make sizes overflow or demand absurd memory before weights are checked.
const (
	maxConfigBytes = 4 << 20
	maxDim         = 1 << 20
	maxLayers      = 1 << 12
	maxVocab       = 1 << 22
	maxPositions   = 1 << 26
)

// rawConfig is config.json as transformers writes it. rope_parameters is the
// spelling of transformers 5, rope_theta with rope_scaling the older one.
type rawConfig struct {
	ModelType        string          `json:"model_type"`
	Architectures    []string        `json:"architectures"`
	VocabSize        int             `json:"vocab_size"`
	Hidden           int             `json:"hidden_size"`
	Intermediate     int             `json:"intermediate_size"`
	Layers           int             `json:"num_hidden_layers"`
	Heads            int             `json:"num_attention_heads"`
	KVHeads          *int            `json:"num_key_value_heads"`
	HeadDim          *int            `json:"head_dim"`
	MaxPositions     int             `json:"max_position_embeddings"`
	Eps              *float64        `json:"rms_norm_eps"`
	RopeTheta        *float64        `json:"rope_theta"`
	RopeScaling      json.RawMessage `json:"rope_scaling"`
	RopeParameters   json.RawMessage `json:"rope_parameters"`
	RopeInterleaved  bool            `json:"rope_interleaved"`
	PartialRotary    *float64        `json:"partial_rotary_factor"`
	Activation       string          `json:"hidden_act"`
	AttentionBias    bool            `json:"attention_bias"`
	MLPBias          bool            `json:"mlp_bias"`
	SlidingWindow    *int            `json:"sliding_window"`
	Tied             *bool           `json:"tie_word_embeddings"`
	BOS              json.RawMessage `json:"bos_token_id"`
	EOS              json.RawMessage `json:"eos_token_id"`
	LogitScale       *float64        `json:"logit_scale"`
	ResidualMultiple *float64        `json:"residual_multiplier"`
}

// ReadConfig reads dir/config.json and the stop ids of dir/generation_config.json,
// which is optional. Architectures and options that would need other arithmetic
// are refused by name.
func ReadConfig(dir string) (Config, error) { return ReadConfigFS(os.DirFS(dir)) }

// ReadConfigFS reads the configuration among the files of a model, as
// ReadConfig does.
func ReadConfigFS(files fs.FS) (Config, error) {
	if files == nil {
		return Config{}, errors.New("reading model configuration: no model is given")
	}
	raw, err := readBounded(files, "config.json")
	if err != nil {
		return Config{}, fmt.Errorf("reading model configuration: %w", err)
	}
	c, err := ParseConfig(raw)
	if err != nil {
		return Config{}, fmt.Errorf("config.json: %w", err)
	}
	raw, err = readBounded(files, "generation_config.json")
	if errors.Is(err, fs.ErrNotExist) {
		return c, nil
	}
	if err != nil {
		return Config{}, fmt.Errorf("reading generation configuration: %w", err)
	}
	var gen struct {
		EOS json.RawMessage `json:"eos_token_id"`
	}
	if err := json.Unmarshal(raw, &gen); err != nil {
		return Config{}, fmt.Errorf("generation_config.json: %w", err)
	}
	stop, err := idList(gen.EOS, c.VocabSize)
	if err != nil {
		return Config{}, fmt.Errorf("generation_config.json: eos_token_id: %w", err)
	}
	c.Stop = sortedIDs(append(stop, c.Stop...))
	return c, nil
}

// ParseConfig reads the bytes of a config.json.
func ParseConfig(raw []byte) (Config, error) {
	var r rawConfig
	if err := json.Unmarshal(raw, &r); err != nil {
		return Config{}, err
	}
	if err := r.refuse(); err != nil {
		return Config{}, err
	}
	c := Config{
		Family: "llama", Gated: true, Norms: llamaNorms,
		VocabSize: r.VocabSize, Hidden: r.Hidden, Intermediate: r.Intermediate, Layers: r.Layers,
		Heads: r.Heads, KVHeads: r.Heads, MaxPositions: r.MaxPositions,
		Eps: 1e-6, RopeTheta: 10000,
	}
	if r.KVHeads != nil {
		c.KVHeads = *r.KVHeads
	}
	if r.Eps != nil {
		c.Eps = *r.Eps
	}
	if r.Tied != nil {
		c.Tied = *r.Tied
	}
	if r.RopeTheta != nil {
		c.RopeTheta = *r.RopeTheta
	}
	if c.MaxPositions == 0 {
		c.MaxPositions = 2048
	}
	if r.HeadDim != nil {
		c.HeadDim = *r.HeadDim
	} else if c.Heads > 0 && c.Hidden%c.Heads == 0 {
		c.HeadDim = c.Hidden / c.Heads
	}
	if err := c.check(); err != nil {
		return Config{}, err
	}
	if err := c.readRope(r); err != nil {
		return Config{}, err
	}
	return c, c.readIDs(r)
}

// refuse names what this decoder does not compute.
func (r rawConfig) refuse() error {
	switch {
	case r.ModelType != "llama" && r.ModelType != "":
		return fmt.Errorf("model_type %q is not supported: pipe computes the llama architecture", r.ModelType)
	case r.ModelType == "" && !slices.Contains(r.Architectures, "LlamaForCausalLM"):
		return fmt.Errorf("model_type is missing and architectures does not name LlamaForCausalLM")
	case len(r.Architectures) > 0 && !slices.Contains(r.Architectures, "LlamaForCausalLM"):
		return fmt.Errorf("architectures %s is not supported: pipe computes LlamaForCausalLM", strings.Join(r.Architectures, ", "))
	case r.Activation != "" && r.Activation != "silu" && r.Activation != "swish":
		return fmt.Errorf("hidden_act %q is not supported: llama models use \"silu\"", r.Activation)
	case r.AttentionBias:
		return fmt.Errorf("attention_bias: true is not supported")
	case r.MLPBias:
		return fmt.Errorf("mlp_bias: true is not supported")
	case r.RopeInterleaved:
		return fmt.Errorf("rope_interleaved: true is not supported")
	case r.PartialRotary != nil && *r.PartialRotary != 1:
		return fmt.Errorf("partial_rotary_factor %g is not supported", *r.PartialRotary)
	case r.SlidingWindow != nil:
		return fmt.Errorf("sliding_window %d is not supported", *r.SlidingWindow)
	case r.LogitScale != nil && *r.LogitScale != 1:
		return fmt.Errorf("logit_scale %g is not supported", *r.LogitScale)
	case r.ResidualMultiple != nil && *r.ResidualMultiple != 1:
		return fmt.Errorf("residual_multiplier %g is not supported", *r.ResidualMultiple)
	}
	return nil
}

// check bounds every size.
func (c Config) check() error {
	sizes := []struct {
		name     string
		got, max int
	}{
		{"vocab_size", c.VocabSize, maxVocab},
		{"hidden_size", c.Hidden, maxDim},
		{"intermediate_size", c.Intermediate, maxDim},
		{"num_hidden_layers", c.Layers, maxLayers},
		{"num_attention_heads", c.Heads, maxDim},
		{"num_key_value_heads", c.KVHeads, maxDim},
		{"max_position_embeddings", c.MaxPositions, maxPositions},
	}
	for _, s := range sizes {
		if s.got < 1 || s.got > s.max {
			return fmt.Errorf("%s is %d, want 1 to %d", s.name, s.got, s.max)
		}
	}
	switch {
	case c.Heads%c.KVHeads != 0:
		return fmt.Errorf("num_attention_heads %d is not a multiple of num_key_value_heads %d", c.Heads, c.KVHeads)
	case c.HeadDim == 0:
		return fmt.Errorf("hidden_size %d is not a multiple of num_attention_heads %d and head_dim is absent", c.Hidden, c.Heads)
	case c.HeadDim < 2 || c.HeadDim > 4096 || c.HeadDim%2 != 0:
		return fmt.Errorf("head_dim is %d, want an even number from 2 to 4096", c.HeadDim)
	case !(c.Eps > 0 && c.Eps < 1):
		return fmt.Errorf("rms_norm_eps is %g, want between 0 and 1", c.Eps)
	case !(c.RopeTheta >= 1 && c.RopeTheta <= 1e12):
		return fmt.Errorf("rope_theta is %g, want 1 to 1e12", c.RopeTheta)
	}
	return nil
}

// readIDs reads the special ids.
func (c *Config) readIDs(r rawConfig) error {
	stop, err := idList(r.EOS, c.VocabSize)
	if err != nil {
		return fmt.Errorf("eos_token_id: %w", err)
	}
	c.Stop = sortedIDs(stop)
	bos, err := idList(r.BOS, c.VocabSize)
	if err != nil {
		return fmt.Errorf("bos_token_id: %w", err)
	}
	c.BOS = -1
	if len(bos) > 0 {
		c.BOS = bos[0]
	}
	return nil
}

// idList reads null, an id or a list of ids. Ids outside the vocabulary, which
// some published configurations hold, are dropped: they can never be sampled.
func idList(raw json.RawMessage, vocab int) ([]int32, error) {
	if len(raw) == 0 || string(raw) == "null" {
		return nil, nil
	}
	var many []int64
	if err := json.Unmarshal(raw, &many); err != nil {
		var one int64
		if err := json.Unmarshal(raw, &one); err != nil {
			return nil, fmt.Errorf("want an id or a list of ids")
		}
		many = []int64{one}
	}
	var ids []int32
	for _, id := range many {
		if id >= 0 && id < int64(vocab) {
			ids = append(ids, int32(id))
		}
	}
	return ids, nil
}

func sortedIDs(ids []int32) []int32 {
	slices.Sort(ids)
	return slices.Compact(ids)
}

// readBounded reads a small file of a model.
func readBounded(files fs.FS, name string) ([]byte, error) {
	f, err := files.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	raw, err := io.ReadAll(io.LimitReader(f, maxConfigBytes+1))
	if err == nil && len(raw) > maxConfigBytes {
		err = fmt.Errorf("%s is larger than %d bytes", name, maxConfigBytes)
	}
	return raw, err
}

// Params returns the number of weights, the head counted once when tied.
func (c Config) Params() int64 {
	var n int64
	for _, t := range c.Tensors() {
		size := int64(1)
		for _, d := range t.Shape {
			size *= int64(d)
		}
		n += size
	}
	return n
}

// attnScale is the factor on attention scores, 1/sqrt(HeadDim).
func (c Config) attnScale() float32 {
	if c.AttnScale != 0 {
		return float32(c.AttnScale)
	}
	return float32(1 / math.Sqrt(float64(c.HeadDim)))
}
