package decoder

import (
	"fmt"
	"strings"
)

// names is what a family calls its tensors. Empty names are absent.
type names struct {
	// base begins the name of every tensor but the head's. Files may leave it out.
	base                         string
	embed, positions, norm, head string
	// block is the prefix of a block, with %d for its number.
	block string
	proj  [numProj]string
	norms [numNorms]string
	// transposed says that linears of blocks are stored as [In, Out].
	transposed bool
}

// names is how the model's files call its tensors.
func (c Config) names() names {
	n := c.family().names
	if c.bare {
		for _, s := range []*string{&n.embed, &n.positions, &n.norm, &n.block} {
			*s = strings.TrimPrefix(*s, n.base)
		}
	}
	return n
}

// llamaNorms are the norms that every family has.
var llamaNorms = [numNorms]bool{NormAttn: true, NormMLP: true}

// locate finds out how files that hold the named tensors call them.
func (c *Config) locate(stored []string) {
	full := c.family().names.embed
	short := strings.TrimPrefix(full, c.family().names.base)
	for _, name := range stored {
		switch name {
		case full:
			c.bare = false
			return
		case short:
			c.bare = true
		}
	}
}

// Canonical is c with the names that a model has in memory, with the family's
// base prefix, whatever its files call them.
func (c Config) Canonical() Config {
	c.bare = false
	return c
}

// modulePath is the path of a linear of a block within the model, such as
// "model.layers.0.self_attn.q_proj": how adapters call it.
func (c Config) modulePath(layer, p int) string {
	n := c.family().names
	return fmt.Sprintf(n.block, layer) + n.proj[p]
}

// linearPath is the path of a linear of a block in the model's files.
func (c Config) linearPath(layer, p int) string {
	n := c.names()
	return fmt.Sprintf(n.block, layer) + n.proj[p]
}

// normPath is the path of a norm of a block in the model's files.
func (c Config) normPath(layer, slot int) string {
	n := c.names()
	return fmt.Sprintf(n.block, layer) + n.norms[slot]
}
