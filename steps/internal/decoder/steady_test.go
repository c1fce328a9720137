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

// TestObjectiveDoesNotAllocate runs the loss of an objective again and again:
// the derivatives by its likelihoods have a place of their own.
func TestObjectiveDoesNotAllocate(t *testing.T) {
	c := small(true)
	const tokens = 4000
	ids, labels := make([]int32, tokens), make([]int64, tokens)
	positions := make([]int32, tokens)
	for i := range ids {
		ids[i], labels[i], positions[i] = int32(i%19), int64(i%19), int32(i%20)
	}
	b, err := NewBatch(c, ids, positions, labels)
	if err != nil {
		t.Fatal(err)
	}
	tr := NewTraining(Skeleton(c), tokens, 1)
	tr.Aim(&ORPO{Lambda: 0.1})
	if err := tr.SetBatch(b, 1); err != nil {
		t.Fatal(err)
	}
	loss, s := tr.NewFullLossOp(), randomStore(c, 2)
	in := [][]float32{make([]float32, tokens*c.Hidden)}
	for _, x := range loss.Inputs() {
		in = append(in, s[x.Name])
	}
	for i := range in[0] {
		in[0][i] = float32(i%7) - 3
	}
	out := make([]float32, 1)
	forward := func() {
		if err := loss.Forward(out, in); err != nil {
			t.Fatal(err)
		}
	}
	forward()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	const runs = 4
	for range runs {
		forward()
	}
	runtime.ReadMemStats(&after)
	if per := (after.TotalAlloc - before.TotalAlloc) / runs; per >= uint64(8*len(b.Rows)) {
		t.Errorf("a loss over %d rows allocates %d bytes", len(b.Rows), per)
	}
}
