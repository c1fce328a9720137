package decoder

import (
	"math"

	"github.com/pipe-run/pipe/steps/internal/kernel"
)

// inverseFrequencies are those of layers without a window.
func (c Config) inverseFrequencies() []float64 { return c.frequencies(c.RopeTheta, c.Rope) }

// frequencies returns theta^(-2i/HeadDim) for i < HeadDim/2, rescaled as scaling
// says, if not nil. The llama3 rule keeps short wavelengths, divides long ones by
// Factor and blends between (transformers, modeling_rope_utils).
func (c Config) frequencies(theta float64, scaling *RopeScaling) []float64 {
	half := c.HeadDim / 2
	inv := make([]float64, half)
	for i := range inv {
		inv[i] = 1 / kernel.Pow64(theta, float64(2*i)/float64(c.HeadDim))
		if scaling == nil {
			continue
		}
		if scaling.Kind == "linear" {
			inv[i] /= scaling.Factor
			continue
		}
		wave := 2 * math.Pi / inv[i]
		switch s := scaling; {
		case wave > s.OriginalPosition/s.LowFreqFactor:
			inv[i] /= s.Factor
		case wave >= s.OriginalPosition/s.HighFreqFactor:
			smooth := (s.OriginalPosition/wave - s.LowFreqFactor) / (s.HighFreqFactor - s.LowFreqFactor)
			inv[i] = float64((1-smooth)*(inv[i]/s.Factor)) + float64(smooth*inv[i])
		}
	}
	return inv
}

// ropes are the rotary tables of a model: of all layers, or of those without a
// window and of those with one. Models of learned positions have none.
type ropes struct{ global, local *ropeTable }

func newRopes(c Config) (r ropes) {
	if c.LearnedPositions {
		return r
	}
	r.global = newRopeTable(c.inverseFrequencies())
	if c.LocalTheta != 0 {
		r.local = newRopeTable(c.frequencies(c.LocalTheta, nil))
	}
	return r
}

// of is the table of a layer; nil for none.
func (r ropes) of(c Config, layer int) *ropeTable {
	if r.local != nil && c.window(layer) > 0 {
		return r.local
	}
	return r.global
}

// grow makes positions 0 to n-1 available.
func (r ropes) grow(n int) {
	for _, t := range []*ropeTable{r.global, r.local} {
		if t != nil {
			t.grow(n)
		}
	}
}

// ropeTable holds cosines and sines of every position up to its length, as
// [positions, HeadDim/2]. It grows on demand and is then only read.
type ropeTable struct {
	inv      []float32
	cos, sin []float32
	n        int
}

func newRopeTable(frequencies []float64) *ropeTable {
	r := &ropeTable{}
	for _, f := range frequencies {
		r.inv = append(r.inv, float32(f))
	}
	return r
}

// grow makes positions 0 to n-1 available. The angle is a float32 product, as
// transformers computes it, so that long positions agree with models trained there.
func (r *ropeTable) grow(n int) {
	if more := (n - r.n) * len(r.inv); more > 0 {
		r.cos = append(make([]float32, 0, len(r.cos)+more), r.cos...)
		r.sin = append(make([]float32, 0, len(r.sin)+more), r.sin...)
	}
	for ; r.n < n; r.n++ {
		for _, f := range r.inv {
			angle := float64(float32(float32(r.n) * f))
			r.cos = append(r.cos, float32(kernel.Cos64(angle)))
			r.sin = append(r.sin, float32(kernel.Sin64(angle)))
		}
	}
}

// rotate applies the rotary position pos to one head x [HeadDim] in place: the
// pairs are (x[i], x[i+HeadDim/2]). sign -1 rotates back, which is also the
// gradient.
func (r *ropeTable) rotate(x []float32, pos int, sign float32) {
	half := len(r.inv)
	kernel.Rotate(x, r.cos[pos*half:][:half], r.sin[pos*half:][:half], sign)
}

// ready makes queries or keys ready for attention: it norms and rotates count
// heads of every token, from x to y, which may be x. A nil norm or table leaves
// that out.
func (s *scratch) ready(nm *norm, t *ropeTable, in input, count int, x, y heads, stats []stat) {
	if nm == nil && t == nil {
		return
	}
	d := s.cfg.HeadDim
	eachRows(s.threads, in.n, func(lo, hi int) {
		for i := lo; i < hi; i++ {
			for h := range count {
				to := y.x[i*y.ld+h*d:][:d]
				if nm != nil {
					from := x.x[i*x.ld+h*d:][:d]
					stats[i*count+h] = nm.statistics(from)
					nm.row(to, from, stats[i*count+h])
				}
				if t != nil {
					t.rotate(to, int(in.positions[i]), 1)
				}
			}
		}
	})
}

// readyBackward turns dy, the gradient of what ready gave, into that of x, what
// it was given, in place. The gradients of the norm's weights go to g.
func (s *scratch) readyBackward(nm *norm, t *ropeTable, in input, count int, x, dy heads, stats []stat, g affine) {
	if nm == nil && t == nil {
		return
	}
	d, sums := s.cfg.HeadDim, s.norm.to(g)
	sums.start(in.n, d)
	eachRows(s.threads, in.n, func(lo, hi int) {
		dw, db := sums.part(lo)
		buf := s.rows.get()
		defer s.rows.put(buf)
		*buf = sized(*buf, d)
		for i := lo; i < hi; i++ {
			for h := range count {
				up := dy.x[i*dy.ld+h*d:][:d]
				if t != nil {
					t.rotate(up, int(in.positions[i]), -1)
				}
				if nm == nil {
					continue
				}
				row, st := x.x[i*x.ld+h*d:][:d], stats[i*count+h]
				clear(*buf)
				nm.rowBackward(*buf, up, row, st)
				if dw != nil {
					nm.rowWeights(dw, db, up, row, st)
				}
				copy(up, *buf)
			}
		}
	})
	sums.finish()
}

// copyRows copies n rows of width elements.
func copyRows(n, width int, from, to heads) {
	for t := range n {
		copy(to.x[t*to.ld:][:width], from.x[t*from.ld:])
	}
}
