package decoder

import (
	"github.com/pipe-run/pipe/steps/internal/kernel"
	"github.com/pipe-run/pipe/steps/internal/tensor"
)

// block is one transformer layer:
//
//	y   = x + O(attention(rope(Q(h)), rope(K(h)), V(h))),  h  = norm1(x)
//	out = y + Down(silu(Gate(h2))·Up(h2)),                 h2 = norm2(y)
type block struct {
	cfg   Config
	layer int
	norms [numNorms]affine
	lin   [numProj]adapted
}

// scratch holds the intermediate values of one block for up to n tokens. The
// blocks of a model run one after another and share one scratch.
type scratch struct {
	cfg     Config
	threads int
	rope    *ropeTable
	attn    *attention

	h, o, y, h2, gate, up, act []float32 // forward, [n, …]
	flat                       []float32 // [n, widest of Q]
	qh, kh, vh, oh             []float32 // by head
	dq, dk, dv, do             []float32 // backward, by head
	dh, dact, dgate, dup, dy   []float32 // backward, [n, …]
}

func newScratch(c Config, threads int) *scratch {
	return &scratch{cfg: c, threads: threads, rope: newRopeTable(c), attn: newAttention(c)}
}

// forwardSize makes room for the forward pass of n tokens.
func (s *scratch) forwardSize(n int) {
	c := s.cfg
	q, kv := c.Heads*c.HeadDim, c.KVHeads*c.HeadDim
	for _, b := range []struct {
		buf *[]float32
		row int
	}{
		{&s.h, c.Hidden}, {&s.o, q}, {&s.y, c.Hidden}, {&s.h2, c.Hidden}, {&s.flat, q},
		{&s.gate, c.Intermediate}, {&s.up, c.Intermediate}, {&s.act, c.Intermediate},
		{&s.qh, q}, {&s.oh, q}, {&s.kh, kv}, {&s.vh, kv},
	} {
		*b.buf = sized(*b.buf, n*b.row)
	}
}

// backwardSize makes room for the backward pass of n tokens.
func (s *scratch) backwardSize(n int) {
	c := s.cfg
	q := c.Heads * c.HeadDim
	for _, b := range []struct {
		buf *[]float32
		row int
	}{
		{&s.dq, q}, {&s.dk, q}, {&s.dv, q}, {&s.do, q},
		{&s.dh, c.Hidden}, {&s.dy, c.Hidden},
		{&s.dact, c.Intermediate}, {&s.dgate, c.Intermediate}, {&s.dup, c.Intermediate},
	} {
		*b.buf = sized(*b.buf, n*b.row)
	}
}

// kv is where keys and values [KVHeads][stride][HeadDim] lie; rows past… are
// those of the tokens at hand.
type kv struct {
	k, v         []float32
	stride, past int
}

// forward computes out [n, Hidden] from x [n, Hidden]; out and x may be one
// buffer. positions [n] and spans as in Batch; a nil cache keeps keys and
// values in the scratch. A nil out stops before the last projection, which a
// backward pass does not need.
func (b *block) forward(s *scratch, n int, positions []int32, spans []Span, cache *kv, x, out []float32) {
	s.forwardSize(n)
	if cache == nil {
		cache = &kv{k: s.kh, v: s.vh, stride: n}
	}
	c, th := b.cfg, s.threads
	x = x[:n*c.Hidden]
	rmsNorm(th, n, c.Hidden, c.Eps, x, b.norms[NormAttn].w, s.h)
	b.lin[projQ].forward(th, n, s.h, s.flat)
	s.split(n, c.Heads, n, 0, positions, s.flat, s.qh)
	s.scale(s.qh)
	kvw := c.KVHeads * c.HeadDim
	b.lin[projK].forward(th, n, s.h, s.flat[:n*kvw])
	s.split(n, c.KVHeads, cache.stride, cache.past, positions, s.flat, cache.k)
	b.lin[projV].forward(th, n, s.h, s.flat[:n*kvw])
	s.split(n, c.KVHeads, cache.stride, cache.past, nil, s.flat, cache.v)
	s.attn.forward(th, n, cache.past, cache.stride, spans, s.qh, cache.k, cache.v, s.oh)
	s.join(n, c.Heads, s.oh, s.o)
	b.lin[projO].forward(th, n, s.o, s.y)
	addTo(th, s.y, x)
	rmsNorm(th, n, c.Hidden, c.Eps, s.y, b.norms[NormMLP].w, s.h2)
	b.lin[projGate].forward(th, n, s.h2, s.gate)
	b.lin[projUp].forward(th, n, s.h2, s.up)
	swiGLU(th, s.gate, s.up, s.act)
	if out == nil {
		return
	}
	out = out[:n*c.Hidden]
	b.lin[projDown].forward(th, n, s.act, out)
	addTo(th, out, s.y)
}

// blockGrads says which gradients a backward pass writes beside those held by
// the adapted linears; nil ones are not wanted.
type blockGrads struct{ x, norm1, norm2 []float32 }

// backward recomputes the forward pass from x and writes the wanted gradients
// for dout, the gradient of out.
func (b *block) backward(s *scratch, batch *Batch, x, dout []float32, g blockGrads) {
	n, c, th := len(batch.IDs), b.cfg, s.threads
	b.forward(s, n, batch.Positions, batch.Spans, nil, x, nil)
	b.lin[projDown].reduce(th, n, s.act)
	s.backwardSize(n)

	b.lin[projDown].backward(th, n, s.act, dout, s.dact, false)
	swiGLUBackward(th, s.gate, s.up, s.dact, s.dgate, s.dup)
	b.lin[projGate].backward(th, n, s.h2, s.dgate, s.dh, false)
	b.lin[projUp].backward(th, n, s.h2, s.dup, s.dh, true)
	copy(s.dy, dout[:n*c.Hidden])
	rmsNormBackward(th, n, c.Hidden, c.Eps, s.y, b.norms[NormMLP].w, s.dh, s.dy, g.norm2)

	b.lin[projO].backward(th, n, s.o, s.dy, s.flat, false)
	s.split(n, c.Heads, n, 0, nil, s.flat, s.do)
	s.attn.backward(th, n, batch.Spans, s.qh, s.kh, s.vh, s.oh, s.do, s.dq, s.dk, s.dv)
	b.projectionsBackward(s, batch)
	if g.x == nil && g.norm1 == nil {
		return
	}
	dx := s.dy
	if g.x != nil {
		dx = g.x
		copy(dx, s.dy[:n*c.Hidden])
	}
	rmsNormBackward(th, n, c.Hidden, c.Eps, x, b.norms[NormAttn].w, s.dh, dx, g.norm1)
}

// projectionsBackward takes the gradients by head back through the rotation and
// the three input projections into s.dh.
func (b *block) projectionsBackward(s *scratch, batch *Batch) {
	n, c, th := len(batch.IDs), b.cfg, s.threads
	kvw := c.KVHeads * c.HeadDim
	s.scale(s.dq)
	s.unrotate(n, c.Heads, batch.Positions, s.dq)
	s.join(n, c.Heads, s.dq, s.flat)
	b.lin[projQ].backward(th, n, s.h, s.flat, s.dh, false)
	s.sumGroups(n, s.dk)
	s.unrotate(n, c.KVHeads, batch.Positions, s.dk)
	s.join(n, c.KVHeads, s.dk, s.flat)
	b.lin[projK].backward(th, n, s.h, s.flat[:n*kvw], s.dh, true)
	s.sumGroups(n, s.dv)
	s.join(n, c.KVHeads, s.dv, s.flat)
	b.lin[projV].backward(th, n, s.h, s.flat[:n*kvw], s.dh, true)
}

// split moves x [n, heads·dim] to rows past… of y [heads][stride][dim], rotating
// by positions unless nil.
func (s *scratch) split(n, heads, stride, past int, positions []int32, x, y []float32) {
	d := s.cfg.HeadDim
	eachRows(s.threads, n, func(lo, hi int) {
		for t := lo; t < hi; t++ {
			for h := range heads {
				to := y[(h*stride+past+t)*d:][:d]
				copy(to, x[(t*heads+h)*d:][:d])
				if positions != nil {
					s.rope.rotate(to, int(positions[t]), 1)
				}
			}
		}
	})
}

// scale multiplies queries, or their gradients, by 1/√dim.
func (s *scratch) scale(x []float32) {
	factor := s.cfg.attnScale()
	eachChunk(s.threads, len(x), func(lo, hi int) { scaleBy(x[lo:hi], factor) })
}

// join moves x [heads][n][dim] to y [n, heads·dim].
func (s *scratch) join(n, heads int, x, y []float32) {
	d := s.cfg.HeadDim
	eachRows(s.threads, n, func(lo, hi int) {
		for t := lo; t < hi; t++ {
			for h := range heads {
				copy(y[(t*heads+h)*d:][:d], x[(h*n+t)*d:][:d])
			}
		}
	})
}

// unrotate turns the gradient of rotated rows x [heads][n][dim] into that of the
// rows before.
func (s *scratch) unrotate(n, heads int, positions []int32, x []float32) {
	d := s.cfg.HeadDim
	eachRows(s.threads, n, func(lo, hi int) {
		for t := lo; t < hi; t++ {
			for h := range heads {
				s.rope.rotate(x[(h*n+t)*d:][:d], int(positions[t]), -1)
			}
		}
	})
}

// sumGroups adds the query heads that share a key head, in ascending order, in
// place: x [Heads][n][dim] becomes [KVHeads][n][dim] at its front.
func (s *scratch) sumGroups(n int, x []float32) {
	group, size := s.cfg.Heads/s.cfg.KVHeads, n*s.cfg.HeadDim
	for kvh := range s.cfg.KVHeads {
		to := x[kvh*size : (kvh+1)*size]
		copy(to, x[kvh*group*size:][:size])
		for g := 1; g < group; g++ {
			addTo(s.threads, to, x[(kvh*group+g)*size:][:size])
		}
	}
}

// chunk is how many elements one unit of elementwise work covers.
const chunk = 1 << 14

// eachChunk calls f for consecutive ranges [lo, hi) that cover n, in parallel.
func eachChunk(threads, n int, f func(lo, hi int)) {
	tensor.Parallel(threads, (n+chunk-1)/chunk, func(i int) { f(i*chunk, min(n, (i+1)*chunk)) })
}

// addTo computes y += x; x may be longer than y.
func addTo(threads int, y, x []float32) {
	eachChunk(threads, len(y), func(lo, hi int) {
		to, from := y[lo:hi], x[lo:hi]
		for i, v := range from {
			to[i] += v
		}
	})
}

// swiGLU computes act = silu(gate)·up, where silu(x) = x·sigmoid(x).
func swiGLU(threads int, gate, up, act []float32) {
	eachChunk(threads, len(gate), func(lo, hi int) {
		a, u := act[lo:hi], up[lo:hi]
		kernel.SiLUSlice(a, gate[lo:hi])
		for i, v := range u {
			a[i] *= v
		}
	})
}

// swiGLUBackward computes dgate and dup from dact; none may share memory.
func swiGLUBackward(threads int, gate, up, dact, dgate, dup []float32) {
	eachChunk(threads, len(gate), func(lo, hi int) {
		sigmoid := dgate[lo:hi]
		kernel.SigmoidSlice(sigmoid, gate[lo:hi])
		for i, sig := range sigmoid {
			g, d := gate[lo+i], dact[lo+i]
			dup[lo+i] = d * float32(g*sig)
			slope := float32(sig * (1 + float32(g*(1-sig))))
			sigmoid[i] = float32(d*up[lo+i]) * slope
		}
	})
}
