package kernel

import "math"

// AdamWStep holds what is common to all elements of one AdamW update.
type AdamWStep struct {
	Keep         float64 // 1 − rate·weight decay
	Rate         float64 // rate/(1−β₁ᵗ)
	Root         float64 // √(1−β₂ᵗ)
	Beta1, Beta2 float64
	Epsilon      float64
}

// AdamW moves parameters p by gradients g and updates the moments m and v, in float64:
//
//	m ← β₁m + (1−β₁)g,  v ← β₂v + (1−β₂)g²,  p ← Keep·p − Rate·m / (√v/Root + ε)
//
// m and v are rounded to float32 where they are stored; p moves by what they were before.
func AdamW(p, g, m, v []float32, s AdamWStep) {
	g, m, v = g[:len(p)], m[:len(p)], v[:len(p)]
	k := [8]float64{s.Keep, s.Rate, s.Root, s.Beta1, 1 - s.Beta1, s.Beta2, 1 - s.Beta2, s.Epsilon}
	for i := adamWFast(&k, p, g, m, v); i < len(p); i++ {
		gi := float64(g[i])
		mi := float64(s.Beta1*float64(m[i])) + float64((1-s.Beta1)*gi)
		vi := float64(s.Beta2*float64(v[i])) + float64((1-s.Beta2)*float64(gi*gi))
		m[i], v[i] = float32(mi), float32(vi)
		p[i] = float32(float64(s.Keep*float64(p[i])) - float64(s.Rate*mi)/(math.Sqrt(vi)/s.Root+s.Epsilon))
	}
}
