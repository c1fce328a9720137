// Package optim updates parameters by their gradients: AdamW, also with moments
// of 8 bits, and SGD; clipping by the global norm, and learning-rate schedules.
//
// Equal gradients give equal bits on any machine and with any number of
// threads: elements are independent of one another, sums are taken over fixed
// chunks in a fixed order, and every product that feeds a sum is rounded first.
// Arithmetic is float64, what is kept is float32.
package optim

import (
	"io"
	"math"

	"github.com/pipe-run/pipe/steps/internal/kernel"
	"github.com/pipe-run/pipe/steps/internal/tensor"
)

// An Optimizer changes parameters. It is not safe for concurrent use.
type Optimizer interface {
	// Update performs one update: params[i] moves against grads[i] by the
	// learning rate rate. The tensors have the sizes given at construction.
	Update(threads int, rate float64, params, grads [][]float32)

	// Updates returns how many updates were performed.
	Updates() int

	// WriteTo writes the state, which ReadFrom of an equally constructed
	// optimizer reads back. ReadFrom leaves the state unspecified on an error.
	io.WriterTo
	io.ReaderFrom
}

// chunk is how many elements one worker takes at a time, whatever the threads.
const chunk = 1 << 14

// part is one chunk of one tensor.
type part struct{ tensor, lo, hi int }

// parts splits tensors of the given sizes into chunks, in order.
func parts(sizes []int) []part {
	var p []part
	for t, n := range sizes {
		for lo := 0; lo < n; lo += chunk {
			p = append(p, part{t, lo, min(n, lo+chunk)})
		}
	}
	return p
}

// partsOf splits tensors into chunks, in order.
func partsOf(tensors [][]float32) []part {
	sizes := make([]int, len(tensors))
	for i, t := range tensors {
		sizes[i] = len(t)
	}
	return parts(sizes)
}

// Norm returns the Euclidean norm of all tensors taken together.
func Norm(threads int, tensors [][]float32) float64 {
	ps := partsOf(tensors)
	sums := make([]float64, len(ps))
	tensor.Parallel(threads, len(ps), func(i int) {
		sums[i] = kernel.SumSquares(tensors[ps[i].tensor][ps[i].lo:ps[i].hi])
	})
	var total float64
	for _, s := range sums {
		total += s
	}
	return math.Sqrt(total)
}

// Clip scales the gradients so that their norm is at most maxNorm, as PyTorch's
// clip_grad_norm_ does, and returns the norm they had. A maxNorm of 0 never clips.
func Clip(threads int, maxNorm float64, grads [][]float32) float64 {
	norm := Norm(threads, grads)
	if scale := maxNorm / (norm + 1e-6); maxNorm > 0 && scale < 1 {
		Scale(threads, float32(scale), grads)
	}
	return norm
}

// Scale multiplies every element by factor.
func Scale(threads int, factor float32, tensors [][]float32) {
	ps := partsOf(tensors)
	tensor.Parallel(threads, len(ps), func(i int) {
		kernel.Scale(tensors[ps[i].tensor][ps[i].lo:ps[i].hi], factor)
	})
}

// Accumulate adds src to dst, element by element.
func Accumulate(threads int, dst, src [][]float32) {
	ps := partsOf(dst)
	tensor.Parallel(threads, len(ps), func(i int) {
		t, lo, hi := ps[i].tensor, ps[i].lo, ps[i].hi
		kernel.Add(dst[t][lo:hi], src[t][lo:hi])
	})
}
