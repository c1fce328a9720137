package decoder

// gpt2Family is GPT-2 and DistilGPT-2: LayerNorm, one linear for queries, keys and
// values, learned positions and an MLP without a gate. Its linears are stored
// as [In, Out], the Conv1D of transformers.
func gpt2Family() family {
	return family{
		kind: "gpt2", class: "GPT2LMHeadModel", read: readGPT2,
		defaults: rawConfig{
			VocabSize: 50257, Positions: 1024, LayerNormEps: just(1e-5), ActFunction: "gelu_new",
			ScaleAttn: just(true), Tied: just(true),
		},
		keys: map[string]string{
			"hidden_size": "n_embd", "num_hidden_layers": "n_layer", "num_attention_heads": "n_head",
			"max_position_embeddings": "n_positions", "intermediate_size": "n_inner", "rms_norm_eps": "layer_norm_epsilon",
		},
		names: names{
			base: "transformer.", embed: "transformer.wte.weight", positions: "transformer.wpe.weight",
			norm: "transformer.ln_f", head: HeadName,
			block: "transformer.h.%d.",
			proj: [numProj]string{
				projQ: "attn.c_attn", projO: "attn.c_proj", projUp: "mlp.c_fc", projDown: "mlp.c_proj",
			},
			norms:      [numNorms]string{NormAttn: "ln_1", NormMLP: "ln_2"},
			transposed: true,
		},
	}
}

func readGPT2(c *Config, r rawConfig) (err error) {
	switch {
	case r.ScaleByLayer:
		return unsupported("scale_attn_by_inverse_layer_idx: true is not supported")
	case r.CrossAttention:
		return unsupported("add_cross_attention: true is not supported")
	}
	c.Hidden, c.Layers, c.Heads, c.KVHeads, c.MaxPositions = r.Embd, r.Layer, r.Head, r.Head, r.Positions
	c.Intermediate, c.HeadDim, c.RopeTheta = 4*min(r.Embd, maxDim), 0, defaultTheta
	if r.Inner != nil {
		c.Intermediate = *r.Inner
	}
	if c.Heads > 0 && c.Hidden%c.Heads == 0 {
		c.HeadDim = c.Hidden / c.Heads
	}
	c.Norm, c.Eps = LayerNorm, 0
	if r.LayerNormEps != nil {
		c.Eps = *r.LayerNormEps
	}
	c.FusedQKV, c.LearnedPositions, c.Gated = true, true, false
	c.Bias = [numProj]bool{projQ: true, projO: true, projUp: true, projDown: true}
	if r.ScaleAttn != nil && !*r.ScaleAttn {
		c.AttnScale = 1
	}
	c.Act, err = activation("activation_function", r.ActFunction)
	return err
}
