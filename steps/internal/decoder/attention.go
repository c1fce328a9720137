package decoder

import (
	"slices"
	"sync"

	"github.com/pipe-run/pipe/steps/internal/kernel"
	"github.com/pipe-run/pipe/steps/internal/tensor"
)

const (
	// tileRows is about how many rows are scored at once, the query heads that
	// share a key head counting each: scores take [tileRows, keys] of memory a
	// thread, never [tokens, tokens].
	tileRows = 192
	// keyAlign is the multiple at which the keys of a window begin, counted from
	// the document's first: sums over keys then run in the same blocks wherever
	// the queries are cut into tiles.
	keyAlign = 256
)

// heads is a buffer of rows in which the heads of a token lie side by side:
// head h of token t begins at x[t·ld + h·dim].
type heads struct {
	x  []float32
	ld int
}

// attention computes causal attention within documents. The queries of the heads
// that read one key head (group of them) lie side by side and are scored
// together, as rows of one product.
type attention struct {
	kvHeads, group, dim int
	scale, cap          float32
	tokens              int // queries of a tile
	units               []unit
	tiles               pool[tile]
}

// unit is the queries [lo, hi) of one key head, of the document whose first token
// is first.
type unit struct{ kvHead, first, lo, hi int }

// span is what is common to all units of a call: the layer's window, 0 for none,
// and how many keys precede the first token (a KV cache; there is then one
// document).
type reach struct{ window, past int }

// tile is one thread's scratch, [rows, dim] or [rows, keys].
type tile struct{ q, o, do, s, ds, capped []float32 }

func newAttention(c Config) *attention {
	group := c.Heads / c.KVHeads
	return &attention{
		kvHeads: c.KVHeads, group: group, dim: c.HeadDim,
		scale: c.attnScale(), cap: float32(c.AttnCap),
		tokens: max(8, tileRows/group/8*8),
	}
}

// from is the first key that any query of u sees.
func (r reach) from(u unit) int {
	if r.window == 0 {
		return u.first
	}
	hidden := max(0, r.past+u.lo-r.window+1-u.first)
	return u.first + hidden/keyAlign*keyAlign
}

// seen is the range of the keys from… that the query of token t sees.
func (r reach) seen(t, from int) (lo, hi int) {
	hi = r.past + t + 1
	if r.window > 0 {
		lo = max(0, hi-r.window-from)
	}
	return lo, hi - from
}

// tilesOf lists the tiles of all documents, those with most keys first.
func (a *attention) tilesOf(spans []Span) []unit {
	a.units = a.units[:0]
	for _, s := range spans {
		for lo := s.Start; lo < s.End; lo += a.tokens {
			for h := range a.kvHeads {
				a.units = append(a.units, unit{h, s.Start, lo, min(s.End, lo+a.tokens)})
			}
		}
	}
	return a.longestFirst(func(u unit) int { return u.hi - u.first })
}

// documentsOf lists the key heads of all documents, the longest first.
func (a *attention) documentsOf(spans []Span) []unit {
	a.units = a.units[:0]
	for _, s := range spans {
		for h := range a.kvHeads {
			a.units = append(a.units, unit{h, s.Start, s.Start, s.End})
		}
	}
	return a.longestFirst(func(u unit) int { return u.hi - u.lo })
}

func (a *attention) longestFirst(size func(unit) int) []unit {
	slices.SortStableFunc(a.units, func(x, y unit) int { return size(y) - size(x) })
	return a.units
}

// forward computes o from queries, keys and values. lse [tokens, heads], when not
// nil, receives the logarithms of the sums of exponentials, which backward needs.
func (a *attention) forward(threads int, r reach, spans []Span, q, k, v, o heads, lse []float32) {
	units := a.tilesOf(spans)
	tensor.Parallel(threads, len(units), func(i int) {
		t := a.tiles.get()
		defer a.tiles.put(t)
		a.forwardTile(t, r, units[i], q, k, v, o, lse)
	})
}

func (a *attention) forwardTile(t *tile, r reach, u unit, q, k, v, o heads, lse []float32) {
	from, m := r.from(u), (u.hi-u.lo)*a.group
	keys := r.past + u.hi - from
	t.q = a.gather(t.q, u, q, a.scale)
	a.scores(t, r, u, k)
	t.o = sized(t.o, m*a.dim)
	inv := sized(t.do, m)
	t.do = inv
	for i := range m {
		lo, hi := r.seen(u.lo+i/a.group, from)
		row := t.s[i*keys:][:keys]
		peak := kernel.Max(row[lo:hi])
		sum := kernel.ExpSum(row[lo:hi], row[lo:hi], peak)
		inv[i] = float32(1 / sum)
		if lse != nil {
			lse[a.row(u, i)] = float32(float64(peak) + kernel.Log64(sum))
		}
	}
	tensor.GemmStridedNN(m, a.dim, keys, t.s, keys, a.at(v, from, u), v.ld, t.o, a.dim, false)
	for i, f := range inv {
		kernel.Scale(t.o[i*a.dim:][:a.dim], f)
	}
	a.scatter(t.o, u, o)
}

// scores computes q·kᵀ [m, keys] in t.s, capped, and zero where a query does not
// see a key.
func (a *attention) scores(t *tile, r reach, u unit, k heads) {
	from, m := r.from(u), (u.hi-u.lo)*a.group
	keys := r.past + u.hi - from
	t.s = sized(t.s, m*keys)
	tensor.GemmStridedNT(m, keys, a.dim, t.q, a.dim, a.at(k, from, u), k.ld, t.s, keys, false)
	for i := range m {
		lo, hi := r.seen(u.lo+i/a.group, from)
		row := t.s[i*keys:][:keys]
		clear(row[:lo])
		clear(row[hi:])
		if a.cap > 0 {
			kernel.SoftCap(row[lo:hi], a.cap)
		}
	}
}

// backward computes dq, dk and dv from do, the gradient of o; dq may be do. lse
// is that of forward. No keys precede the first token.
func (a *attention) backward(threads int, r reach, spans []Span, q, k, v, o, do, dq, dk, dv heads, lse []float32) {
	units := a.documentsOf(spans)
	tensor.Parallel(threads, len(units), func(i int) {
		u := units[i]
		t := a.tiles.get()
		defer a.tiles.put(t)
		for j := u.lo; j < u.hi; j++ {
			clear(a.at(dk, j, u)[:a.dim])
			clear(a.at(dv, j, u)[:a.dim])
		}
		for lo := u.lo; lo < u.hi; lo += a.tokens {
			part := unit{u.kvHead, u.first, lo, min(u.hi, lo+a.tokens)}
			a.backwardTile(t, r, part, q, k, v, o, do, dq, dk, dv, lse)
		}
	})
}

// backwardTile adds the part of one tile of queries:
//
//	dv += pᵀ·do,  dp = do·vᵀ,  ds = p·(dp − Σ do·o),  dq = ds·k,  dk += dsᵀ·q
func (a *attention) backwardTile(t *tile, r reach, u unit, q, k, v, o, do, dq, dk, dv heads, lse []float32) {
	from, m, d := r.from(u), (u.hi-u.lo)*a.group, a.dim
	keys := u.hi - from
	t.q, t.do, t.o = a.gather(t.q, u, q, a.scale), a.gather(t.do, u, do, 1), a.gather(t.o, u, o, 1)
	a.scores(t, r, u, k)
	if a.cap > 0 {
		t.capped = sized(t.capped, len(t.s))
		copy(t.capped, t.s)
	}
	for i := range m {
		lo, hi := r.seen(u.lo+i/a.group, from)
		row := t.s[i*keys:][lo:hi]
		kernel.ExpSlice(row, row, lse[a.row(u, i)])
	}
	tensor.GemmStridedTN(keys, d, m, t.s, keys, t.do, d, a.at(dv, from, u), dv.ld, true)
	t.ds = sized(t.ds, m*keys)
	tensor.GemmStridedNT(m, keys, d, t.do, d, a.at(v, from, u), v.ld, t.ds, keys, false)
	for i := range m {
		lo, hi := r.seen(u.lo+i/a.group, from)
		row := t.ds[i*keys:][:keys]
		clear(row[:lo])
		clear(row[hi:])
		sum := kernel.Dot64(t.do[i*d:][:d], t.o[i*d:][:d])
		kernel.SoftmaxBackward(row[lo:hi], t.s[i*keys:][lo:hi], float32(sum))
		if a.cap > 0 {
			kernel.SoftCapBackward(row[lo:hi], t.capped[i*keys:][lo:hi], a.cap)
		}
	}
	tensor.GemmStridedNN(m, d, keys, t.ds, keys, a.at(k, from, u), k.ld, t.o, d, false)
	kernel.Scale(t.o[:m*d], a.scale)
	a.scatter(t.o, u, dq)
	tensor.GemmStridedTN(keys, d, m, t.ds, keys, t.q, d, a.at(dk, from, u), dk.ld, true)
}

// at is the key head of u in row j of keys or values.
func (a *attention) at(x heads, j int, u unit) []float32 { return x.x[j*x.ld+u.kvHead*a.dim:] }

// row is the place of row i of a tile among [tokens, heads].
func (a *attention) row(u unit, i int) int {
	return (u.lo+i/a.group)*a.kvHeads*a.group + u.kvHead*a.group + i%a.group
}

// gather copies the query heads of u, multiplied by s, to dst [rows, dim].
func (a *attention) gather(dst []float32, u unit, x heads, s float32) []float32 {
	w := a.group * a.dim
	dst = sized(dst, (u.hi-u.lo)*w)
	for t := u.lo; t < u.hi; t++ {
		copy(dst[(t-u.lo)*w:][:w], x.x[t*x.ld+u.kvHead*w:])
	}
	if s != 1 {
		kernel.Scale(dst, s)
	}
	return dst
}

// scatter is the way back.
func (a *attention) scatter(src []float32, u unit, x heads) {
	w := a.group * a.dim
	for t := u.lo; t < u.hi; t++ {
		copy(x.x[t*x.ld+u.kvHead*w:][:w], src[(t-u.lo)*w:])
	}
}

// pool lends scratch to threads. It keeps all that was ever made, at most one
// for each thread that ran at once.
type pool[T any] struct {
	mu   sync.Mutex
	free []*T
}

func (p *pool[T]) get() *T {
	p.mu.Lock()
	defer p.mu.Unlock()
	if n := len(p.free); n > 0 {
		t := p.free[n-1]
		p.free = p.free[:n-1]
		return t
	}
	return new(T)
}

func (p *pool[T]) put(t *T) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.free = append(p.free, t)
}
