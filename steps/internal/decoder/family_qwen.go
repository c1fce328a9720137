package decoder

// qwen2Family is Qwen 2 and 2.5: llama with biases on queries, keys and values.
func qwen2Family() family {
	return family{
		kind: "qwen2", class: "Qwen2ForCausalLM", names: llamaNames(), read: readQwen2,
		defaults: rawConfig{
			MaxPositions: 32768, KVHeads: just(32), Eps: just(1e-6), Act: "silu",
			SlidingWindow: just(4096), MaxWindowLayers: 28,
		},
	}
}

func readQwen2(c *Config, r rawConfig) error {
	c.Bias = [numProj]bool{projQ: true, projK: true, projV: true}
	return c.readQwen(r)
}

// qwen3Family is Qwen 3 without experts: norms on the heads of queries and keys, a
// head size of its own, and no biases unless attention_bias.
func qwen3Family() family {
	f := qwen2Family()
	f.kind, f.class, f.read = "qwen3", "Qwen3ForCausalLM", readQwen3
	f.defaults.HeadDim = just(128)
	return f
}

func readQwen3(c *Config, r rawConfig) error {
	c.Norms[NormQ], c.Norms[NormK] = true, true
	return c.readQwen(r)
}

// readQwen reads what both have: a window, where it is used, in the layers from
// max_window_layers on.
func (c *Config) readQwen(r rawConfig) error {
	if !r.UseSlidingWindow {
		r.SlidingWindow = nil
	}
	slides := func(i int) bool { return r.SlidingWindow != nil && i >= r.MaxWindowLayers }
	if err := c.setWindows(r, slides); err != nil {
		return err
	}
	return c.readCommon(r)
}
