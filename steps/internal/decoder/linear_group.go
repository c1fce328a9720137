package decoder

import "github.com/pipe-run/pipe/steps/internal/tensor"

// operands is a Linear that tells what tensor.Gemm multiplies with, so that
// products with one left-hand side can share it.
type operands interface {
	// operands returns Wᵀ [In, Out] and W [Out, In]; a model for inference has no
	// use for the latter.
	operands() (forward, backward tensor.Operand)
}

func (l raw) operands() (forward, backward tensor.Operand) {
	return tensor.RowsNT(l.out, l.in, l.w), tensor.RowsNN(l.out, l.in, l.w)
}

func (p *packed) operands() (forward, backward tensor.Operand) { return p.forward, p.backward }

func (p panels) operands() (forward, backward tensor.Operand) {
	return tensor.PanelsNT(p.w), tensor.PanelsNN(p.w)
}

// fuses says that the update of l can be computed in the same pass as W·x.
func (l *adapted) fuses() bool {
	_, ok := l.base.(operands)
	if l.num == BF16 {
		_, ok = l.base.(operandsBF16)
	}
	return ok && l.drop == nil && l.lora.DoRA == nil && (l.lora.Rank == 0 || l.lora.Scale != 0)
}

// forwardAll computes ys[i] [m, out] from x [m, in] for linears that share x.
func forwardAll(threads, m int, x []float32, lins []*adapted, ys [][]float32) {
	for _, l := range lins {
		if !l.fuses() {
			for i, l := range lins {
				l.forward(threads, m, x, ys[i])
			}
			return
		}
	}
	if lins[0].num == BF16 {
		forwardBF16(threads, m, x, lins, ys)
	} else {
		forwardF32(threads, m, x, lins, ys)
	}
	for i, l := range lins {
		if l.bias != nil {
			addBias(threads, m, l.bias, ys[i])
		}
	}
}

// forwardF32 is forwardAll, but for biases, where all fuse.
func forwardF32(threads, m int, x []float32, lins []*adapted, ys [][]float32) {
	f := &lins[0].fused
	rights := f.rights[:0]
	for i, l := range lins {
		w, _ := l.base.(operands).operands()
		r := tensor.Right{B: w, C: ys[i]}
		if rank := l.lora.Rank; rank > 0 {
			z := l.reduced(m)
			rights = append(rights, tensor.Right{B: tensor.RowsNT(rank, l.in, l.lora.A), C: z, Scale: l.lora.Scale})
			l.fused.low = tensor.LowRank{K: rank, A: z, B: tensor.RowsNT(l.out, rank, l.lora.B)}
			r.Low = &l.fused.low
		}
		rights = append(rights, r)
	}
	f.rights = rights
	tensor.Gemm(threads, m, lins[0].in, x, rights...)
}

// fused is what a product of several right-hand sides is put together in.
type fused struct {
	rights []tensor.Right
	low    tensor.LowRank
	bf16   []tensor.BF16Right
}

// reduced is room for x·Aᵀ of m rows.
func (l *adapted) reduced(m int) []float32 {
	if l.low == nil {
		l.low = new(low)
	}
	l.low.z = sized(l.low.z, m*l.lora.Rank)
	return l.low.z
}

// backwardAll computes dx [m, in] from dys[i] [m, out] for linears that share
// x, the input of the forward pass that ran just before, adding to dx when add
// is set, and the gradients that the linears want. dx may be nil.
func backwardAll(threads, m int, x []float32, lins []*adapted, dys [][]float32, dx []float32, add bool) {
	for i, l := range lins {
		l.backward(threads, m, x, dys[i], dx, add || i > 0)
	}
}

// fusedBackward is backward where l fuses.
func (l *adapted) fusedBackward(threads, m int, x, dy, dx []float32, add bool) {
	l.denseGradients(threads, m, x, dy)
	rank := l.lora.Rank
	if rank > 0 && l.db != nil {
		l.num.gemmTN(threads, l.out, rank, m, dy, l.low.z, l.db, false)
	}
	if l.num == BF16 {
		l.inputsBF16(threads, m, dy, dx, add)
	} else {
		l.inputsF32(threads, m, dy, dx, add)
	}
	if rank > 0 && l.da != nil {
		l.num.gemmTN(threads, rank, l.in, m, l.low.dz, x, l.da, false)
	}
}

// inputsF32 computes the wanted gradients of z and x.
func (l *adapted) inputsF32(threads, m int, dy, dx []float32, add bool) {
	rank := l.lora.Rank
	rights := l.fused.rights[:0]
	var low *tensor.LowRank
	if rank > 0 && (l.da != nil || dx != nil) {
		l.low.dz = sized(l.low.dz, m*rank)
		rights = append(rights, tensor.Right{B: tensor.RowsNN(l.out, rank, l.lora.B), C: l.low.dz, Scale: l.lora.Scale})
		l.fused.low = tensor.LowRank{K: rank, A: l.low.dz, B: tensor.RowsNN(rank, l.in, l.lora.A)}
		low = &l.fused.low
	}
	if dx != nil {
		_, w := l.base.(operands).operands()
		rights = append(rights, tensor.Right{B: w, C: dx, Add: add, Low: low})
	}
	if l.fused.rights = rights; len(rights) > 0 {
		tensor.Gemm(threads, m, l.out, dy, rights...)
	}
}
