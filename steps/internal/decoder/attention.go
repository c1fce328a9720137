package decoder

import (
	"sync"

	"github.com/pipe-run/pipe/steps/internal/kernel"
	"github.com/pipe-run/pipe/steps/internal/tensor"
)

// queryTile is how many query rows are scored at once: scores take
// [queryTile, keys] of memory per worker, never [tokens, tokens].
const queryTile = 64

// attention computes causal attention within documents, head by head. Queries
// are [heads][n][dim]; keys and values are [kvHeads][stride][dim], where the
// first past rows precede the n tokens at hand (a KV cache; past is then common
// to the only span). Each query head reads key head head/(heads/kvHeads).
// Queries come multiplied by 1/√dim.
type attention struct {
	heads, kvHeads, dim int
	pool                sync.Pool // *tile
}

// tile is one worker's scratch: numerators of softmax [queryTile, keys], the
// inverses of their sums [queryTile], and gradients.
type tile struct{ p, inv, dp []float32 }

func newAttention(c Config) *attention {
	return &attention{
		heads: c.Heads, kvHeads: c.KVHeads, dim: c.HeadDim,
		pool: sync.Pool{New: func() any { return new(tile) }},
	}
}

// unit is the part of the buffers that one (document, head) pair works on.
type unit struct {
	head, kvHead int
	span         Span
}

func (a *attention) unit(spans []Span, i int) unit {
	head := i % a.heads
	return unit{head: head, kvHead: head / (a.heads / a.kvHeads), span: spans[i/a.heads]}
}

// rows returns the rows [lo, hi) of one head of a [heads][stride][dim] buffer.
func (a *attention) rows(x []float32, stride, head, lo, hi int) []float32 {
	return x[(head*stride+lo)*a.dim : (head*stride+hi)*a.dim]
}

// forward writes o [heads][n][dim].
func (a *attention) forward(threads, n, past, stride int, spans []Span, q, k, v, o []float32) {
	tensor.Parallel(threads, len(spans)*a.heads, func(i int) {
		u := a.unit(spans, i)
		t := a.pool.Get().(*tile)
		defer a.pool.Put(t)
		for lo := u.span.Start; lo < u.span.End; lo += queryTile {
			hi := min(u.span.End, lo+queryTile)
			keys := past + hi - u.span.Start
			first := u.span.Start
			kt := a.rows(k, stride, u.kvHead, first, first+keys)
			vt := a.rows(v, stride, u.kvHead, first, first+keys)
			a.weights(t, a.rows(q, n, u.head, lo, hi), kt, hi-lo, keys)
			out := a.rows(o, n, u.head, lo, hi)
			tensor.GemmNN(1, hi-lo, a.dim, keys, t.p, vt, out, false)
			for i, inv := range t.inv {
				scaleBy(out[i*a.dim:(i+1)*a.dim], inv)
			}
		}
	})
}

// weights computes exp(q·kᵀ) [m, keys] under the causal mask in t.p, each row
// against its greatest element, and the inverses of the rows' sums in t.inv: the
// last query sees all keys, the one before it one fewer, and so on.
func (a *attention) weights(t *tile, q, k []float32, m, keys int) {
	t.p, t.inv = sized(t.p, m*keys), sized(t.inv, m)
	tensor.GemmNT(1, m, keys, a.dim, q, k, t.p, false)
	for i := range m {
		row := t.p[i*keys : (i+1)*keys]
		seen := keys - m + i + 1
		clear(row[seen:])
		t.inv[i] = float32(1 / expSum(row[:seen], peak(row[:seen])))
	}
}

// peak returns the greatest element of x.
func peak(x []float32) float32 {
	best := x[0]
	for _, v := range x {
		if v > best {
			best = v
		}
	}
	return best
}

// expSum replaces x by exp(x - peak) and returns the sum in float64, of every
// fourth element in order and then of those four.
func expSum(x []float32, peak float32) float64 {
	kernel.ExpSlice(x, x, peak)
	var a, b, c, d float64
	for ; len(x) >= 4; x = x[4:] {
		a += float64(x[0])
		b += float64(x[1])
		c += float64(x[2])
		d += float64(x[3])
	}
	for _, v := range x {
		a += float64(v)
	}
	return (a + b) + (c + d)
}

// backward computes dq [heads][n][dim] and, per query head, dk and dv
// [heads][n][dim] from do, the gradient of o; past is 0 and stride n.
func (a *attention) backward(threads, n int, spans []Span, q, k, v, o, do, dq, dk, dv []float32) {
	tensor.Parallel(threads, len(spans)*a.heads, func(i int) {
		u := a.unit(spans, i)
		t := a.pool.Get().(*tile)
		defer a.pool.Put(t)
		clear(a.rows(dk, n, u.head, u.span.Start, u.span.End))
		clear(a.rows(dv, n, u.head, u.span.Start, u.span.End))
		for lo := u.span.Start; lo < u.span.End; lo += queryTile {
			a.backwardTile(t, n, u, lo, min(u.span.End, lo+queryTile), q, k, v, o, do, dq, dk, dv)
		}
	})
}

// backwardTile adds the part of the queries [lo, hi) of one head:
//
//	dv += pᵀ·do,  dp = do·vᵀ,  ds = p·(dp − Σ do·o),  dq = ds·k,  dk += dsᵀ·q
func (a *attention) backwardTile(t *tile, n int, u unit, lo, hi int, q, k, v, o, do, dq, dk, dv []float32) {
	first, m := u.span.Start, hi-lo
	keys := hi - first
	kt, vt := a.rows(k, n, u.kvHead, first, hi), a.rows(v, n, u.kvHead, first, hi)
	qt, dot := a.rows(q, n, u.head, lo, hi), a.rows(do, n, u.head, lo, hi)
	ot := a.rows(o, n, u.head, lo, hi)
	a.weights(t, qt, kt, m, keys)
	p := t.p
	for i, inv := range t.inv {
		scaleBy(p[i*keys:(i+1)*keys], inv)
	}
	tensor.GemmTN(1, keys, a.dim, m, p, dot, a.rows(dv, n, u.head, first, hi), true)
	t.dp = sized(t.dp, m*keys)
	tensor.GemmNT(1, m, keys, a.dim, dot, vt, t.dp, false)
	for i := range m {
		var sum float64
		for j := range a.dim {
			sum += float64(float64(dot[i*a.dim+j]) * float64(ot[i*a.dim+j]))
		}
		d := float32(sum)
		ds, pr := t.dp[i*keys:(i+1)*keys], p[i*keys:(i+1)*keys]
		for j := range ds {
			ds[j] = pr[j] * (ds[j] - d)
		}
	}
	tensor.GemmNN(1, m, a.dim, keys, t.dp, kt, a.rows(dq, n, u.head, lo, hi), false)
	tensor.GemmTN(1, keys, a.dim, m, t.dp, qt, a.rows(dk, n, u.head, first, hi), true)
}
