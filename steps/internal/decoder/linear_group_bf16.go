package decoder

import "github.com/pipe-run/pipe/steps/internal/tensor"

// operandsBF16 is operands in BF16: products with one left-hand side round it and
// lay it out once.
type operandsBF16 interface {
	operandsBF16() (forward, backward tensor.BF16Operand)
}

func (l rawBF16) operandsBF16() (forward, backward tensor.BF16Operand) {
	return tensor.BF16NT(l.out, l.in, l.w), tensor.BF16NN(l.out, l.in, l.w)
}

func (p *packedBF16) operandsBF16() (forward, backward tensor.BF16Operand) {
	return p.forward, p.backward
}

func (p panelsBF16) operandsBF16() (forward, backward tensor.BF16Operand) {
	return tensor.BF16PanelsNT(p.w), tensor.BF16PanelsNN(p.w)
}

// forwardBF16 is forwardAll, but for biases, where all fuse.
func forwardBF16(threads, m int, x []float32, lins []*adapted, ys [][]float32) {
	f := &lins[0].fused
	f.bf16 = f.bf16[:0]
	for i, l := range lins {
		w, _ := l.base.(operandsBF16).operandsBF16()
		f.bf16 = append(f.bf16, tensor.BF16Right{B: w, C: ys[i]})
		if rank := l.lora.Rank; rank > 0 {
			f.bf16 = append(f.bf16, tensor.BF16Right{B: tensor.BF16NT(rank, l.in, l.lora.A), C: l.reduced(m)})
		}
	}
	tensor.GemmBF16(threads, m, lins[0].in, x, f.bf16...)
	for i, l := range lins {
		if rank := l.lora.Rank; rank > 0 {
			scaleBy(l.low.z, l.lora.Scale)
			tensor.GemmBF16NT(threads, m, l.out, rank, l.low.z, l.lora.B, ys[i], true)
		}
	}
}

// inputsBF16 computes the wanted gradients of z and x.
func (l *adapted) inputsBF16(threads, m int, dy, dx []float32, add bool) {
	rank := l.lora.Rank
	low := rank > 0 && (l.da != nil || dx != nil)
	rights := l.fused.bf16[:0]
	if dx != nil {
		_, w := l.base.(operandsBF16).operandsBF16()
		rights = append(rights, tensor.BF16Right{B: w, C: dx, Add: add})
	}
	if low {
		l.low.dz = sized(l.low.dz, m*rank)
		rights = append(rights, tensor.BF16Right{B: tensor.BF16NN(l.out, rank, l.lora.B), C: l.low.dz})
	}
	if l.fused.bf16 = rights; len(rights) > 0 {
		tensor.GemmBF16(threads, m, l.out, dy, rights...)
	}
	if low {
		scaleBy(l.low.dz, l.lora.Scale)
	}
	if low && dx != nil {
		tensor.GemmBF16NN(threads, m, l.in, rank, l.low.dz, l.lora.A, dx, true)
	}
}
