package decoder

import "fmt"

// LoRA is a low-rank update of one linear: y += Scale · (x·Aᵀ)·Bᵀ, with
// A [Rank, In] and B [Out, Rank].
type LoRA struct {
	A, B  []float32
	Rank  int
	Scale float32
	// DoRA, when not nil, gives the rows of W + Scale·B·A other lengths.
	DoRA *DoRA
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
	// Squares, when not nil, makes it DoRA: see DoRA.Squares.
	Squares []float64
}

// String is what tells one Adapt of a module from another.
func (a Adapt) String() string {
	return fmt.Sprintf("rank=%d,scale=%g,dropout=%g,dora=%t", a.Rank, a.Scale, a.Dropout, a.Squares != nil)
}

// low is what the update of a linear keeps between its forward and its backward
// pass over m rows.
type low struct {
	z, dz []float32 // Scale·x·Aᵀ [m, Rank], and its gradient
	mask  []uint64  // the elements of x that dropout leaves [m, ⌈In/64⌉]
	dora  doraValues
}

// lowWork is what the adapted linears of a training have in common.
type lowWork struct {
	place uint64    // of the first row; see Training.Place
	rows  []float32 // scratch as wide as x
	outs  []float32 // scratch as wide as y
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
	list := []Tensor{
		{path + ".lora_A.weight", []int{a.Rank, l.in}},
		{path + ".lora_B.weight", []int{l.out, a.Rank}},
	}
	if a.Squares != nil {
		l.lora.DoRA, l.work = &DoRA{Squares: a.Squares}, work
		list = append(list, Tensor{path + ".lora_magnitude_vector", []int{l.out}})
	}
	return list
}

// bind takes what is trained from the front of in, and from that of grads, if it
// is not empty, where the gradients go. It returns how many tensors it took.
func (l *adapted) bind(in, grads [][]float32) int {
	l.lora.A, l.lora.B = in[0], in[1]
	l.da, l.db, l.dm = nil, nil, nil
	if len(grads) > 0 {
		l.da, l.db = grads[0], grads[1]
	}
	if l.lora.DoRA == nil {
		return 2
	}
	l.lora.DoRA.Magnitude = in[2]
	if len(grads) > 0 {
		l.dm = grads[2]
	}
	return 3
}

// lowForward completes y [m, out], which holds x·Wᵀ, by the update.
func (l *adapted) lowForward(threads, m int, x, y []float32) {
	l.project(threads, m, x)
	l.num.gemmNT(threads, m, l.out, l.lora.Rank, l.low.z, l.lora.B, y, true)
}

// project computes l.low.z from x [m, in].
func (l *adapted) project(threads, m int, x []float32) {
	r := l.lora.Rank
	z := l.reduced(m)
	if l.drop != nil {
		l.drop.draw(threads, m, l)
	}
	l.num.gemmNT(threads, m, r, l.in, l.seen(threads, m, x), l.lora.A, z, false)
	scaleBy(z, l.lora.Scale)
}

// seen is what the update sees of x [m, in].
func (l *adapted) seen(threads, m int, x []float32) []float32 {
	if l.drop == nil {
		return x
	}
	return l.drop.apply(threads, m, l, x)
}

// lowBackward adds the update's part to dx [m, in], unless that is nil, and
// computes the wanted gradients of A and B from dy [m, out].
func (l *adapted) lowBackward(threads, m int, x, dy, dx []float32) {
	l.weightsBackward(threads, m, x, dy, dx != nil)
	switch {
	case dx == nil:
	case l.drop != nil:
		ds := l.drop.scratch(m, l)
		l.num.gemmNN(threads, m, l.in, l.lora.Rank, l.low.dz, l.lora.A, ds, false)
		l.drop.backward(threads, m, l, ds, dx)
	default:
		l.num.gemmNN(threads, m, l.in, l.lora.Rank, l.low.dz, l.lora.A, dx, true)
	}
}

// weightsBackward computes the wanted gradients of A and B from dy [m, out], and
// that of z where that of A or of x is wanted.
func (l *adapted) weightsBackward(threads, m int, x, dy []float32, dx bool) {
	r := l.lora.Rank
	if l.db != nil {
		l.num.gemmTN(threads, l.out, r, m, dy, l.low.z, l.db, false)
	}
	if l.da == nil && !dx {
		return
	}
	l.low.dz = sized(l.low.dz, m*r)
	l.num.gemmNN(threads, m, r, l.out, dy, l.lora.B, l.low.dz, false)
	scaleBy(l.low.dz, l.lora.Scale)
	if l.da != nil {
		l.num.gemmTN(threads, r, l.in, m, l.low.dz, l.seen(threads, m, x), l.da, false)
	}
}

func scaleBy(x []float32, s float32) {
	for i := range x {
		x[i] *= s
	}
}
