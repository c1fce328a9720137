package decoder

// qkv is queries, keys and values, or their gradients: rows of tokens. A fused
// projection has them side by side in one buffer.
type qkv struct {
	q, k, v heads
	out     [3][]float32 // by linear that computes them
}

// size makes room for n tokens; buf is where.
func (x *qkv) size(c Config, n int, buf *[3][]float32) {
	q, kv := c.queryWidth(), c.keyWidth()
	if c.FusedQKV {
		w := q + 2*kv
		buf[0] = sized(buf[0], n*w)
		f := buf[0]
		*x = qkv{heads{f, w}, heads{f[q:], w}, heads{f[q+kv:], w}, [3][]float32{f}}
		return
	}
	for i, w := range [3]int{q, kv, kv} {
		buf[i] = sized(buf[i], n*w)
	}
	*x = qkv{heads{buf[0], q}, heads{buf[1], kv}, heads{buf[2], kv}, *buf}
}

// values is what the forward pass of a block leaves for its backward pass: rows
// of tokens. Buffers that the architecture has no use for stay nil. What is
// cheap to compute again from these (the norms' outputs and the MLP's
// activations) is not among them.
type values struct {
	stats     [numNorms][]stat // [n]; of NormQ and NormK [n, heads]
	raw       qkv              // as projected
	q, k      heads            // normed and rotated: those of raw, in place, without NormQ or NormK
	o         []float32        // of attention, by head
	lse       []float32        // [n, Heads]: see attention.forward
	attnOut   []float32        // what NormAttnOut reads; y without it
	y         []float32
	ups       [2][]float32 // gate and up, or up alone
	mlpOut    []float32    // what NormMLPOut reads; nil without it
	projected [3][]float32 // what raw lies in
	normed    [2][]float32 // what q and k lie in with NormQ and NormK
}

// size makes room for n tokens.
func (v *values) size(c Config, n int) {
	for slot := range numNorms {
		if c.Norms[slot] {
			v.stats[slot] = grown(v.stats[slot], n*c.normsOfToken(slot))
		}
	}
	v.raw.size(c, n, &v.projected)
	v.q, v.k = v.raw.q, v.raw.k
	if w := c.queryWidth(); c.Norms[NormQ] {
		v.normed[0] = sized(v.normed[0], n*w)
		v.q = heads{v.normed[0], w}
	}
	if w := c.keyWidth(); c.Norms[NormK] {
		v.normed[1] = sized(v.normed[1], n*w)
		v.k = heads{v.normed[1], w}
	}
	v.o, v.lse, v.y = sized(v.o, n*c.queryWidth()), sized(v.lse, n*c.Heads), sized(v.y, n*c.Hidden)
	for i := range c.ups() {
		v.ups[i] = sized(v.ups[i], n*c.Intermediate)
	}
	if c.Norms[NormMLPOut] {
		v.mlpOut = sized(v.mlpOut, n*c.Hidden)
	}
	if !c.Norms[NormAttnOut] {
		v.attnOut = v.y
		return
	}
	v.attnOut = sized(v.attnOut, n*c.Hidden)
}

// normsOfToken is how many rows of a token a norm works on.
func (c Config) normsOfToken(slot int) int {
	switch slot {
	case NormQ:
		return c.Heads
	case NormK:
		return c.KVHeads
	}
	return 1
}

// ups is how many linears read NormMLP.
func (c Config) ups() int {
	if c.Gated {
		return 2
	}
	return 1
}

// queryWidth and keyWidth are the widths of a token's queries and keys.
func (c Config) queryWidth() int { return c.Heads * c.HeadDim }
func (c Config) keyWidth() int   { return c.KVHeads * c.HeadDim }

// scratch holds what blocks share as they run one after another.
type scratch struct {
	cfg     Config
	threads int
	ropes   ropes
	attn    *attention
	plus    [numNorms][]float32 // see Config.norm

	h, act []float32 // forward: the norm's output at hand, and the MLP's activations

	// backward: gradients of the MLP's activations, of a norm's output, of y and
	// of what attention computes
	dact, dh, dy, do []float32
	grads            qkv
	projected        [3][]float32
	norm             normGrad
	rows             pool[[]float32] // scratch of single rows
}

func newScratch(c Config, threads int) *scratch {
	return &scratch{cfg: c, threads: threads, ropes: newRopes(c), attn: newAttention(c)}
}

// forwardSize makes room for the forward pass of n tokens.
func (s *scratch) forwardSize(n int) {
	s.h, s.act = sized(s.h, n*s.cfg.Hidden), sized(s.act, n*s.cfg.Intermediate)
}

// backwardSize makes room for the backward pass of n tokens. In a training that
// moves nothing: it is made for the most tokens first.
func (s *scratch) backwardSize(n int) {
	c := s.cfg
	s.dact, s.do = sized(s.dact, n*c.Intermediate), sized(s.do, n*c.queryWidth())
	s.dh, s.dy = sized(s.dh, n*c.Hidden), sized(s.dy, n*c.Hidden)
	if !c.FusedQKV {
		s.projected[0] = s.do // every tile of queries is read before its gradient is written
	}
	s.grads.size(c, n, &s.projected)
}

// grown returns buf with length n, reallocating only when it is too small.
func grown[T any](buf []T, n int) []T {
	if cap(buf) < n {
		return make([]T, n)
	}
	return buf[:n]
}
