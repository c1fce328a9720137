package decoder

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// small is a configuration in which every width differs.
func small(tied bool) Config {
	return Config{
		VocabSize: 19, Hidden: 12, Intermediate: 20, Layers: 2, Heads: 6, KVHeads: 2, HeadDim: 4,
		Gated: true, Norms: llamaNorms,
		MaxPositions: 512, Eps: 1e-5, RopeTheta: 10000, Tied: tied, BOS: 1, Stop: []int32{2},
	}
}

// store is a set of named tensors.
type store map[string][]float32

func (s store) get(name string) []float32 { return s[name] }

// fill adds random tensors around mean.
func (s store) fill(r *rand.Rand, list []Tensor, mean, spread float64) {
	for _, t := range list {
		n := 1
		for _, d := range t.Shape {
			n *= d
		}
		x := make([]float32, n)
		for i := range x {
			x[i] = float32(mean + float64(spread*(4*r.Float64()-2)))
		}
		s[t.Name] = x
	}
}

func (s store) double() map[string][]float64 {
	d := map[string][]float64{}
	for name, x := range s {
		for _, v := range x {
			d[name] = append(d[name], float64(v))
		}
	}
	return d
}

// randomStore holds the weights of c.
func randomStore(c Config, seed uint64) store {
	r := rand.New(rand.NewPCG(seed, 1))
	s := store{}
	for _, t := range c.Tensors() {
		if len(t.Shape) == 1 {
			s.fill(r, []Tensor{t}, 1, 0.2)
		} else {
			s.fill(r, []Tensor{t}, 0, 0.4)
		}
	}
	return s
}

// op is what BlockOp, EmbedOp and LossOp have in common.
type op interface {
	Inputs() []Tensor
	Key() string
	OutShape(in [][]int) ([]int, error)
	Forward(out []float32, in [][]float32) error
	Backward(grads, in [][]float32, out, gradOut []float32) error
}

// run takes a batch through the ops forward and backward as a tape machine
// would, and returns the loss and the gradient of every trained tensor.
func run(t *testing.T, tr *Training, embedOp op, blocks []op, loss op, params store) (float32, store) {
	t.Helper()
	h := tr.m.Hidden
	xs := [][]float32{make([]float32, tr.tokens*h)}
	if embedOp == nil {
		tr.Embed(xs[0])
	} else if err := embedOp.Forward(xs[0], inputs(embedOp, params, nil)); err != nil {
		t.Fatal(err)
	}
	for i, b := range blocks {
		xs = append(xs, make([]float32, tr.tokens*h))
		if err := b.Forward(xs[i+1], inputs(b, params, xs[i])); err != nil {
			t.Fatal(err)
		}
	}
	out := make([]float32, 1)
	last := len(blocks)
	if err := loss.Forward(out, inputs(loss, params, xs[last])); err != nil {
		t.Fatal(err)
	}
	grads := store{}
	dy := back(t, loss, params, xs[last], out, []float32{1}, grads)
	for i := last - 1; i >= 0; i-- {
		dy = back(t, blocks[i], params, xs[i], xs[i+1], dy, grads)
	}
	if embedOp != nil {
		back(t, embedOp, params, nil, xs[0], dy, grads)
	}
	return out[0], grads
}

func inputs(o op, params store, x []float32) [][]float32 {
	var in [][]float32
	if x != nil {
		in = append(in, x)
	}
	for _, p := range o.Inputs() {
		in = append(in, params[p.Name])
	}
	return in
}

// back runs one Backward into buffers of NaN, adds to grads and returns dx.
func back(t *testing.T, o op, params store, x, out, gradOut []float32, grads store) []float32 {
	t.Helper()
	in := inputs(o, params, x)
	g := make([][]float32, len(in))
	for i := range in {
		g[i] = slices.Repeat([]float32{float32(math.NaN())}, len(in[i]))
	}
	if err := o.Backward(g, in, out, gradOut); err != nil {
		t.Fatal(err)
	}
	first := len(in) - len(o.Inputs())
	for i, p := range o.Inputs() {
		if sum := grads[p.Name]; sum != nil {
			for j, v := range g[first+i] {
				sum[j] += v
			}
			continue
		}
		grads[p.Name] = g[first+i]
	}
	return g[0]
}

// twoDocuments is a packed batch with unsupervised stretches.
func twoDocuments(t *testing.T, c Config, lengths ...int) *Batch {
	t.Helper()
	r := rand.New(rand.NewPCG(7, 7))
	var ids, pos []int32
	var labels []int64
	for _, n := range lengths {
		for i := range n {
			id := r.IntN(c.VocabSize)
			ids, pos = append(ids, int32(id)), append(pos, int32(i))
			if r.IntN(3) == 0 {
				labels = append(labels, Ignore)
			} else {
				labels = append(labels, int64(id))
			}
		}
	}
	b, err := NewBatch(c, ids, pos, labels)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// checkGradients compares every n-th element of every gradient with a central
// difference of the naive model.
func checkGradients(t *testing.T, nv naive, b *Batch, count int, grads store, every int) {
	t.Helper()
	names := make([]string, 0, len(grads))
	for name := range grads {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		var worst, size float64
		for i := 0; i < len(grads[name]); i += every {
			at, eps := nv.w[name][i], 1e-5
			nv.w[name][i] = at + eps
			up := nv.loss(b, float64(count))
			nv.w[name][i] = at - eps
			down := nv.loss(b, float64(count))
			nv.w[name][i] = at
			want := (up - down) / (2 * eps)
			worst = max(worst, math.Abs(want-float64(grads[name][i])))
			size = max(size, math.Abs(want))
		}
		if !(worst <= 1e-4*size+1e-8) {
			t.Errorf("%s: gradient is off by %.3g where its largest element is %.3g", name, worst, size)
		}
	}
}

func TestLoRAGradients(t *testing.T) {
	for _, tied := range []bool{false, true} {
		c := small(tied)
		s := randomStore(c, 1)
		m, err := FromTensors(c, s.get)
		if err != nil {
			t.Fatal(err)
		}
		tr := NewTraining(m, 20, 2)
		adapt := func(module string) (Adapt, bool) {
			return Adapt{Rank: 3, Scale: 0.5}, module != "model.layers.1.mlp.up_proj"
		}
		var blocks []op
		for i := range c.Layers {
			b := tr.NewBlockOp(i, adapt)
			s.fill(rand.New(rand.NewPCG(uint64(i), 3)), b.Inputs(), 0, 0.3)
			blocks = append(blocks, b)
		}
		b := twoDocuments(t, c, 9, 6)
		if err := tr.SetBatch(b, 17); err != nil {
			t.Fatal(err)
		}
		loss, grads := run(t, tr, nil, blocks, tr.NewLossOp(), s)
		if len(grads) != 26 {
			t.Fatalf("%d gradients, want 26", len(grads))
		}
		nv := naive{c, s.double(), 0.5}
		if want := nv.loss(b, 17); math.Abs(float64(loss)-want) > 1e-5*want {
			t.Errorf("loss %v, want %v", loss, want)
		}
		checkGradients(t, nv, b, 17, grads, 71)
	}
}

func TestFullGradients(t *testing.T) {
	for _, tied := range []bool{false, true} {
		c := small(tied)
		s := randomStore(c, 2)
		tr := NewTraining(Skeleton(c), 16, 2)
		var blocks []op
		for i := range c.Layers {
			blocks = append(blocks, tr.NewFullBlockOp(i))
		}
		b := twoDocuments(t, c, 9, 6)
		if err := tr.SetBatch(b, 10); err != nil {
			t.Fatal(err)
		}
		_, grads := run(t, tr, tr.NewEmbedOp(), blocks, tr.NewFullLossOp(), s)
		if len(grads) != len(c.Tensors()) {
			t.Fatalf("%d gradients, want %d", len(grads), len(c.Tensors()))
		}
		checkGradients(t, naive{c, s.double(), 0}, b, 10, grads, 97)
	}
}

// TestLongDocuments crosses the tiles of attention and the chunks of the head.
func TestLongDocuments(t *testing.T) {
	c := small(true)
	c.Layers = 1
	s := randomStore(c, 3)
	tr := NewTraining(Skeleton(c), 250, 2)
	b := twoDocuments(t, c, 150, 1, 90)
	if err := tr.SetBatch(b, 100); err != nil {
		t.Fatal(err)
	}
	tr.s.attn.part = 40
	loss := tr.NewFullLossOp()
	loss.head.rows = 50
	_, grads := run(t, tr, tr.NewEmbedOp(), []op{tr.NewFullBlockOp(0)}, loss, s)
	checkGradients(t, naive{c, s.double(), 0}, b, 100, grads, 401)
}

func TestThreadsDoNotMatter(t *testing.T) {
	c := small(false)
	s := randomStore(c, 4)
	b := twoDocuments(t, c, 100, 70)
	var first store
	for _, threads := range []int{1, 2, 5} {
		tr := NewTraining(Skeleton(c), 200, threads)
		tr.s.attn.part = 40
		if err := tr.SetBatch(b, 100); err != nil {
			t.Fatal(err)
		}
		blocks := []op{tr.NewFullBlockOp(0), tr.NewFullBlockOp(1)}
		_, grads := run(t, tr, tr.NewEmbedOp(), blocks, tr.NewFullLossOp(), s)
		if first == nil {
			first = grads
			continue
		}
		for name, g := range grads {
			if !slices.Equal(g, first[name]) {
				t.Errorf("%s: gradients differ between 1 and %d threads", name, threads)
			}
		}
	}
}

func TestOutShapeRefuses(t *testing.T) {
	c := small(true)
	tr := NewTraining(Skeleton(c), 8, 1)
	good := [][]int{{8, 12}, {12}, {19, 12}}
	loss := tr.NewFullLossOp()
	if shape, err := loss.OutShape(good); err != nil || len(shape) != 0 {
		t.Errorf("shape %v, %v", shape, err)
	}
	for _, bad := range [][][]int{{{8, 12}}, {{9, 12}, {12}, {19, 12}}, {{8, 12}, {12}, {12, 19}}} {
		if _, err := loss.OutShape(bad); err == nil {
			t.Errorf("%v was accepted", bad)
		}
	}
	if tr.NewFullBlockOp(0).Key() == tr.NewFullBlockOp(1).Key() {
		t.Error("two blocks have one key")
	}
}

func TestSetBatchRefuses(t *testing.T) {
	c := small(true)
	tr := NewTraining(Skeleton(c), 4, 1)
	if err := tr.SetBatch(twoDocuments(t, c, 5), 1); err == nil {
		t.Error("a batch of 5 tokens was accepted in a training of 4")
	}
	if err := tr.SetBatch(twoDocuments(t, c, 4), 0); err == nil {
		t.Error("a count of 0 was accepted")
	}
}

func TestNewBatchRefuses(t *testing.T) {
	c := small(true)
	cases := []struct {
		ids, pos []int32
		labels   []int64
	}{
		{nil, nil, nil},
		{[]int32{19}, nil, nil},
		{[]int32{-1}, nil, nil},
		{[]int32{1, 2}, []int32{0}, nil},
		{[]int32{1, 2}, []int32{1, 2}, nil},
		{[]int32{1, 2}, []int32{0, 2}, nil},
		{[]int32{1, 2}, nil, []int64{1, 19}},
		{[]int32{1, 2}, nil, []int64{1, -1}},
		{make([]int32, 513), nil, nil},
	}
	for i, tc := range cases {
		if _, err := NewBatch(c, tc.ids, tc.pos, tc.labels); err == nil {
			t.Errorf("case %d was accepted", i)
		}
	}
}

func TestNewBatchIndexes(t *testing.T) {
	b, err := NewBatch(small(true), []int32{5, 6, 7, 8, 9}, []int32{0, 1, 2, 0, 1}, []int64{5, Ignore, 7, 8, 9})
	if err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(b.Spans, b.Rows, b.Targets); got != "[{0 3} {3 5}] [1 3] [7 9]" {
		t.Errorf("batch %s", got)
	}
}

// TestDocumentsDoNotMix scores two documents together and apart.
func TestDocumentsDoNotMix(t *testing.T) {
	c := small(true)
	m, err := FromTensors(c, randomStore(c, 5).get)
	if err != nil {
		t.Fatal(err)
	}
	score := func(b *Batch) []float64 {
		nll, err := m.NewScorer(1).NLL(context.Background(), b)
		if err != nil {
			t.Fatal(err)
		}
		return nll
	}
	all := twoDocuments(t, c, 70, 40)
	var apart []float64
	for _, s := range all.Spans {
		b := &Batch{IDs: all.IDs[s.Start:s.End], Positions: all.Positions[s.Start:s.End], Spans: []Span{{0, s.End - s.Start}}}
		for i, r := range all.Rows {
			if int(r) >= s.Start && int(r) < s.End {
				b.Rows, b.Targets = append(b.Rows, r-int32(s.Start)), append(b.Targets, all.Targets[i])
			}
		}
		apart = append(apart, score(b)...)
	}
	if got := score(all); !slices.Equal(got, apart) {
		t.Errorf("documents packed together score differently than apart")
	}
}
