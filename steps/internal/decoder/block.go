package decoder

// block is one transformer layer. Norms that the family lacks are the identity.
//
//	h   = NormAttn(x);  q, k = rope(NormQ(Q(h))), rope(NormK(K(h)));  v = V(h)
//	y   = x + NormAttnOut(O(attention(q, k, v)))
//	h2  = NormMLP(y)
//	out = y + NormMLPOut(Down(act(Gate(h2))·Up(h2)))
type block struct {
	cfg   Config
	layer int
	norms [numNorms]affine
	lin   [numProj]adapted
}

// input is what a pass over tokens needs to know beside activations.
type input struct {
	n         int     // tokens
	positions []int32 // [n]
	spans     []Span
}

func (b *Batch) input() input { return input{len(b.IDs), b.Positions, b.Spans} }

// kv is a cache of keys and values, rows of KVHeads·HeadDim; past rows are
// filled.
type kv struct {
	k, v []float32
	past int
}

// norm is the norm in a slot, nil where the family has none.
func (b *block) norm(s *scratch, slot int) *norm {
	if !b.cfg.Norms[slot] {
		return nil
	}
	return b.cfg.norm(b.norms[slot], &s.plus[slot])
}

// inputs are the linears that read NormAttn.
func (b *block) inputs() []*adapted {
	if b.cfg.FusedQKV {
		return []*adapted{&b.lin[projQ]}
	}
	return []*adapted{&b.lin[projQ], &b.lin[projK], &b.lin[projV]}
}

// ups are the linears that read NormMLP.
func (b *block) ups() []*adapted {
	if b.cfg.Gated {
		return []*adapted{&b.lin[projGate], &b.lin[projUp]}
	}
	return []*adapted{&b.lin[projUp]}
}

// forward computes out [n, Hidden] from x [n, Hidden]; out and x may be one
// buffer. What backward needs is left in v and s.act. Keys and values are added
// to the cache, and attention reads them there, unless it is nil. With a nil out
// only what backward needs is computed.
func (b *block) forward(s *scratch, v *values, in input, cache *kv, x, out []float32) {
	c, n := b.cfg, in.n
	s.forwardSize(n)
	v.size(c, n)
	x = x[:n*c.Hidden]
	b.attend(s, v, in, cache, x)
	lins := b.ups()
	forwardAll(s.threads, n, s.h, lins, v.ups[:len(lins)])
	c.activate(s.threads, v.ups, s.act)
	switch {
	case out != nil:
		out = out[:n*c.Hidden]
	case v.mlpOut == nil:
		b.lin[projDown].reduce(s.threads, n, s.act)
		return
	default:
		out = s.h
	}
	down := out
	if v.mlpOut != nil {
		down = v.mlpOut
	}
	b.lin[projDown].forward(s.threads, n, s.act, down)
	b.norm(s, NormMLPOut).residual(s.threads, n, c.Hidden, down, v.y, out, v.stats[NormMLPOut], nil, nil, nil)
}

// attend is the first half of forward: it leaves NormMLP's output in s.h.
func (b *block) attend(s *scratch, v *values, in input, cache *kv, x []float32) {
	c, n, t := b.cfg, in.n, s.ropes.of(b.cfg, b.layer)
	b.norm(s, NormAttn).forward(s.threads, n, x, s.h, v.stats[NormAttn])
	lins := b.inputs()
	forwardAll(s.threads, n, s.h, lins, v.raw.out[:len(lins)])
	s.ready(b.norm(s, NormQ), t, in, c.Heads, v.raw.q, v.q, v.stats[NormQ])
	s.ready(b.norm(s, NormK), t, in, c.KVHeads, v.raw.k, v.k, v.stats[NormK])
	k, val, r := v.k, v.raw.v, reach{window: c.window(b.layer)}
	if cache != nil {
		w := c.keyWidth()
		copyRows(n, w, k, heads{cache.k[cache.past*w:], w})
		copyRows(n, w, val, heads{cache.v[cache.past*w:], w})
		k, val, r.past = heads{cache.k, w}, heads{cache.v, w}, cache.past
	}
	s.attn.forward(s.threads, r, in.spans, v.q, k, val, heads{v.o, c.queryWidth()}, v.lse)
	b.lin[projO].forward(s.threads, n, v.o, v.attnOut)
	b.norm(s, NormAttnOut).residual(s.threads, n, c.Hidden, v.attnOut, x, v.y, v.stats[NormAttnOut],
		b.norm(s, NormMLP), s.h, v.stats[NormMLP])
}

// blockGrads says which gradients a backward pass writes beside those held by
// the adapted linears; nil ones are not wanted.
type blockGrads struct {
	x     []float32
	norms [numNorms]affine
}

// backward writes the wanted gradients for dout, the gradient of out, given what
// forward left in v and s.act.
func (b *block) backward(s *scratch, v *values, in input, x, dout []float32, g blockGrads) {
	c, n, th := b.cfg, in.n, s.threads
	s.backwardSize(n)
	dout = dout[:n*c.Hidden]
	b.mlpBackward(s, v, n, dout, g)

	dattn := s.dy
	if nm := b.norm(s, NormAttnOut); nm != nil {
		nm.backward(th, n, v.attnOut, v.stats[NormAttnOut], s.dy, nil, s.dh, s.norm.to(g.norms[NormAttnOut]))
		dattn = s.dh
	}
	b.lin[projO].backward(th, n, v.o, dattn, s.do, false)
	w, t := c.queryWidth(), s.ropes.of(c, b.layer)
	s.attn.backward(th, reach{window: c.window(b.layer)}, in.spans,
		v.q, v.k, v.raw.v, heads{v.o, w}, heads{s.do, w}, s.grads.q, s.grads.k, s.grads.v, v.lse)
	s.readyBackward(b.norm(s, NormQ), t, in, c.Heads, v.raw.q, s.grads.q, v.stats[NormQ], g.norms[NormQ])
	s.readyBackward(b.norm(s, NormK), t, in, c.KVHeads, v.raw.k, s.grads.k, v.stats[NormK], g.norms[NormK])

	nm := b.norm(s, NormAttn)
	nm.again(th, n, x, s.h, v.stats[NormAttn])
	lins, dx, dh := b.inputs(), s.dy, s.dh
	if g.x != nil {
		dx = g.x[:n*c.Hidden]
	} else if g.norms[NormAttn].w == nil {
		dh = nil
	}
	backwardAll(th, n, s.h, lins, s.grads.out[:len(lins)], dh, false)
	if dh != nil {
		nm.backward(th, n, x, v.stats[NormAttn], dh, s.dy, dx, s.norm.to(g.norms[NormAttn]))
	}
}

// mlpBackward leaves the gradient of y in s.dy.
func (b *block) mlpBackward(s *scratch, v *values, n int, dout []float32, g blockGrads) {
	c, th := b.cfg, s.threads
	ddown := dout
	if nm := b.norm(s, NormMLPOut); nm != nil {
		nm.backward(th, n, v.mlpOut, v.stats[NormMLPOut], dout, nil, s.dh, s.norm.to(g.norms[NormMLPOut]))
		ddown = s.dh
	}
	b.lin[projDown].backward(th, n, s.act, ddown, s.dact, false)
	dups := c.activateBackward(th, v.ups, s.act, s.dact)
	nm := b.norm(s, NormMLP)
	nm.again(th, n, v.y, s.h, v.stats[NormMLP])
	lins := b.ups()
	backwardAll(th, n, s.h, lins, dups[:len(lins)], s.dh, false)
	nm.backward(th, n, v.y, v.stats[NormMLP], s.dh, dout, s.dy, s.norm.to(g.norms[NormMLP]))
}
