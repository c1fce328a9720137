package decoder

// llamaNames is how llama models, and most after them, call their tensors.
func llamaNames() names {
	return names{
		base: "model.", embed: EmbedName, norm: NormName, head: HeadName,
		block: "model.layers.%d.",
		proj: [numProj]string{
			"self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj",
			"mlp.gate_proj", "mlp.up_proj", "mlp.down_proj",
		},
		norms: [numNorms]string{
			NormAttn: "input_layernorm", NormMLP: "post_attention_layernorm",
			NormQ: "self_attn.q_norm", NormK: "self_attn.k_norm",
		},
	}
}

// llamaFamily is Llama 1 to 3.3, and what has its shape: TinyLlama, CodeLlama, SmolLM
// and SmolLM2, …
func llamaFamily() family {
	return family{
		kind: "llama", class: "LlamaForCausalLM", names: llamaNames(), read: readLlama,
		defaults: rawConfig{MaxPositions: 2048, Eps: just(1e-6), Act: "silu"},
	}
}

func readLlama(c *Config, r rawConfig) error {
	if r.MLPBias {
		c.Bias[projGate], c.Bias[projUp], c.Bias[projDown] = true, true, true
	}
	if r.SlidingWindow != nil {
		return unsupported("sliding_window %d is not supported in the llama architecture (in that of mistral it is)", *r.SlidingWindow)
	}
	return c.readCommon(r)
}

// readCommon reads what llama and its followers spell alike: the gated
// activation and the rotary settings.
func (c *Config) readCommon(r rawConfig) (err error) {
	if c.Act, err = gated("hidden_act", r.Act); err != nil {
		return err
	}
	return c.readRope(r)
}

// gated finds the nonlinearity of a gated MLP.
func gated(key, name string) (Activation, error) {
	a, err := activation(key, name)
	if err == nil && a == GELU {
		err = unsupported("%s %q is not supported in a gated MLP: want silu or gelu_pytorch_tanh", key, name)
	}
	return a, err
}

// mistralFamily is Mistral 7B and what has its shape: llama with a window in every layer.
func mistralFamily() family {
	return family{
		kind: "mistral", class: "MistralForCausalLM", names: llamaNames(), read: readMistral,
		defaults: rawConfig{MaxPositions: 131072, KVHeads: just(8), Eps: just(1e-6), Act: "silu", SlidingWindow: just(4096)},
	}
}

func readMistral(c *Config, r rawConfig) error {
	c.Bias = [numProj]bool{}
	if r.LayerTypes != nil {
		return unsupported("layer_types is not supported in the mistral architecture: all its layers are alike")
	}
	if err := c.setWindows(r, func(int) bool { return r.SlidingWindow != nil }); err != nil {
		return err
	}
	return c.readCommon(r)
}
