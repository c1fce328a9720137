//go:build !race

// The race detector makes pools forget at random.

package decoder

import (
	"runtime"
	"testing"
)

// TestUpdatesDoNotAllocate runs the same update again and again: the buffers are
// those of the first. What is left are a few closures and goroutines an op.
func TestUpdatesDoNotAllocate(t *testing.T) {
	c := small(true)
	c.Hidden, c.HeadDim, c.Intermediate, c.VocabSize = 192, 32, 320, 300
	for _, keep := range []int{0, 1} {
		u := newUpdate(t, c, 2, keep, 3, 100)
		u.run(t)
		u.run(t)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		const runs = 4
		for range runs {
			u.run(t)
		}
		runtime.ReadMemStats(&after)
		// A buffer of activations of the hidden size is 300·192·4 bytes.
		if per := (after.TotalAlloc - before.TotalAlloc) / runs; per > 150<<10 {
			t.Errorf("keep %d: an update allocates %d bytes", keep, per)
		}
	}
}
