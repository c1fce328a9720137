// Package decoder runs and differentiates decoder-only transformers on the CPU:
// the families that families lists, each in a file of its own that turns its
// config.json into a Config and names its tensors.
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

	"io/fs"
	"math"
	"os"

	"github.com/pipe-run/pipe/steps/internal/jsonfile"
	"github.com/pipe-run/pipe/steps/internal/weights"
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

	// bare says that the files name tensors without the family's base prefix,
	// such as "wte.weight" for "transformer.wte.weight".
	bare bool
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
	maxTheta       = 1e12
)

// ReadConfig reads dir/config.json and the stop ids of dir/generation_config.json,
// which is optional. Architectures and options that would need other arithmetic
// are refused by name.
//
// Where the weights lie beside it, they say whether tensors are named with the
// family's base prefix.
func ReadConfig(dir string) (Config, error) {
	c, err := ReadConfigFS(os.DirFS(dir))
	if err != nil {
		return Config{}, err
	}
	if names, err := weights.List(dir); err == nil {
		c.locate(names)
	} // whoever needs the weights opens them and says what is wrong
	return c, nil
}

// ReadConfigFS reads the configuration among the files of a model, as
// ReadConfig does, but for the weights.
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
	if err := jsonfile.Decode(raw, &gen); err != nil {
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
	f, raw, err := recognize(raw)
	if err != nil {
		return Config{}, err
	}
	r := f.defaults
	if err := jsonfile.Decode(raw, &r); err != nil {
		return Config{}, err
	}
	if err := r.refuse(); err != nil {
		return Config{}, err
	}
	c := r.config(f)
	if err := f.read(&c, r); err != nil {
		return Config{}, err
	}
	if err := c.check(); err != nil {
		return Config{}, err
	}
	return c, c.readIDs(r)
}

// check bounds every size and every factor.
func (c Config) check() error {
	key := c.family().key
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
			return fmt.Errorf("%s is %d, want 1 to %d", key(s.name), s.got, s.max)
		}
	}
	switch {
	case c.Heads%c.KVHeads != 0:
		return fmt.Errorf("num_attention_heads %d is not a multiple of num_key_value_heads %d", c.Heads, c.KVHeads)
	case c.HeadDim == 0:
		return fmt.Errorf("%s %d is not a multiple of %s %d and head_dim is absent", key("hidden_size"), c.Hidden, key("num_attention_heads"), c.Heads)
	case c.HeadDim < 2 || c.HeadDim > 4096 || c.HeadDim%2 != 0:
		return fmt.Errorf("head_dim is %d, want an even number from 2 to 4096", c.HeadDim)
	case !(c.Eps > 0 && c.Eps < 1):
		return fmt.Errorf("%s is %g, want between 0 and 1", key("rms_norm_eps"), c.Eps)
	case !(c.RopeTheta >= 1 && c.RopeTheta <= maxTheta):
		return fmt.Errorf("rope_theta is %g, want 1 to 1e12", c.RopeTheta)
	}
	return nil
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

// attnScale is the factor on attention scores, 1/sqrt(HeadDim) unless AttnScale
// says otherwise.
func (c Config) attnScale() float32 {
	if c.AttnScale != 0 {
		return float32(c.AttnScale)
	}
	return float32(1 / math.Sqrt(float64(c.HeadDim)))
}
