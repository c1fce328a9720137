package optim

import (
	"bytes"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

func random(seed uint64, sizes ...int) [][]float32 {
	r := rand.New(rand.NewPCG(seed, 7))
	out := make([][]float32, len(sizes))
	for i, n := range sizes {
		out[i] = make([]float32, n)
		for j := range out[i] {
			out[i][j] = float32(r.NormFloat64())
		}
	}
	return out
}

func clone(x [][]float32) [][]float32 {
	out := make([][]float32, len(x))
	for i := range x {
		out[i] = slices.Clone(x[i])
	}
	return out
}

func equal(a, b [][]float32) bool { return slices.EqualFunc(a, b, slices.Equal) }

// TestAdamWByHand follows two updates worked out on paper for p = 1, g = 0.5
// and then g = −1, with β₁ = 0.9, β₂ = 0.99, ε = 0, λ = 0.1, rate = 0.1:
//
//	m = 0.05, v = 0.0025; m̂ = 0.5, v̂ = 0.25; p = 0.99 − 0.1·1 = 0.89
//	m = −0.055, v = 0.012475; m̂ = −0.28947…, v̂ = 0.62688…; p = 0.8811 + 0.0365603…
func TestAdamWByHand(t *testing.T) {
	a := NewAdamW(AdamWConfig{Beta1: 0.9, Beta2: 0.99, WeightDecay: 0.1}, []int{1}, nil)
	p := [][]float32{{1}}
	for i, c := range []struct{ g, want float64 }{{0.5, 0.89}, {-1, 0.8811 + 0.1*(0.055/0.19)/math.Sqrt(0.012475/0.0199)}} {
		a.Update(1, 0.1, p, [][]float32{{float32(c.g)}})
		if math.Abs(float64(p[0][0])-c.want) > 1e-7 {
			t.Errorf("after update %d: %v, want %v", i+1, p[0][0], c.want)
		}
	}
}

// TestAdamWAgainstReference compares 200 updates with a float64 reference
// written from the paper, in which hatted moments are explicit.
func TestAdamWAgainstReference(t *testing.T) {
	cfg := AdamWConfig{Beta1: 0.9, Beta2: 0.999, Epsilon: 1e-8, WeightDecay: 0.01}
	p := random(1, 300)
	ref, m, v := make([]float64, 300), make([]float64, 300), make([]float64, 300)
	for i, x := range p[0] {
		ref[i] = float64(x)
	}
	a := NewAdamW(cfg, []int{300}, nil)
	for n := 1; n <= 200; n++ {
		g := random(uint64(n+5), 300)
		a.Update(2, 1e-2, p, g)
		for i, x := range g[0] {
			gi := float64(x)
			m[i] = cfg.Beta1*m[i] + (1-cfg.Beta1)*gi
			v[i] = cfg.Beta2*v[i] + (1-cfg.Beta2)*gi*gi
			mh, vh := m[i]/(1-math.Pow(cfg.Beta1, float64(n))), v[i]/(1-math.Pow(cfg.Beta2, float64(n)))
			ref[i] -= 1e-2 * (mh/(math.Sqrt(vh)+cfg.Epsilon) + cfg.WeightDecay*ref[i])
		}
	}
	for i := range ref {
		// The reference decays the parameter after the gradient is known, we before: the same to first order.
		if d := math.Abs(float64(p[0][i]) - ref[i]); d > 2e-5 {
			t.Fatalf("element %d: %v, reference %v", i, p[0][i], ref[i])
		}
	}
}

func TestDecaySkipsTensors(t *testing.T) {
	for name, o := range map[string]Optimizer{
		"adamw": NewAdamW(AdamWConfig{Beta1: 0.9, Beta2: 0.999, Epsilon: 1e-8, WeightDecay: 0.5}, []int{1, 1}, []bool{true, false}),
		"sgd":   NewSGD(SGDConfig{WeightDecay: 0.5}, []int{1, 1}, []bool{true, false}),
	} {
		p := [][]float32{{2}, {2}}
		o.Update(1, 0.1, p, [][]float32{{0}, {0}})
		if p[0][0] != 1.9 || p[1][0] != 2 {
			t.Errorf("%s: %v, want 1.9 and 2", name, p)
		}
	}
}

// TestSGDByHand: p = 1, g = 2 twice, μ = 0.5, rate 0.1: v = 2 and 3, p = 0.8 and 0.5.
func TestSGDByHand(t *testing.T) {
	s := NewSGD(SGDConfig{Momentum: 0.5}, []int{1}, nil)
	p := [][]float32{{1}}
	for _, want := range []float32{0.8, 0.5} {
		s.Update(1, 0.1, p, [][]float32{{2}})
		if math.Abs(float64(p[0][0]-want)) > 1e-7 {
			t.Errorf("got %v, want %v", p[0][0], want)
		}
	}
}

func optimizers(sizes []int) map[string]func() Optimizer {
	return map[string]func() Optimizer{
		"adamw": func() Optimizer {
			return NewAdamW(AdamWConfig{Beta1: 0.9, Beta2: 0.95, Epsilon: 1e-8, WeightDecay: 0.1}, sizes, nil)
		},
		"sgd":      func() Optimizer { return NewSGD(SGDConfig{Momentum: 0.9, WeightDecay: 0.1}, sizes, nil) },
		"sgdPlain": func() Optimizer { return NewSGD(SGDConfig{}, sizes, nil) },
	}
}

func TestThreadsChangeNothing(t *testing.T) {
	sizes := []int{3*chunk + 17, 5, chunk}
	for name, make := range optimizers(sizes) {
		var want [][]float32
		var norm float64
		for _, threads := range []int{1, 2, 3, 7} {
			o, p := make(), random(3, sizes...)
			var n float64
			for i := range uint64(3) {
				g := random(10+i, sizes...)
				n = Clip(threads, 1, g)
				o.Update(threads, 0.1, p, g)
			}
			if want == nil {
				want, norm = p, n
			}
			if !equal(want, p) || n != norm {
				t.Errorf("%s: %d threads differ from one", name, threads)
			}
		}
	}
}

func TestStateRoundTrip(t *testing.T) {
	sizes := []int{chunk + 3, 4}
	for name, make := range optimizers(sizes) {
		a, p := make(), random(1, sizes...)
		for i := range uint64(3) {
			a.Update(1, 0.1, p, random(i+2, sizes...))
		}
		var buf bytes.Buffer
		if n, err := a.WriteTo(&buf); err != nil || n != int64(buf.Len()) {
			t.Fatalf("%s: wrote %d of %d: %v", name, n, buf.Len(), err)
		}
		b, q := make(), clone(p)
		saved := slices.Clone(buf.Bytes())
		if n, err := b.ReadFrom(&buf); err != nil || n != int64(len(saved)) || b.Updates() != 3 {
			t.Fatalf("%s: read %d of %d, %d updates: %v", name, n, len(saved), b.Updates(), err)
		}
		g := random(9, sizes...)
		a.Update(1, 0.1, p, g)
		b.Update(1, 0.1, q, g)
		if !equal(p, q) {
			t.Errorf("%s: an update after a round trip differs", name)
		}
		for _, cut := range []int{0, 7, 20, len(saved) - 1} {
			if _, err := make().ReadFrom(bytes.NewReader(saved[:cut])); err == nil {
				t.Errorf("%s: state cut to %d bytes is accepted", name, cut)
			}
		}
	}
}

func TestStateOfAnotherShapeIsRefused(t *testing.T) {
	var buf bytes.Buffer
	NewAdamW(AdamWConfig{}, []int{4, 2}, nil).WriteTo(&buf)
	for want, o := range map[string]Optimizer{
		"of kind":          NewSGD(SGDConfig{Momentum: 1}, []int{4, 2}, nil),
		"tensors 4":        NewAdamW(AdamWConfig{}, []int{4}, nil),
		"tensor 1 of size": NewAdamW(AdamWConfig{}, []int{4, 3}, nil),
	} {
		if _, err := o.ReadFrom(bytes.NewReader(buf.Bytes())); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}

func TestClip(t *testing.T) {
	g := [][]float32{{3}, {0, 4}}
	if n := Clip(1, 10, g); n != 5 || g[0][0] != 3 {
		t.Errorf("norm %v, gradients %v", n, g)
	}
	if n := Clip(1, 0, g); n != 5 || g[0][0] != 3 {
		t.Errorf("0 must not clip: norm %v, gradients %v", n, g)
	}
	if n := Clip(1, 1, g); n != 5 || math.Abs(float64(g[0][0])-0.6) > 1e-6 || math.Abs(float64(g[1][1])-0.8) > 1e-6 {
		t.Errorf("norm %v, gradients %v", n, g)
	}
}

func TestNormIsExactWhereFloat32IsNot(t *testing.T) {
	g := make([]float32, 1<<20)
	for i := range g {
		g[i] = 1e-3
	}
	g[0] = 4096
	want := math.Sqrt(4096*4096 + float64(float32(1e-3))*float64(float32(1e-3))*float64(len(g)-1))
	if n := Norm(1, [][]float32{g}); math.Abs(n-want) > 1e-7 {
		t.Errorf("norm %v, want %v", n, want)
	}
}

// TestSchedule has values worked out from the formulas of transformers'
// optimization.py for a peak of 1.
func TestSchedule(t *testing.T) {
	for _, c := range []struct {
		s    Schedule
		i    int
		want float64
	}{
		{Schedule{Constant, 1, 0, 10}, 0, 1},
		{Schedule{Constant, 1, 4, 10}, 0, 0},
		{Schedule{Constant, 1, 4, 10}, 3, 0.75},
		{Schedule{Constant, 1, 4, 10}, 9, 1},
		{Schedule{Linear, 1, 0, 10}, 0, 1},
		{Schedule{Linear, 1, 2, 10}, 1, 0.5},
		{Schedule{Linear, 1, 2, 10}, 2, 1},
		{Schedule{Linear, 1, 2, 10}, 6, 0.5},
		{Schedule{Linear, 1, 2, 10}, 10, 0},
		{Schedule{Cosine, 1, 0, 10}, 0, 1},
		{Schedule{Cosine, 1, 2, 10}, 4, 0.8535533905932737},
		{Schedule{Cosine, 1, 2, 10}, 6, 0.5},
		{Schedule{Cosine, 2, 2, 10}, 8, 2 * 0.14644660940672627},
		{Schedule{Cosine, 1, 2, 10}, 12, 0},
		{Schedule{Cosine, 1, 10, 10}, 10, 1},
	} {
		if got := c.s.Rate(c.i); math.Abs(got-c.want) > 1e-12 {
			t.Errorf("%+v at %d: %v, want %v", c.s, c.i, got, c.want)
		}
	}
}
