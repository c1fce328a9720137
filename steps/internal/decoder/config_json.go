package decoder

import (
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"slices"
)

// rawConfig is config.json as transformers writes it, under the keys of all
// families. A family fills it with its defaults before the file is read over
// them; null then means none where a default is a pointer.
type rawConfig struct {
	VocabSize       int             `json:"vocab_size"`
	Hidden          int             `json:"hidden_size"`
	Intermediate    int             `json:"intermediate_size"`
	Layers          int             `json:"num_hidden_layers"`
	Heads           int             `json:"num_attention_heads"`
	KVHeads         *int            `json:"num_key_value_heads"`
	HeadDim         *int            `json:"head_dim"`
	MaxPositions    int             `json:"max_position_embeddings"`
	Eps             *float64        `json:"rms_norm_eps"`
	RopeTheta       *float64        `json:"rope_theta"`
	LocalTheta      *float64        `json:"rope_local_base_freq"`
	RopeScaling     json.RawMessage `json:"rope_scaling"`
	RopeParameters  json.RawMessage `json:"rope_parameters"`
	RopeInterleaved bool            `json:"rope_interleaved"`
	PartialRotary   *float64        `json:"partial_rotary_factor"`
	Act             string          `json:"hidden_act"`
	Activation      string          `json:"hidden_activation"`
	AttentionBias   bool            `json:"attention_bias"`
	MLPBias         bool            `json:"mlp_bias"`
	Tied            *bool           `json:"tie_word_embeddings"`
	BOS             json.RawMessage `json:"bos_token_id"`
	EOS             json.RawMessage `json:"eos_token_id"`

	SlidingWindow    *int     `json:"sliding_window"`
	UseSlidingWindow bool     `json:"use_sliding_window"`
	MaxWindowLayers  int      `json:"max_window_layers"`
	WindowPattern    int      `json:"sliding_window_pattern"`
	LayerTypes       []string `json:"layer_types"`
	Bidirectional    bool     `json:"use_bidirectional_attention"`
	QueryScalar      *float64 `json:"query_pre_attn_scalar"`
	AttnCap          *float64 `json:"attn_logit_softcapping"`
	LogitCap         *float64 `json:"final_logit_softcapping"`
	LogitScale       *float64 `json:"logit_scale"`
	ResidualMultiple *float64 `json:"residual_multiplier"`

	Embd           int      `json:"n_embd"`
	Layer          int      `json:"n_layer"`
	Head           int      `json:"n_head"`
	Positions      int      `json:"n_positions"`
	Inner          *int     `json:"n_inner"`
	ActFunction    string   `json:"activation_function"`
	LayerNormEps   *float64 `json:"layer_norm_epsilon"`
	ScaleAttn      *bool    `json:"scale_attn_weights"`
	ScaleByLayer   bool     `json:"scale_attn_by_inverse_layer_idx"`
	CrossAttention bool     `json:"add_cross_attention"`
}

// refuse names what no family computes.
func (r rawConfig) refuse() error {
	switch {
	case r.RopeInterleaved:
		return unsupported("rope_interleaved: true is not supported")
	case r.PartialRotary != nil && *r.PartialRotary != 1:
		return unsupported("partial_rotary_factor %g is not supported", *r.PartialRotary)
	case r.Bidirectional:
		return unsupported("use_bidirectional_attention: true is not supported")
	case r.LogitScale != nil && *r.LogitScale != 1:
		return unsupported("logit_scale %g is not supported", *r.LogitScale)
	case r.ResidualMultiple != nil && *r.ResidualMultiple != 1:
		return unsupported("residual_multiplier %g is not supported", *r.ResidualMultiple)
	}
	return nil
}

// config takes what most families call alike.
func (r rawConfig) config(f family) Config {
	c := Config{
		Family: f.kind, VocabSize: r.VocabSize, Hidden: r.Hidden, Intermediate: r.Intermediate,
		Layers: r.Layers, Heads: r.Heads, KVHeads: r.Heads, MaxPositions: r.MaxPositions,
		Gated: true, Norms: llamaNorms, RopeTheta: defaultTheta,
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
	if r.HeadDim != nil {
		c.HeadDim = *r.HeadDim
	} else if c.Heads > 0 && c.Hidden%c.Heads == 0 {
		c.HeadDim = c.Hidden / c.Heads
	}
	if r.AttentionBias {
		c.Bias[projQ], c.Bias[projK], c.Bias[projV], c.Bias[projO] = true, true, true, true
	}
	return c
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
			return nil, fmt.Errorf("%.40s is neither an id nor a list of ids", raw)
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
