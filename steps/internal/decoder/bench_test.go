package decoder

import (
	"math/rand/v2"
	"testing"
)

// smolLM2 is the shape of SmolLM2-135M with one layer and a small vocabulary.
func smolLM2() Config {
	return Config{
		VocabSize: 1024, Hidden: 576, Intermediate: 1536, Layers: 1, Heads: 9, KVHeads: 3, HeadDim: 64,
		Gated: true, Norms: llamaNorms,
		MaxPositions: 8192, Eps: 1e-5, RopeTheta: 1e5, Tied: true, BOS: 1,
	}
}

// BenchmarkBlock is one layer with LoRA of rank 16 on 512 tokens; FLOPs are those
// of the matrix products with the frozen weights.
func BenchmarkBlock(b *testing.B) {
	c := smolLM2()
	s := randomStore(c, 1)
	m, err := FromTensors(c, s.get)
	if err != nil {
		b.Fatal(err)
	}
	const n = 512
	tr := NewTraining(m, n, 2)
	op := tr.NewBlockOp(0, func(string) (Adapt, bool) { return Adapt{Rank: 16, Scale: 2}, true })
	s.fill(rand.New(rand.NewPCG(1, 3)), op.Inputs(), 0, 0.1)
	batch, err := NewBatch(c, make([]int32, n), nil, nil)
	if err != nil {
		b.Fatal(err)
	}
	if err := tr.SetBatch(batch, 1); err != nil {
		b.Fatal(err)
	}
	s.fill(rand.New(rand.NewPCG(1, 4)), []Tensor{{"x", []int{n, c.Hidden}}}, 0, 1)
	in := inputs(op, s, s["x"])
	out := make([]float32, n*c.Hidden)
	grads := make([][]float32, len(in))
	for i := range in {
		grads[i] = make([]float32, len(in[i]))
	}
	var weights float64
	for p := range numProj {
		o, i := c.projShape(p)
		weights += float64(o * i)
	}
	b.Run("forward", func(b *testing.B) {
		for b.Loop() {
			if err := op.Forward(out, in); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(2*weights*n*float64(b.N)/b.Elapsed().Seconds()/1e9, "GFLOP/s")
	})
	b.Run("backward", func(b *testing.B) {
		for b.Loop() {
			if err := op.Backward(grads, in, out, out); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(4*weights*n*float64(b.N)/b.Elapsed().Seconds()/1e9, "GFLOP/s")
	})
}

// BenchmarkToken generates one token after 256.
func BenchmarkToken(b *testing.B) {
	c := smolLM2()
	m, err := FromTensors(c, randomStore(c, 1).get)
	if err != nil {
		b.Fatal(err)
	}
	s := m.NewSession(1)
	if _, err := s.Read(b.Context(), make([]int32, 256)); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		s.n = 256
		if _, err := s.Read(b.Context(), []int32{1}); err != nil {
			b.Fatal(err)
		}
	}
}
