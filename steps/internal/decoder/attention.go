package decoder

import (
	"cmp"
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
	// partTokens is about how many queries of a document one unit of the backward
	// pass covers, and maxParts how many there are of a key head at most: each has
	// gradients of keys and values of its own, which are then added.
	partTokens = 512
	maxParts   = 4
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
	tokens, part        int // queries of a tile, and about of a part
	units               []unit
	tiles               pool[tile]
	partial             []float32 // gradients of keys and values by parts
}

// unit is the queries [lo, hi) of one key head, of the document whose first token
// is first. Where the document has several parts, partial is where the part's
// gradients of keys lie, behind them those of values.
type unit struct {
	kvHead, first, lo, hi int
	parts, partial        int
}

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
		tokens: max(8, tileRows/group/8*8), part: partTokens,
	}
}

// from is the first key that any query of u sees. Sums over keys go on where they
// were and those of unseen keys change nothing, so bits do not depend on it.
func (r reach) from(u unit) int {
	if r.window == 0 {
		return u.first
	}
	return max(u.first, r.past+u.lo-r.window+1)
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
				a.units = append(a.units, unit{kvHead: h, first: s.Start, lo: lo, hi: min(s.End, lo+a.tokens)})
			}
		}
	}
	return a.longestFirst(func(u unit) int { return u.hi - u.first })
}

// partsOf lists the parts of the key heads of all documents, those with most keys
// first, and counts the elements of their gradients.
func (a *attention) partsOf(r reach, spans []Span) (units []unit, room int) {
	a.units = a.units[:0]
	for _, s := range spans {
		n := s.End - s.Start
		parts := min(maxParts, (n+a.part-1)/a.part)
		step := ((n+parts-1)/parts + a.tokens - 1) / a.tokens * a.tokens
		parts = (n + step - 1) / step
		for h := range a.kvHeads {
			for lo := s.Start; lo < s.End; lo += step {
				u := unit{h, s.Start, lo, min(s.End, lo+step), parts, room}
				if parts > 1 {
					room += 2 * (u.hi - r.from(u)) * a.dim
				}
				a.units = append(a.units, u)
			}
		}
	}
	return a.longestFirst(func(u unit) int { return u.hi - u.first }), room
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
	units, room := a.partsOf(r, spans)
	a.partial = sized(a.partial, room)
	tensor.Parallel(threads, len(units), func(i int) {
		u := units[i]
		t := a.tiles.get()
		defer a.tiles.put(t)
		uk, uv, ld := a.at(dk, u.first, u), a.at(dv, u.first, u), dk.ld
		from := u.first
		if u.parts > 1 {
			from = r.from(u)
			size := (u.hi - from) * a.dim
			uk, uv, ld = a.partial[u.partial:][:size], a.partial[u.partial+size:][:size], a.dim
		}
		for j := range u.hi - from {
			clear(uk[j*ld:][:a.dim])
			clear(uv[j*ld:][:a.dim])
		}
		for lo := u.lo; lo < u.hi; lo += a.tokens {
			part := unit{kvHead: u.kvHead, first: u.first, lo: lo, hi: min(u.hi, lo+a.tokens)}
			skip := (r.from(part) - from) * ld
			a.backwardTile(t, r, part, q, k, v, o, do, dq, uk[skip:], uv[skip:], ld, lse)
		}
	})
	a.addParts(threads, r, units, dk, dv)
}

// addParts adds the gradients of keys and values of parts, from the first to the
// last.
func (a *attention) addParts(threads int, r reach, units []unit, dk, dv heads) {
	slices.SortFunc(units, func(x, y unit) int {
		return cmp.Or(x.first-y.first, x.kvHead-y.kvHead, x.lo-y.lo)
	})
	tensor.Parallel(threads, len(units), func(i int) {
		u := units[i]
		if u.parts == 1 {
			return
		}
		// The keys of this part's own tokens, which the later parts read, too.
		first := i
		for ; i < len(units) && units[i].first == u.first && units[i].kvHead == u.kvHead; i++ {
			p := units[i]
			from := r.from(p)
			size := (p.hi - from) * a.dim
			for j := max(u.lo, from); j < u.hi; j++ {
				at := p.partial + (j-from)*a.dim
				k, v := a.at(dk, j, u)[:a.dim], a.at(dv, j, u)[:a.dim]
				if i == first {
					copy(k, a.partial[at:])
					copy(v, a.partial[at+size:])
				} else {
					kernel.Add(k, a.partial[at:])
					kernel.Add(v, a.partial[at+size:])
				}
			}
		}
	})
}

// backwardTile adds the part of one tile of queries:
//
//	dv += pᵀ·do,  dp = do·vᵀ,  ds = p·(dp − Σ do·o),  dq = ds·k,  dk += dsᵀ·q
//
// dk and dv are rows ld apart of the first key that any of the queries sees.
func (a *attention) backwardTile(t *tile, r reach, u unit, q, k, v, o, do, dq heads, dk, dv []float32, ld int, lse []float32) {
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
	tensor.GemmStridedTN(keys, d, m, t.s, keys, t.do, d, dv, ld, true)
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
	tensor.GemmStridedTN(keys, d, m, t.ds, keys, t.q, d, dk, ld, true)
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
