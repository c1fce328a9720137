package main

import (
	"encoding/json"
	"os"
	"path/filepath"

	"github.com/pipe-run/pipe/steps/internal/decoder"
)

// A facts value is what can be said of a training without running it.
type facts struct {
	// FLOPs are those of the matrix products of an update that computes nothing
	// again.
	FLOPs float64 `json:"flops"`
	// Products are those with frozen matrices, forward and backward.
	Products []product `json:"products"`
	// Memory is what training is held to, in bytes.
	Memory float64 `json:"memory"`
}

// A product is [M, K]·[K, N], executed so many times in an update.
type product struct {
	M, N, K int
	Times   int
}

// about prints the facts of training an adapter of one rank on all linears of a
// model, with rows of one length, the later half of which is supervised.
func about(model string, rows, length, rank int) error {
	c, err := decoder.ReadConfig(model)
	if err != nil {
		return err
	}
	tokens, supervised := rows*length, rows*(length/2)
	spec := decoder.Spec{
		Config: c, Tokens: tokens, Longest: length, Rows: supervised, Threads: 1, Keep: c.Layers,
		Adapt: func(string) (decoder.Adapt, bool) { return decoder.Adapt{Rank: rank, Scale: 1}, true },
	}
	cost := spec.UpdateCost()
	f := facts{FLOPs: float64(rows) * cost.FLOPs(length, length/2)}
	count := map[product]int{}
	adapter := 0
	for _, m := range c.Modules() {
		count[product{M: tokens, N: m.Out, K: m.In}]++
		count[product{M: tokens, N: m.In, K: m.Out}]++
		adapter += rank * (m.In + m.Out)
	}
	count[product{M: supervised, N: c.VocabSize, K: c.Hidden}]++
	count[product{M: supervised, N: c.Hidden, K: c.VocabSize}]++
	for p, times := range count {
		p.Times = times
		f.Products = append(f.Products, p)
	}
	files, err := filepath.Glob(filepath.Join(model, "*.safetensors"))
	if err != nil {
		return err
	}
	stored := int64(0)
	for _, file := range files {
		info, err := os.Stat(file)
		if err != nil {
			return err
		}
		stored += info.Size()
	}
	f.Memory = 1.15*(float64(stored)+held(c, tokens, adapter)) + 64e6
	return json.NewEncoder(os.Stdout).Encode(f)
}

// held is what training holds beside the model as it is stored, in bytes:
// adapter, gradients and two moments of the optimizer; the inputs of all blocks;
// one block's values and their gradients; and one chunk of logits.
func held(c decoder.Config, tokens, adapter int) float64 {
	q, kv := c.Heads*c.HeadDim, c.KVHeads*c.HeadDim
	live := 2 * (3*c.Hidden + 2*q + 2*kv + 3*c.Intermediate)
	return 4 * float64(4*adapter+tokens*(c.Layers*c.Hidden+live)+c.LossChunk()*c.VocabSize)
}
