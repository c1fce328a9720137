// Package quant packs float32 weights into few bits and back: bitsandbytes' NF4
// with double quantization, and the block formats of ggml. One file each.
package quant

import "github.com/pipe-run/pipe/steps/internal/tensor"

// blocksPerTask is how many blocks one call of a parallel loop takes.
const blocksPerTask = 4096

// parallelBlocks calls f for ranges that cover [0, blocks) on up to threads
// goroutines and waits for them. Blocks must not depend on each other.
func parallelBlocks(threads, blocks int, f func(from, to int)) {
	tensor.Parallel(threads, (blocks+blocksPerTask-1)/blocksPerTask, func(i int) {
		f(i*blocksPerTask, min((i+1)*blocksPerTask, blocks))
	})
}
