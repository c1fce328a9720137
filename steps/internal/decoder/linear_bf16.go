package decoder

import "github.com/pipe-run/pipe/steps/internal/tensor"

// Numerics says how linears are multiplied, forward and backward, with their LoRAs and the head among them. Norms,
// rotations, attention, activations, the loss and all sums are float32 or wider in either case, and so are the weights
// that are trained, their gradients and the optimizer's state.
type Numerics int

const (
	// F32 multiplies float32 numbers.
	F32 Numerics = iota
	// BF16 rounds both matrices of a product to bfloat16 first, as PyTorch's autocast does, and sums in float32 in
	// the order of AMX tiles (tensor.GemmBF16). Its results are those of any machine, but not those of F32.
	BF16
)

// gemmNT is tensor.GemmNT in these numerics.
func (n Numerics) gemmNT(threads, m, out, k int, a, b, c []float32, add bool) {
	if n == BF16 {
		tensor.GemmBF16NT(threads, m, out, k, a, b, c, add)
		return
	}
	tensor.GemmNT(threads, m, out, k, a, b, c, add)
}

// gemmNN is tensor.GemmNN in these numerics.
func (n Numerics) gemmNN(threads, m, out, k int, a, b, c []float32, add bool) {
	if n == BF16 {
		tensor.GemmBF16NN(threads, m, out, k, a, b, c, add)
		return
	}
	tensor.GemmNN(threads, m, out, k, a, b, c, add)
}

// gemmTN is tensor.GemmTN in these numerics.
func (n Numerics) gemmTN(threads, m, out, k int, a, b, c []float32, add bool) {
	if n == BF16 {
		tensor.GemmBF16TN(threads, m, out, k, a, b, c, add)
		return
	}
	tensor.GemmTN(threads, m, out, k, a, b, c, add)
}

// linear is l in these numerics, where it is not bound to some already.
func (n Numerics) linear(l Linear) Linear {
	if r, ok := l.(raw); ok && n == BF16 {
		return rawBF16(r)
	}
	return l
}

// rawBF16 is raw in BF16.
type rawBF16 raw

func (l rawBF16) Forward(threads, m int, x, y []float32, add bool) {
	tensor.GemmBF16NT(threads, m, l.out, l.in, x, l.w, y, add)
}

func (l rawBF16) Backward(threads, m int, dy, dx []float32, add bool) {
	tensor.GemmBF16NN(threads, m, l.in, l.out, dy, l.w, dx, add)
}

// packedBF16 is a matrix rounded and laid out for both products.
type packedBF16 struct{ forward, backward *tensor.BF16Packed }

func (p *packedBF16) Forward(threads, m int, x, y []float32, add bool) {
	p.forward.Mul(threads, m, x, y, add)
}

func (p *packedBF16) Backward(threads, m int, dy, dx []float32, add bool) {
	p.backward.Mul(threads, m, dy, dx, add)
}

// panelsBF16 is a matrix kept as stored.
type panelsBF16 struct{ w tensor.Panels }

func (p panelsBF16) Forward(threads, m int, x, y []float32, add bool) {
	_, k := p.w.Shape()
	tensor.GemmBF16(threads, m, k, x, tensor.BF16Right{B: tensor.BF16PanelsNT(p.w), C: y, Add: add})
}

func (p panelsBF16) Backward(threads, m int, dy, dx []float32, add bool) {
	k, _ := p.w.Shape()
	tensor.GemmBF16(threads, m, k, dy, tensor.BF16Right{B: tensor.BF16PanelsNN(p.w), C: dx, Add: add})
}

// linearBF16 reads one matrix for BF16. As for F32, one that is kept in float32, or is for inference alone, is laid out
// once; for training others stay as they are stored.
func (l loader) linearBF16(name string, out, in int) (Linear, error) {
	dtype, err := l.w.DType(name)
	if err != nil {
		return nil, err
	}
	w, err := l.stored(name, out, in)
	if err != nil {
		return nil, err
	}
	if l.use == Train && dtype != "F32" {
		return panelsBF16{w}, nil
	}
	p := &packedBF16{forward: tensor.PackBF16(l.threads, tensor.BF16PanelsNT(w))}
	if l.use == Train {
		p.backward = tensor.PackBF16(l.threads, tensor.BF16PanelsNN(w))
	}
	return p, nil
}
