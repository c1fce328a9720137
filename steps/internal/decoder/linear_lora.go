package decoder

import "github.com/pipe-run/pipe/steps/internal/tensor"

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
}

// low is what the update of a linear keeps between its forward and its backward
// pass over m rows.
type low struct {
	z, dz []float32 // Scale·x·Aᵀ [m, Rank], and its gradient
}

// adapt prepares l, the linear at path, for training as a says, with keep for
// what its passes share. It returns the tensors that bind takes.
func (l *adapted) adapt(path string, a Adapt, keep *low) []Tensor {
	l.lora, l.low = LoRA{Rank: a.Rank, Scale: a.Scale}, keep
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
		tensor.GemmTN(threads, r, l.in, m, dz, x, l.da, false)
	}
	if dx != nil {
		tensor.GemmNN(threads, m, l.in, r, dz, l.lora.A, dx, true)
	}
}

func scaleBy(x []float32, s float32) {
	for i := range x {
		x[i] *= s
	}
}
