package decoder

import (
	"encoding/json"
	"fmt"
	"math"
)

// gemmaFamily is Gemma 1 and CodeGemma: llama with norms of 1+w, GeGLU and scaled
// embeddings.
func gemmaFamily() family {
	return family{
		kind: "gemma", class: "GemmaForCausalLM", names: llamaNames(), read: readGemma,
		defaults: rawConfig{
			MaxPositions: 8192, KVHeads: just(16), HeadDim: just(256), Eps: just(1e-6), Tied: just(true),
			Act: "gelu_pytorch_tanh",
		},
	}
}

func readGemma(c *Config, r rawConfig) error {
	c.gemma()
	act := r.Act
	if act == "gelu" { // the first releases said so and meant the tanh form
		act = "gelu_pytorch_tanh"
	}
	if r.Activation != "" && r.Activation != act {
		return fmt.Errorf("hidden_act %q and hidden_activation %q contradict each other", r.Act, r.Activation)
	}
	r.Act = act
	return c.readCommon(r)
}

// gemma sets what all generations share. The factor on embeddings is rounded
// to float32, as transformers rounds it to the dtype that it computes in.
func (c *Config) gemma() {
	c.Norm = RMSPlusOne
	c.EmbedScale = float64(float32(math.Sqrt(float64(c.Hidden))))
}

// gemma2Family is Gemma 2: norms after attention and MLP too, capped scores and
// logits, and a window in every other layer.
func gemma2Family() family {
	f := gemmaFamily()
	f.kind, f.class, f.names, f.read = "gemma2", "Gemma2ForCausalLM", gemmaNames(), readGemma2
	f.defaults = rawConfig{
		MaxPositions: 8192, KVHeads: just(4), HeadDim: just(256), Eps: just(1e-6), Tied: just(true),
		Activation: "gelu_pytorch_tanh", QueryScalar: just(256.0), SlidingWindow: just(4096),
		AttnCap: just(50.0), LogitCap: just(30.0),
	}
	return f
}

// gemmaNames are llama's but for the four norms: post_attention_layernorm, which
// llama calls the norm before its MLP, follows the attention here.
func gemmaNames() names {
	n := llamaNames()
	n.norms[NormAttnOut] = "post_attention_layernorm"
	n.norms[NormMLP] = "pre_feedforward_layernorm"
	n.norms[NormMLPOut] = "post_feedforward_layernorm"
	return n
}

func readGemma2(c *Config, r rawConfig) error {
	if err := c.setWindows(r, func(i int) bool { return i%2 == 0 }); err != nil {
		return err
	}
	if err := c.readRope(r); err != nil {
		return err
	}
	return c.readGemma23(r)
}

// readGemma23 reads what Gemma 2 and 3 share.
func (c *Config) readGemma23(r rawConfig) (err error) {
	c.gemma()
	c.Norms[NormAttnOut], c.Norms[NormMLPOut] = true, true
	if c.Act, err = gated("hidden_activation", r.Activation); err != nil {
		return err
	}
	scalar, err := positive("query_pre_attn_scalar", r.QueryScalar)
	if err != nil {
		return err
	}
	if scalar > 0 {
		c.AttnScale = 1 / math.Sqrt(scalar)
	}
	if c.AttnCap, err = positive("attn_logit_softcapping", r.AttnCap); err != nil {
		return err
	}
	c.LogitCap, err = positive("final_logit_softcapping", r.LogitCap)
	return err
}

// gemma3Family is the text model of Gemma 3: Gemma 2 with norms on the heads of
// queries and keys, five layers with a window to one without, and rotary
// settings for each of both.
func gemma3Family() family {
	f := gemma2Family()
	f.kind, f.class, f.read = "gemma3_text", "Gemma3ForCausalLM", readGemma3
	f.defaults.VocabSize, f.defaults.Heads, f.defaults.MaxPositions = 262208, 8, 131072
	f.defaults.AttnCap, f.defaults.LogitCap = nil, nil
	f.defaults.RopeTheta, f.defaults.LocalTheta = just(1e6), just(1e4)
	f.defaults.WindowPattern = 6
	return f
}

func readGemma3(c *Config, r rawConfig) error {
	c.Norms[NormQ], c.Norms[NormK] = true, true
	if r.AttnCap != nil { // transformers reads the key and computes without it
		return unsupported("attn_logit_softcapping %g is not supported in the gemma3 architecture", *r.AttnCap)
	}
	if r.WindowPattern < 1 {
		return fmt.Errorf("sliding_window_pattern is %d, want at least 1", r.WindowPattern)
	}
	if err := c.setWindows(r, func(i int) bool { return (i+1)%r.WindowPattern != 0 }); err != nil {
		return err
	}
	if err := c.readGemma3Rope(r); err != nil {
		return err
	}
	return c.readGemma23(r)
}

// readGemma3Rope reads the rotary settings of both kinds of layers: from
// rope_parameters, which holds an object for each since transformers 5, or from
// rope_theta, rope_scaling and rope_local_base_freq.
func (c *Config) readGemma3Rope(r rawConfig) error {
	if r.LocalTheta != nil {
		c.LocalTheta = *r.LocalTheta
	}
	var both struct {
		Full    json.RawMessage `json:"full_attention"`
		Sliding json.RawMessage `json:"sliding_attention"`
	}
	if !absent(r.RopeParameters) {
		if err := json.Unmarshal(r.RopeParameters, &both); err != nil {
			return fmt.Errorf("rope_parameters: %w", err)
		}
		if absent(both.Full) && absent(both.Sliding) {
			return fmt.Errorf("rope_parameters: want full_attention and sliding_attention")
		}
	}
	if !absent(both.Full) {
		if err := c.setRope("rope_parameters.full_attention", both.Full); err != nil {
			return err
		}
	}
	if !absent(r.RopeScaling) {
		if err := c.setRope("rope_scaling", r.RopeScaling); err != nil {
			return err
		}
	}
	if !absent(both.Sliding) {
		p, err := parseRope("rope_parameters.sliding_attention", both.Sliding)
		if err != nil {
			return err
		}
		if p.Kind != "" && p.Kind != "default" {
			return unsupported("rope_parameters.sliding_attention: rope_type %q is not supported: want default", p.Kind)
		}
		if p.Theta != nil {
			c.LocalTheta = *p.Theta
		}
	}
	if !(c.LocalTheta >= 1 && c.LocalTheta <= maxTheta) {
		return fmt.Errorf("rope_local_base_freq is %g, want 1 to 1e12", c.LocalTheta)
	}
	return nil
}
