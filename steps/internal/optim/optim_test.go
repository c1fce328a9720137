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
	a := must(NewAdamW(AdamWConfig{Beta1: 0.9, Beta2: 0.99, WeightDecay: 0.1}, Layout{Sizes: []int{1}}))
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
	a := must(NewAdamW(cfg, Layout{Sizes: []int{300}}))
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
	l := Layout{Sizes: []int{1, 1}, Decay: []bool{true, false}}
	c := AdamWConfig{Beta1: 0.9, Beta2: 0.999, Epsilon: 1e-8, WeightDecay: 0.5}
	for name, o := range map[string]Optimizer{
		"adamw":     must(NewAdamW(c, l)),
		"adamw8bit": must(NewAdamW8(c, l)),
		"sgd":       must(NewSGD(SGDConfig{WeightDecay: 0.5}, l)),
		"momentum":  must(NewSGD(SGDConfig{WeightDecay: 0.5, Momentum: 0.9}, l)),
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
	for _, c := range []struct {
		nesterov bool
		want     []float32
	}{
		{false, []float32{0.8, 0.5}},
		{true, []float32{0.7, 0.35}}, // moves by 2 + 0.5·2 and 2 + 0.5·3
	} {
		s := must(NewSGD(SGDConfig{Momentum: 0.5, Nesterov: c.nesterov}, Layout{Sizes: []int{1}}))
		p := [][]float32{{1}}
		for _, want := range c.want {
			s.Update(1, 0.1, p, [][]float32{{2}})
			if math.Abs(float64(p[0][0]-want)) > 1e-7 {
				t.Errorf("nesterov %v: got %v, want %v", c.nesterov, p[0][0], want)
			}
		}
	}
}

// TestSGDDecaysThroughTheGradient: p = 2, g = 0, λ = 0.5, μ = 0.9, rate 0.1, as
// PyTorch has it: g = 1, v = 1, p = 1.9; g = 0.95, v = 1.85, p = 1.715.
func TestSGDDecaysThroughTheGradient(t *testing.T) {
	s := must(NewSGD(SGDConfig{Momentum: 0.9, WeightDecay: 0.5}, Layout{Sizes: []int{1}}))
	p := [][]float32{{2}}
	for _, want := range []float32{1.9, 1.715} {
		s.Update(1, 0.1, p, [][]float32{{0}})
		if math.Abs(float64(p[0][0]-want)) > 1e-6 {
			t.Errorf("got %v, want %v", p[0][0], want)
		}
	}
}

// TestRates: a tensor's factor is as good as another learning rate.
func TestRates(t *testing.T) {
	sizes := []int{5000, 5000}
	for name, build := range optimizers(Layout{Sizes: sizes, Rates: []float64{1, 16}}) {
		p := random(1, sizes...)
		q := clone(p)
		a, b := build(), optimizers(Layout{Sizes: sizes})[name]()
		g := random(2, sizes...)
		a.Update(1, 0.01, p, g)
		b.Update(1, 0.16, q, g)
		if slices.Equal(p[0], q[0]) || !slices.Equal(p[1], q[1]) {
			t.Errorf("%s: the factor 16 is not a rate 16 times as high", name)
		}
	}
}

func must[O Optimizer](o O, err error) O {
	if err != nil {
		panic(err)
	}
	return o
}

func optimizers(l Layout) map[string]func() Optimizer {
	c := AdamWConfig{Beta1: 0.9, Beta2: 0.95, Epsilon: 1e-8, WeightDecay: 0.1}
	return map[string]func() Optimizer{
		"adamw":     func() Optimizer { return must(NewAdamW(c, l)) },
		"adamw8bit": func() Optimizer { return must(NewAdamW8(c, l)) },
		"sgd":       func() Optimizer { return must(NewSGD(SGDConfig{Momentum: 0.9, WeightDecay: 0.1}, l)) },
		"sgdPlain":  func() Optimizer { return must(NewSGD(SGDConfig{}, l)) },
	}
}

func TestThreadsChangeNothing(t *testing.T) {
	sizes := []int{3*chunk + 17, 5, chunk}
	for name, make := range optimizers(Layout{Sizes: sizes}) {
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
	for name, make := range optimizers(Layout{Sizes: sizes}) {
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
	must(NewAdamW(AdamWConfig{}, Layout{Sizes: []int{4, 2}})).WriteTo(&buf)
	for want, o := range map[string]Optimizer{
		"of kind":          must(NewSGD(SGDConfig{Momentum: 1}, Layout{Sizes: []int{4, 2}})),
		"tensors 4":        must(NewAdamW(AdamWConfig{}, Layout{Sizes: []int{4}})),
		"tensor 1 of size": must(NewAdamW(AdamWConfig{}, Layout{Sizes: []int{4, 3}})),
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
		{Schedule{Constant, 1, 0, 10, 0, 0}, 0, 1},
		{Schedule{Constant, 1, 4, 10, 0, 0}, 0, 0},
		{Schedule{Constant, 1, 4, 10, 0, 0}, 3, 0.75},
		{Schedule{Constant, 1, 4, 10, 0, 0}, 9, 1},
		{Schedule{Linear, 1, 0, 10, 0, 0}, 0, 1},
		{Schedule{Linear, 1, 2, 10, 0, 0}, 1, 0.5},
		{Schedule{Linear, 1, 2, 10, 0, 0}, 2, 1},
		{Schedule{Linear, 1, 2, 10, 0, 0}, 6, 0.5},
		{Schedule{Linear, 1, 2, 10, 0, 0}, 10, 0},
		{Schedule{Cosine, 1, 0, 10, 0, 0}, 0, 1},
		{Schedule{Cosine, 1, 2, 10, 0, 0}, 4, 0.8535533905932737},
		{Schedule{Cosine, 1, 2, 10, 0, 0}, 6, 0.5},
		{Schedule{Cosine, 2, 2, 10, 0, 0}, 8, 2 * 0.14644660940672627},
		{Schedule{Cosine, 1, 2, 10, 0, 0}, 12, 0},
		{Schedule{Cosine, 1, 10, 10, 0, 0}, 10, 1},
		{Schedule{Linear, 1, 0, 10, 0, 0.2}, 5, 0.6},
		{Schedule{Linear, 2, 0, 10, 0, 0.2}, 10, 0.4},
		{Schedule{Cosine, 1, 2, 10, 0, 0.1}, 6, 0.55},
		{Schedule{Cosine, 1, 2, 10, 0, 0.1}, 10, 0.1},
		{Schedule{WSD, 1, 2, 10, 4, 0}, 1, 0.5},
		{Schedule{WSD, 1, 2, 10, 4, 0}, 2, 1},
		{Schedule{WSD, 1, 2, 10, 4, 0}, 6, 1},
		{Schedule{WSD, 1, 2, 10, 4, 0}, 7, 0.75},
		{Schedule{WSD, 1, 2, 10, 4, 0}, 9, 0.25},
		{Schedule{WSD, 1, 2, 10, 4, 0.5}, 8, 0.75},
		{Schedule{WSD, 1, 4, 10, 20, 0}, 7, 0.5}, // decays from the warm-up on
	} {
		if got := c.s.Rate(c.i); math.Abs(got-c.want) > 1e-12 {
			t.Errorf("%+v at %d: %v, want %v", c.s, c.i, got, c.want)
		}
	}
}

// TestSteady: up to there a longer training has the same rates, and no further.
func TestSteady(t *testing.T) {
	for _, c := range []struct {
		s    Schedule
		want int
	}{
		{Schedule{Constant, 1, 3, 10, 0, 0}, 10},
		{Schedule{WSD, 1, 3, 10, 4, 0}, 6},
		{Schedule{WSD, 1, 8, 10, 4, 0}, 8},
		{Schedule{Linear, 1, 3, 10, 0, 0}, 3},
		{Schedule{Cosine, 1, 30, 10, 0, 0}, 10},
	} {
		if got := c.s.Steady(); got != c.want {
			t.Errorf("%+v: %d, want %d", c.s, got, c.want)
		}
		longer := c.s
		longer.Updates *= 2
		for i := range c.want {
			if c.s.Rate(i) != longer.Rate(i) {
				t.Errorf("%+v: update %d has another rate when training is longer", c.s, i)
			}
		}
	}
}
