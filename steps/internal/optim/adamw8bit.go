package optim

import (
	"fmt"
	"io"
	"math"

	"github.com/pipe-run/pipe/steps/internal/kernel"
	"github.com/pipe-run/pipe/steps/internal/tensor"
)

// small is the number of elements below which a tensor keeps moments of 32
// bits: norms and biases, whose state is a trifle.
const small = 4096

// AdamW8 is AdamW whose moments are kept in 8 bits: blocks of 256 elements
// share the largest magnitude as a float32 scale, and what remains is a code of
// a dynamic map, signed for the first moment and unsigned for the second. Each
// update widens a block, moves the parameters by the moments as they are before
// they are rounded again, and narrows it.
type AdamW8 struct {
	layout
	cfg     AdamWConfig
	moments [2]moments // first and second
	signed  *dynamicMap
	squares *dynamicMap
	updates int
}

// moments are one moment of every tensor.
type moments struct {
	wide   [][]float32 // of small tensors, nil for others
	codes  [][]uint8   // of the others
	scales [][]float32 // one a block
}

// NewAdamW8 returns an AdamW8 for the tensors of l. It fails only where
// l.Memory does.
func NewAdamW8(cfg AdamWConfig, l Layout) (*AdamW8, error) {
	a := &AdamW8{layout: l.complete(), cfg: cfg, signed: newDynamicMap(true), squares: newDynamicMap(false)}
	for i, m := range []*dynamicMap{a.signed, a.squares} {
		var err error
		if a.moments[i], err = newMoments(&a.layout, m.zero); err != nil {
			return nil, err
		}
	}
	return a, nil
}

func newMoments(l *layout, zero uint8) (m moments, err error) {
	for _, n := range l.sizes {
		var wide, scales []float32
		var codes []uint8
		if n < small {
			wide, err = l.memory.Floats(n)
		} else if scales, err = l.memory.Floats((n + block - 1) / block); err == nil {
			codes, err = l.memory.Bytes(n)
		}
		if err != nil {
			return m, err
		}
		for i := range codes {
			codes[i] = zero
		}
		m.wide, m.codes, m.scales = append(m.wide, wide), append(m.codes, codes), append(m.scales, scales)
	}
	return m, nil
}

// Update implements Optimizer.
func (a *AdamW8) Update(threads int, rate float64, params, grads [][]float32) {
	a.updates++
	steps := a.cfg.steps(&a.layout, a.updates, rate)
	tensor.Parallel(threads, len(a.parts), func(i int) {
		t, lo, hi := a.parts[i].tensor, a.parts[i].lo, a.parts[i].hi
		p, g := params[t], grads[t]
		if m := a.moments[0].wide[t]; a.sizes[t] < small {
			kernel.AdamW(p[lo:hi], g[lo:hi], m[lo:hi], a.moments[1].wide[t][lo:hi], steps[t])
			return
		}
		var m, v [block]float32
		for ; lo < hi; lo += block {
			end := min(lo+block, hi)
			m, v := m[:end-lo], v[:end-lo]
			a.moments[0].widen(m, t, lo, a.signed)
			a.moments[1].widen(v, t, lo, a.squares)
			kernel.AdamW(p[lo:end], g[lo:end], m, v, steps[t])
			codes, scale := a.moments[0].narrow(m, t, lo)
			for i, x := range m {
				codes[i] = a.signed.signed(x / scale)
			}
			codes, scale = a.moments[1].narrow(v, t, lo)
			for i, x := range v {
				codes[i] = a.squares.unsigned(x / scale)
			}
		}
	})
}

// widen reads the block that begins at element lo of tensor t.
func (m *moments) widen(dst []float32, t, lo int, d *dynamicMap) {
	scale := m.scales[t][lo/block]
	for i, c := range m.codes[t][lo:][:len(dst)] {
		dst[i] = scale * d.values[c]
	}
}

// narrow stores the scale of the block that begins at element lo of tensor t,
// and returns it, or 1 instead of 0, and where the codes go.
func (m *moments) narrow(src []float32, t, lo int) (codes []uint8, scale float32) {
	var most uint32 // magnitudes are ordered as their bits are
	for _, x := range src {
		most = max(most, math.Float32bits(x)&math.MaxInt32)
	}
	scale = math.Float32frombits(most)
	m.scales[t][lo/block] = scale
	if scale == 0 {
		scale = 1
	}
	return m.codes[t][lo:][:len(src)], scale
}

// Updates implements Optimizer.
func (a *AdamW8) Updates() int { return a.updates }

func (a *AdamW8) state() State {
	s := State{Kind: "adamw8", Updates: &a.updates}
	for _, m := range a.moments {
		for t := range a.sizes {
			if a.sizes[t] < small {
				s.Tensors = append(s.Tensors, m.wide[t])
				continue
			}
			s.Tensors, s.Codes = append(s.Tensors, m.scales[t]), append(s.Codes, m.codes[t])
		}
	}
	return s
}

// WriteTo implements io.WriterTo.
func (a *AdamW8) WriteTo(w io.Writer) (int64, error) { return a.state().WriteTo(w) }

// ReadFrom implements io.ReaderFrom.
func (a *AdamW8) ReadFrom(r io.Reader) (int64, error) { return a.state().ReadFrom(r) }

// Config names an optimizer of this package and holds its constants.
type Config struct {
	Name  string // "adamw", "adamw8bit" or "sgd"
	AdamW AdamWConfig
	SGD   SGDConfig
}

// New returns the optimizer that c names, for the tensors of l.
func New(c Config, l Layout) (Optimizer, error) {
	switch c.Name {
	case "adamw":
		return NewAdamW(c.AdamW, l)
	case "adamw8bit":
		return NewAdamW8(c.AdamW, l)
	case "sgd":
		return NewSGD(c.SGD, l)
	}
	return nil, fmt.Errorf("no optimizer is called %q", c.Name)
}
