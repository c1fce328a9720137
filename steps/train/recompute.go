package train

import (
	"github.com/pipe-run/pipe/steps/internal/decoder"
)

// kept returns how many blocks, the last ones, keep the values that their
// backward passes need, for microbatches of at most tokens tokens; the others
// compute them again. Results are the same to the bit, so this may depend on
// the machine: "auto" keeps as many as fit in half of the available memory that
// the rest of training leaves; available is negative where nobody knows it, and
// then auto keeps none.
func (p *Params) kept(cfg decoder.Config, tokens int, available int64) int {
	switch p.Recompute {
	case "none":
		return cfg.Layers
	case "all":
		return 0
	}
	f := forecast{cfg: cfg, p: *p}
	if available < 0 || f.adapted() != nil {
		return 0
	}
	room := (available - f.memory(0, tokens)) / 2
	return int(min(int64(cfg.Layers), max(0, room/valueBytes(cfg, tokens))))
}

// valueBytes is what one block keeps for tokens tokens: projections before and,
// where norms follow, after them, attention's output and one sum a head, the
// residual stream, gate and up, and what norms of outputs read.
func valueBytes(c decoder.Config, tokens int) int64 {
	query, key := c.Heads*c.HeadDim, c.KVHeads*c.HeadDim
	row := query + 2*key + query + c.Heads + c.Hidden
	if c.Norms[decoder.NormQ] {
		row += query
	}
	if c.Norms[decoder.NormK] {
		row += key
	}
	for _, slot := range []int{decoder.NormAttnOut, decoder.NormMLPOut} {
		if c.Norms[slot] {
			row += c.Hidden
		}
	}
	row += c.Intermediate
	if c.Gated {
		row += c.Intermediate
	}
	return 4 * int64(row) * int64(tokens)
}
