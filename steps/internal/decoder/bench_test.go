package decoder

import (
	"fmt"
	"math/rand/v2"
	"syscall"
	"testing"

	"github.com/pipe-run/pipe/steps/internal/tensor"
)

// smolLM2 is the shape of SmolLM2-135M with one layer and a small vocabulary.
func smolLM2() Config {
	return Config{
		VocabSize: 1024, Hidden: 576, Intermediate: 1536, Layers: 1, Heads: 9, KVHeads: 3, HeadDim: 64,
		Gated: true, Norms: llamaNorms,
		MaxPositions: 8192, Eps: 1e-5, RopeTheta: 1e5, Tied: true, BOS: 1,
	}
}

// benchModel is a model of random weights laid out as Load lays out float32
// weights for training.
func benchModel(tb testing.TB, c Config) *Model {
	m, err := FromTensors(c, randomStore(c, 1).get)
	if err != nil {
		tb.Fatal(err)
	}
	lay := func(l Linear) Linear {
		r := l.(raw)
		return &packed{forward: tensor.PackNT(2, r.out, r.in, r.w), backward: tensor.PackNN(2, r.in, r.out, r.w)}
	}
	m.head = lay(m.head)
	for i := range m.blocks {
		for p, l := range m.blocks[i].lin {
			if l != nil {
				m.blocks[i].lin[p] = lay(l)
			}
		}
	}
	return m
}

// update is one microbatch of a LoRA training, forward and backward, through
// buffers as a tape machine lends them.
type update struct {
	tr     *Training
	blocks []op
	loss   op
	params store
	grads  store
	xs     [][]float32
	dx     [2][]float32
	in, to [][][]float32 // of blocks
	spec   Spec
}

// newUpdate is an update of rank 16 in all linears over count documents of length
// tokens, all of them supervised.
func newUpdate(tb testing.TB, c Config, threads, keep, count, length int) *update {
	m := benchModel(tb, c)
	u := &update{tr: NewTraining(m, count*length, threads), params: store{}, grads: store{}}
	u.tr.Keep(keep)
	adapt := func(string) (Adapt, bool) { return Adapt{Rank: 16, Scale: 2}, true }
	u.spec = Spec{Config: c, Tokens: count * length, Longest: length, Rows: count * length, Threads: threads, Keep: keep, Adapt: adapt}
	r := rand.New(rand.NewPCG(1, 3))
	var ids, positions []int32
	var labels []int64
	for range count {
		for i := range length {
			id := r.IntN(c.VocabSize)
			ids, positions, labels = append(ids, int32(id)), append(positions, int32(i)), append(labels, int64(id))
		}
	}
	b, err := NewBatch(c, ids, positions, labels)
	if err == nil {
		err = u.tr.SetBatch(b, float64(len(b.Rows)))
	}
	if err != nil {
		tb.Fatal(err)
	}
	buffer := func() []float32 { return make([]float32, len(ids)*c.Hidden) }
	u.dx = [2][]float32{buffer(), buffer()}
	u.xs = append(u.xs, buffer())
	for i := range c.Layers {
		o := u.tr.NewBlockOp(i, adapt)
		u.params.fill(r, o.Inputs(), 0, 0.02)
		u.grads.fill(r, o.Inputs(), 0, 0.02)
		u.blocks = append(u.blocks, o)
		u.xs = append(u.xs, buffer())
		u.in = append(u.in, inputs(o, u.params, u.xs[i]))
		u.to = append(u.to, inputs(o, u.grads, u.dx[i%2]))
	}
	u.to[0][0] = nil
	u.loss = u.tr.NewLossOp()
	return u
}

func (u *update) run(tb testing.TB) {
	u.tr.Embed(u.xs[0])
	try := func(err error) {
		if err != nil {
			tb.Fatal(err)
		}
	}
	for i, b := range u.blocks {
		try(b.Forward(u.xs[i+1], u.in[i]))
	}
	n := len(u.blocks)
	var out [1]float32
	try(u.loss.Forward(out[:], [][]float32{u.xs[n]}))
	try(u.loss.Backward([][]float32{u.dx[n%2]}, [][]float32{u.xs[n]}, out[:], []float32{1}))
	for i := n - 1; i >= 0; i-- {
		try(u.blocks[i].Backward(u.to[i], u.in[i], u.xs[i+1], u.dx[(i+1)%2]))
	}
}

// BenchmarkUpdate is a LoRA update of SmolLM2-135M's shape, of 4 of its 30 layers
// and as large a part of its vocabulary, over 8 documents of 512 tokens. Its rates
// are the operations of matrix products per second of wall time and of processor
// time; "of-gemm" is the latter over that of the frozen matrices' products alone,
// run one after another right before.
func BenchmarkUpdate(b *testing.B) {
	c := smolLM2()
	c.VocabSize, c.Layers = 49152*4/30, 4
	for _, threads := range []int{1, 2} {
		for _, keep := range []int{0, c.Layers} {
			b.Run(fmt.Sprintf("threads=%d/keep=%d", threads, keep), func(b *testing.B) {
				u := newUpdate(b, c, threads, keep, 8, 512)
				u.run(b)
				gemm := u.products()
				before := processorTime()
				for b.Loop() {
					u.run(b)
				}
				flops := float64(b.N) * 8 * u.spec.UpdateCost().FLOPs(512, 511) / 1e9
				rate := flops / (processorTime() - before)
				b.ReportMetric(flops/b.Elapsed().Seconds(), "GFLOP/s")
				b.ReportMetric(rate, "GFLOP/cpu-s")
				b.ReportMetric(rate/gemm, "of-gemm")
			})
		}
	}
}

// products runs the products with frozen matrices of a block and the head, and
// returns their rate in GFLOP per second of processor time.
func (u *update) products() float64 {
	m, n := u.tr.m, u.tr.tokens
	wide := max(m.Intermediate, m.Hidden)
	x, y := make([]float32, n*wide), make([]float32, n*wide)
	for i := range x {
		x[i] = float32(i%17) - 8
	}
	var flops float64
	before := processorTime()
	for range 2 {
		for p, l := range m.blocks[0].lin {
			out, in := m.projShape(p)
			l.Forward(u.spec.Threads, n, x, y, false)
			l.Backward(u.spec.Threads, n, x, y, false)
			flops += 4 * float64(n*out*in)
		}
		rows := m.LossChunk()
		logits := u.tr.hs.logits[:rows*m.VocabSize]
		m.head.Forward(u.spec.Threads, rows, x, logits, false)
		m.head.Backward(u.spec.Threads, rows, logits, y, false)
		flops += 4 * float64(rows*m.VocabSize*m.Hidden)
	}
	return flops / 1e9 / (processorTime() - before)
}

func processorTime() float64 {
	var r syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
		panic(err)
	}
	return float64(r.Utime.Nano()+r.Stime.Nano()) / 1e9
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
