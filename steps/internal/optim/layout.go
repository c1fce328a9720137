package optim

import "slices"

// A Layout says which tensors an optimizer moves and how they differ.
type Layout struct {
	Sizes []int     // elements of each tensor
	Decay []bool    // those that weight decay applies to; nil means all
	Rates []float64 // factors on the learning rate, as LoRA+ has them; nil means 1 for all

	// Memory is where the moments live; nil means Go's heap.
	Memory Memory
}

// A Memory holds the state of an optimizer. What it returns is zero.
type Memory interface {
	Floats(n int) ([]float32, error)
	Bytes(n int) ([]byte, error)
}

// heap is Go's own memory.
type heap struct{}

func (heap) Floats(n int) ([]float32, error) { return make([]float32, n), nil }
func (heap) Bytes(n int) ([]byte, error)     { return make([]byte, n), nil }

// layout is a Layout made complete, with its tensors cut into chunks.
type layout struct {
	sizes  []int
	decay  []bool
	rates  []float64
	parts  []part
	memory Memory
}

// complete panics unless Decay and Rates are nil or as long as Sizes.
func (l Layout) complete() layout {
	c := layout{sizes: slices.Clone(l.Sizes), decay: slices.Clone(l.Decay), rates: slices.Clone(l.Rates), memory: l.Memory}
	if c.memory == nil {
		c.memory = heap{}
	}
	if c.decay == nil {
		c.decay = slices.Repeat([]bool{true}, len(c.sizes))
	}
	if c.rates == nil {
		c.rates = slices.Repeat([]float64{1}, len(c.sizes))
	}
	if len(c.decay) != len(c.sizes) || len(c.rates) != len(c.sizes) {
		panic("optim: a layout whose parts have different lengths")
	}
	c.parts = parts(c.sizes)
	return c
}

// floats returns zero tensors of the layout's sizes.
func (l *layout) floats() (all [][]float32, err error) {
	for _, n := range l.sizes {
		x, err := l.memory.Floats(n)
		if err != nil {
			return nil, err
		}
		all = append(all, x)
	}
	return all, nil
}

// rate returns the learning rate of tensor t and the factor that weight decay
// leaves of its elements.
func (l *layout) rate(t int, rate, decay float64) (own, keep float64) {
	own = float64(rate * l.rates[t])
	if !l.decay[t] {
		return own, 1
	}
	return own, 1 - float64(own*decay)
}
