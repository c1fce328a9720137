package decoder

import (
	"math"

	"github.com/pipe-run/pipe/steps/internal/kernel"
)

// inverseFrequencies returns theta^(-2i/HeadDim) for i < HeadDim/2, rescaled as
// Rope says. The llama3 rule keeps short wavelengths, divides long ones by
// Factor and blends between (transformers, modeling_rope_utils).
func (c Config) inverseFrequencies() []float64 {
	half := c.HeadDim / 2
	inv := make([]float64, half)
	for i := range inv {
		inv[i] = 1 / kernel.Pow64(c.RopeTheta, float64(2*i)/float64(c.HeadDim))
		if c.Rope == nil {
			continue
		}
		if c.Rope.Kind == "linear" {
			inv[i] /= c.Rope.Factor
			continue
		}
		wave := 2 * math.Pi / inv[i]
		switch s := c.Rope; {
		case wave > s.OriginalPosition/s.LowFreqFactor:
			inv[i] /= s.Factor
		case wave >= s.OriginalPosition/s.HighFreqFactor:
			smooth := (s.OriginalPosition/wave - s.LowFreqFactor) / (s.HighFreqFactor - s.LowFreqFactor)
			inv[i] = float64((1-smooth)*(inv[i]/s.Factor)) + float64(smooth*inv[i])
		}
	}
	return inv
}

// ropeTable holds cosines and sines of every position up to its length, as
// [positions, HeadDim/2]. It grows on demand and is then only read.
type ropeTable struct {
	inv      []float32
	cos, sin []float32
	n        int
}

func newRopeTable(c Config) *ropeTable {
	r := &ropeTable{}
	for _, f := range c.inverseFrequencies() {
		r.inv = append(r.inv, float32(f))
	}
	return r
}

// grow makes positions 0 to n-1 available. The angle is a float32 product, as
// transformers computes it, so that long positions agree with models trained there.
func (r *ropeTable) grow(n int) {
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
	cos := r.cos[pos*half : (pos+1)*half]
	sin := r.sin[pos*half : (pos+1)*half]
	lo, hi := x[:half], x[half:2*half]
	for i := range lo {
		a, b, s := lo[i], hi[i], float32(sign*sin[i])
		lo[i] = float32(a*cos[i]) - float32(b*s)
		hi[i] = float32(b*cos[i]) + float32(a*s)
	}
}
