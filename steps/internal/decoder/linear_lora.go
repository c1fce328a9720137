package decoder

import (
	"fmt"

	"github.com/pipe-run/pipe/steps/internal/tensor"
)

// LoRA is a low-rank update of one linear: y += Scale · (x·Aᵀ)·Bᵀ, with
// A [Rank, In] and B [Out, Rank].
type LoRA struct {
	A, B  []float32
	Rank  int
	Scale float32
}

// Adapt says how one linear is trained with LoRA: its rank, and the factor
// alpha/rank on its output.
type Adapt struct {
	Rank  int
	Scale float32
	// Dropout is the share of the elements of x that the update does not see, and
	// Seed the seed of the choice. 0 leaves none out.
	Dropout float64
	Seed    uint64
}

// String is what tells one Adapt of a module from another.
func (a Adapt) String() string {
	return fmt.Sprintf("rank=%d,scale=%g,dropout=%g", a.Rank, a.Scale, a.Dropout)
}

// low is what the update of a linear keeps between its forward and its backward
// pass over m rows.
type low struct {
	z, dz []float32 // Scale·x·Aᵀ [m, Rank], and its gradient
	mask  []uint64  // the elements of x that dropout leaves [m, ⌈In/64⌉]
}

// lowWork is what the adapted linears of a training have in common.
type lowWork struct {
	place uint64    // of the first row; see Training.Place
	rows  []float32 // scratch as wide as x
}

// Place says where the microbatch of SetBatch stands: in which update, counted
// from 0, and how many tokens of that update come before it. Dropout depends on
// nothing else, so that a row gets the same treatment however the rows of an
// update are cut into microbatches, and again whenever it is recomputed.
func (t *Training) Place(update, before int) {
	t.work.place = uint64(uint32(update))<<32 | uint64(uint32(before))
}

// adapt prepares l, the linear at path, for training as a says. keep is its
// own until the backward pass. It returns the tensors that bind takes.
func (l *adapted) adapt(path string, a Adapt, keep *low, work *lowWork) []Tensor {
	l.lora, l.low = LoRA{Rank: a.Rank, Scale: a.Scale}, keep
	if a.Dropout > 0 {
		l.drop = newDropout(path, a, work)
	}
	return []Tensor{
		{path + ".lora_A.weight", []int{a.Rank, l.in}},
		{path + ".lora_B.weight", []int{l.out, a.Rank}},
	}
}

// bind takes what is trained from the front of in, and from that of grads, if it
// is not empty, where the gradients go. It returns how many tensors it took.
func (l *adapted) bind(in, grads [][]float32) int {
	l.lora.A, l.lora.B = in[0], in[1]
	l.da, l.db = nil, nil
	if len(grads) > 0 {
		l.da, l.db = grads[0], grads[1]
	}
	return 2
}

// lowForward adds the update's part to y [m, out].
func (l *adapted) lowForward(threads, m int, x, y []float32) {
	l.reduce(threads, m, x)
	tensor.GemmNT(threads, m, l.out, l.lora.Rank, l.low.z, l.lora.B, y, true)
}

// reduce computes what backward needs of a forward pass over x [m, in] whose
// output nobody needs.
func (l *adapted) reduce(threads, m int, x []float32) {
	r := l.lora.Rank
	if r == 0 {
		return
	}
	if l.low == nil {
		l.low = new(low)
	}
	if l.drop != nil {
		l.drop.draw(threads, m, l)
		x = l.drop.apply(threads, m, l, x)
	}
	l.low.z = sized(l.low.z, m*r)
	tensor.GemmNT(threads, m, r, l.in, x, l.lora.A, l.low.z, false)
	scaleBy(l.low.z, l.lora.Scale)
}

// lowBackward adds the update's part to dx [m, in], unless that is nil, and
// computes the wanted gradients of A and B from dy [m, out].
func (l *adapted) lowBackward(threads, m int, x, dy, dx []float32) {
	r := l.lora.Rank
	if l.db != nil {
		tensor.GemmTN(threads, l.out, r, m, dy, l.low.z, l.db, false)
	}
	if l.da == nil && dx == nil {
		return
	}
	l.low.dz = sized(l.low.dz, m*r)
	dz := l.low.dz
	tensor.GemmNN(threads, m, r, l.out, dy, l.lora.B, dz, false)
	scaleBy(dz, l.lora.Scale)
	if l.da != nil {
		seen := x
		if l.drop != nil {
			seen = l.drop.apply(threads, m, l, x)
		}
		tensor.GemmTN(threads, r, l.in, m, dz, seen, l.da, false)
	}
	switch {
	case dx == nil:
	case l.drop != nil:
		l.drop.backward(threads, m, l, dz, dx)
	default:
		tensor.GemmNN(threads, m, l.in, r, dz, l.lora.A, dx, true)
	}
}

func scaleBy(x []float32, s float32) {
	for i := range x {
		x[i] *= s
	}
}
