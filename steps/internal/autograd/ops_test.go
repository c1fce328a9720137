package autograd

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
)

// linear is y = x·Wᵀ for x [n,k], W [m,k].
type linear struct{ id string }

func (o linear) Key() string { return "linear{" + o.id + "}" }
func (o linear) OutShape(in [][]int) ([]int, error) {
	if len(in) != 2 || len(in[0]) != 2 || len(in[1]) != 2 || in[0][1] != in[1][1] {
		return nil, fmt.Errorf("cannot multiply %v", in)
	}
	return []int{in[0][0], in[1][0]}, nil
}
func dims(x, w, y int) (n, m, k int) { // from n·k, m·k and n·m
	n = int(math.Round(math.Sqrt(float64(x) * float64(y) / float64(w))))
	return n, y / n, x / n
}
func (o linear) Forward(out []float32, in [][]float32) error {
	n, m, k := dims(len(in[0]), len(in[1]), len(out))
	for i := range n {
		for j := range m {
			var s float32
			for p := range k {
				s += float32(in[0][i*k+p] * in[1][j*k+p])
			}
			out[i*m+j] = s
		}
	}
	return nil
}
func (o linear) Backward(grads, in [][]float32, out, g []float32) error {
	n, m, k := dims(len(in[0]), len(in[1]), len(out))
	for i := range grads {
		clear(grads[i])
	}
	for i := range n {
		for j := range m {
			for p := range k {
				if grads[0] != nil {
					grads[0][i*k+p] += float32(g[i*m+j] * in[1][j*k+p])
				}
				if grads[1] != nil {
					grads[1][j*k+p] += float32(g[i*m+j] * in[0][i*k+p])
				}
			}
		}
	}
	return nil
}

// silu is x·sigmoid(x); like a real op it keeps state from Forward to Backward.
type silu struct {
	id  string
	sig []float32
}

func (o *silu) Key() string                        { return "silu{" + o.id + "}" }
func (o *silu) OutShape(in [][]int) ([]int, error) { return in[0], nil }
func (o *silu) Forward(out []float32, in [][]float32) error {
	if len(o.sig) != len(out) {
		o.sig = make([]float32, len(out))
	}
	for i, x := range in[0] {
		o.sig[i] = float32(1 / (1 + math.Exp(-float64(x))))
		out[i] = x * o.sig[i]
	}
	return nil
}
func (o *silu) Backward(grads, in [][]float32, _, g []float32) error {
	for i, x := range in[0] {
		s := o.sig[i]
		grads[0][i] = g[i] * s * (1 + float32(x*(1-s)))
	}
	return nil
}

// mul is the elementwise product of any number of tensors of one shape.
type mul struct{ id string }

func (o mul) Key() string { return "mul{" + o.id + "}" }
func (o mul) OutShape(in [][]int) ([]int, error) {
	for _, s := range in {
		if !slices.Equal(s, in[0]) {
			return nil, fmt.Errorf("shapes differ: %v", in)
		}
	}
	return in[0], nil
}
func (o mul) Forward(out []float32, in [][]float32) error {
	copy(out, in[0])
	for _, x := range in[1:] {
		for i := range out {
			out[i] *= x[i]
		}
	}
	return nil
}
func (o mul) Backward(grads, in [][]float32, _, g []float32) error {
	for k, d := range grads {
		if d == nil {
			continue
		}
		copy(d, g)
		for j, x := range in {
			for i := range d {
				if j != k {
					d[i] *= x[i]
				}
			}
		}
	}
	return nil
}

// mean is half the mean square, a loss of shape [1].
type mean struct{}

func (o mean) Key() string                     { return "mean" }
func (o mean) OutShape([][]int) ([]int, error) { return []int{1}, nil }
func (o mean) Forward(out []float32, in [][]float32) error {
	var s float64
	for _, x := range in[0] {
		s += float64(x) * float64(x)
	}
	out[0] = float32(s / float64(2*len(in[0])))
	return nil
}
func (o mean) Backward(grads, in [][]float32, _, g []float32) error {
	for i, x := range in[0] {
		grads[0][i] = g[0] * x / float32(len(in[0]))
	}
	return nil
}

// random returns n normal numbers.
func random(seed uint64, n int) []float32 {
	r := rand.New(rand.NewPCG(seed, 1))
	out := make([]float32, n)
	for i := range out {
		out[i] = float32(r.NormFloat64())
	}
	return out
}
