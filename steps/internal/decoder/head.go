package decoder

import (
	"github.com/pipe-run/pipe/steps/internal/kernel"
	"github.com/pipe-run/pipe/steps/internal/tensor"
)

// chunkLogits is about how many logits are held at once.
const chunkLogits = 8 << 20

// LossChunk is how many supervised rows are scored at once: logits take
// [LossChunk, VocabSize] of memory. The more rows, the less often a head that is
// kept as stored must be unpacked.
func (c Config) LossChunk() int { return max(32, min(1024, chunkLogits/c.VocabSize)) }

// head is the final norm, the output projection and the cross-entropy.
type head struct {
	cfg  Config
	norm affine
	lin  Linear // [VocabSize, Hidden]
	num  Numerics
	rows int // scored at once
}

// headGrads receives the gradients of one pass; nil ones are not wanted.
type headGrads struct {
	x    []float32 // [tokens, Hidden], zero in rows that predict nothing
	norm affine    // [Hidden]
	w    []float32 // [VocabSize, Hidden]
	rows []float32 // of the tokens of a tokenHead
}

// headScratch holds one chunk of rows.
type headScratch struct {
	x, h, dh, logits []float32
	plus             []float32 // see Config.norm
	stats            []stat
	sums             normGrad
	chunk            affine // gradients of the norm for one chunk
}

// logits computes out [rows, VocabSize] for the listed rows of x [tokens, Hidden].
func (hd *head) logits(threads int, s *headScratch, x []float32, rows []int32, out []float32) {
	h, n := hd.cfg.Hidden, len(rows)
	s.x, s.h = sized(s.x, n*h), sized(s.h, n*h)
	for i, r := range rows {
		copy(s.x[i*h:(i+1)*h], x[int(r)*h:])
	}
	s.stats = grown(s.stats, n)
	hd.cfg.norm(hd.norm, &s.plus).forward(threads, n, s.x, s.h, s.stats)
	hd.lin.Forward(threads, n, s.h, out, false)
	if limit := float32(hd.cfg.LogitCap); limit > 0 {
		eachChunk(threads, len(out), func(lo, hi int) { kernel.SoftCap(out[lo:hi], limit) })
	}
}

// loss writes the negative log-likelihood of every target to nll [rows], in
// float64, and, where wanted, the gradients of Σ weights·nll / count; nil weights
// are all 1.
func (hd *head) loss(threads int, s *headScratch, b *Batch, x []float32, count float64, weights, nll []float64, g headGrads) {
	for _, x := range [][]float32{g.x, g.norm.w, g.norm.b, g.w, g.rows} {
		clear(x)
	}
	for lo := 0; lo < len(b.Rows); lo += hd.rows {
		hi := min(len(b.Rows), lo+hd.rows)
		counts := func(int) float64 { return count }
		if weights != nil {
			counts = func(i int) float64 { return count / weights[lo+i] }
		}
		hd.lossChunk(threads, s, b.Rows[lo:hi], b.Targets[lo:hi], x, counts, nll[lo:hi], g)
	}
}

func (hd *head) lossChunk(threads int, s *headScratch, rows, targets []int32, x []float32, count func(i int) float64, nll []float64, g headGrads) {
	n, h, v := len(rows), hd.cfg.Hidden, hd.cfg.VocabSize
	s.logits = sized(s.logits, n*v)
	hd.logits(threads, s, x, rows, s.logits)
	wanted := g.x != nil || g.norm.w != nil || g.w != nil || g.rows != nil
	tensor.Parallel(threads, n, func(i int) {
		nll[i] = crossEntropy(s.logits[i*v:][:v], int(targets[i]), count(i), float32(hd.cfg.LogitCap), wanted)
	})
	if !wanted {
		return
	}
	if g.w != nil {
		hd.num.gemmTN(threads, v, h, n, s.logits, s.h, g.w, true)
	}
	if g.rows != nil {
		hd.lin.(*tokenHead).gradient(threads, n, s.logits, s.h, g.rows)
	}
	s.dh = sized(s.dh, n*h)
	hd.lin.Backward(threads, n, s.logits, s.dh, false)
	s.chunk.w, s.chunk.b = sized(s.chunk.w, len(g.norm.w)), sized(s.chunk.b, len(g.norm.b))
	to := affine{w: g.norm.w}
	if g.norm.w != nil {
		to.w = s.chunk.w
	}
	if g.norm.b != nil {
		to.b = s.chunk.b
	}
	dx := s.h // nobody reads the norm's output any more
	hd.cfg.norm(hd.norm, &s.plus).backward(threads, n, s.x, s.stats, s.dh, nil, dx, s.sums.to(to))
	kernel.Add(g.norm.w, s.chunk.w)
	kernel.Add(g.norm.b, s.chunk.b)
	if g.x != nil {
		for i, r := range rows {
			copy(g.x[int(r)*h:][:h], dx[i*h:])
		}
	}
}

// crossEntropy returns -log softmax(x)[target] and, when gradient is set,
// replaces the logits x by the gradient (softmax(x) - onehot(target)) / count,
// which for capped logits is taken back to those before the cap.
func crossEntropy(x []float32, target int, count float64, limit float32, gradient bool) float64 {
	best := kernel.Max(x)
	at := float64(x[target]) - float64(best)
	if limit > 0 && gradient {
		return cappedCrossEntropy(x, target, count, limit, best, at)
	}
	sum := kernel.ExpSum(x, x, best)
	if gradient {
		kernel.Scale(x, float32(1/(sum*count)))
		x[target] -= float32(1 / count)
	}
	return kernel.Log64(sum) - at
}

// cappedCrossEntropy is crossEntropy with gradient for capped logits, of which
// best is the greatest and at that of the target less best. It computes the
// exponentials piece by piece, twice, as the capped logits are needed to the end.
func cappedCrossEntropy(x []float32, target int, count float64, limit, best float32, at float64) float64 {
	const piece = 1024
	var buf [piece]float32
	var sum float64
	for lo := 0; lo < len(x); lo += piece {
		y := x[lo:min(len(x), lo+piece)]
		sum += kernel.ExpSum(buf[:len(y)], y, best)
	}
	scale, hot := float32(1/(sum*count)), float32(1/count)
	for lo := 0; lo < len(x); lo += piece {
		y := x[lo:min(len(x), lo+piece)]
		d := buf[:len(y)]
		kernel.ExpSlice(d, y, best)
		kernel.Scale(d, scale)
		if target >= lo && target < lo+len(y) {
			d[target-lo] -= hot
		}
		kernel.SoftCapBackward(d, y, limit)
		copy(y, d)
	}
	return kernel.Log64(sum) - at
}
