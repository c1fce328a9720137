package decoder

import "fmt"

// llamaNames is how llama models, and most after them, call their tensors.
var llamaNames = names{
	embed: EmbedName, norm: NormName, head: HeadName,
	block: "model.layers.%d.",
	proj: [numProj]string{
		"self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj",
		"mlp.gate_proj", "mlp.up_proj", "mlp.down_proj",
	},
	norms: [numNorms]string{NormAttn: "input_layernorm", NormMLP: "post_attention_layernorm"},
}

// names is how the model's family calls its tensors.
func (c Config) names() names { return llamaNames }

// modulePath is the path of a linear of a block, such as
// "model.layers.0.self_attn.q_proj".
func (c Config) modulePath(layer, p int) string {
	n := c.names()
	return fmt.Sprintf(n.block, layer) + n.proj[p]
}

// normPath is the path of a norm of a block.
func (c Config) normPath(layer, slot int) string {
	n := c.names()
	return fmt.Sprintf(n.block, layer) + n.norms[slot]
}

// llamaNorms are the norms of a llama block.
var llamaNorms = [numNorms]bool{NormAttn: true, NormMLP: true}
