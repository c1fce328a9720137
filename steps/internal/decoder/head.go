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
	rows int    // scored at once
}

// headGrads receives the gradients of one pass; nil ones are not wanted.
type headGrads struct {
	x    []float32 // [tokens, Hidden], zero in rows that predict nothing
	norm []float32 // [Hidden]
	w    []float32 // [VocabSize, Hidden]
}

// headScratch holds one chunk of rows.
type headScratch struct {
	x, h, dh, dx, logits []float32
}

// logits computes out [rows, VocabSize] for the listed rows of x [tokens, Hidden].
func (hd *head) logits(threads int, s *headScratch, x []float32, rows []int32, out []float32) {
	h, n := hd.cfg.Hidden, len(rows)
	s.x, s.h = sized(s.x, n*h), sized(s.h, n*h)
	for i, r := range rows {
		copy(s.x[i*h:(i+1)*h], x[int(r)*h:])
	}
	rmsNorm(threads, n, h, hd.cfg.Eps, s.x, hd.norm.w, s.h)
	hd.lin.Forward(threads, n, s.h, out, false)
}

// loss writes the negative log-likelihood of every target to nll [rows], in
// float64, and, where wanted, the gradients of Σ nll / count.
func (hd *head) loss(threads int, s *headScratch, b *Batch, x []float32, count float64, nll []float64, g headGrads) {
	clear(g.x)
	clear(g.norm)
	clear(g.w)
	for lo := 0; lo < len(b.Rows); lo += hd.rows {
		hi := min(len(b.Rows), lo+hd.rows)
		hd.lossChunk(threads, s, b.Rows[lo:hi], b.Targets[lo:hi], x, count, nll[lo:hi], g)
	}
}

func (hd *head) lossChunk(threads int, s *headScratch, rows, targets []int32, x []float32, count float64, nll []float64, g headGrads) {
	n, h, v := len(rows), hd.cfg.Hidden, hd.cfg.VocabSize
	s.logits = sized(s.logits, n*v)
	hd.logits(threads, s, x, rows, s.logits)
	wanted := g.x != nil || g.norm != nil || g.w != nil
	tensor.Parallel(threads, n, func(i int) {
		nll[i] = crossEntropy(s.logits[i*v:(i+1)*v], int(targets[i]), count, wanted)
	})
	if !wanted {
		return
	}
	if g.w != nil {
		tensor.GemmTN(threads, v, h, n, s.logits, s.h, g.w, true)
	}
	s.dh, s.dx = sized(s.dh, n*h), sized(s.dx, n*h)
	hd.lin.Backward(threads, n, s.logits, s.dh, false)
	clear(s.dx)
	var dw []float32
	if g.norm != nil {
		dw = make([]float32, h)
	}
	rmsNormBackward(threads, n, h, hd.cfg.Eps, s.x, hd.norm.w, s.dh, s.dx, dw)
	for i, d := range dw {
		g.norm[i] += d
	}
	if g.x != nil {
		for i, r := range rows {
			copy(g.x[int(r)*h:(int(r)+1)*h], s.dx[i*h:(i+1)*h])
		}
	}
}

// crossEntropy returns -log softmax(x)[target] and, when gradient is set,
// replaces the logits x by (softmax(x) - onehot(target)) / count.
func crossEntropy(x []float32, target int, count float64, gradient bool) float64 {
	best := peak(x)
	at := float64(x[target]) - float64(best)
	sum := expSum(x, best)
	nll := kernel.Log64(sum) - at
	if gradient {
		scale := float32(1 / (sum * count))
		hot := float32(1 / count)
		for i := range x {
			x[i] *= scale
		}
		x[target] -= hot
	}
	return nll
}
