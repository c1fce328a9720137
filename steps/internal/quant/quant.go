// Package quant packs float32 weights into few bits and back: bitsandbytes' NF4
// with double quantization, and the block formats of ggml. One file each.
package quant

import "sync"

// blocksPerTask is how many blocks one goroutine takes at least.
const blocksPerTask = 1024

// parallelBlocks calls f for ranges that cover [0, blocks) on up to threads
// goroutines and waits for them. Blocks must not depend on each other.
func parallelBlocks(threads, blocks int, f func(from, to int)) {
	tasks := min(max(threads, 1), (blocks+blocksPerTask-1)/blocksPerTask)
	if tasks <= 1 {
		f(0, blocks)
		return
	}
	var wait sync.WaitGroup
	for i := range tasks {
		wait.Go(func() { f(blocks*i/tasks, blocks*(i+1)/tasks) })
	}
	wait.Wait()
}
