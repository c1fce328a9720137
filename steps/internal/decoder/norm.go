package decoder

import (
	"math"

	"github.com/pipe-run/pipe/steps/internal/kernel"
	"github.com/pipe-run/pipe/steps/internal/tensor"
)

// rowsPerPart is how many rows one unit of row-wise parallel work covers.
const rowsPerPart = 16

// eachRows calls f for consecutive ranges of rows [lo, hi) that cover n, in parallel.
func eachRows(threads, n int, f func(lo, hi int)) {
	parts := (n + rowsPerPart - 1) / rowsPerPart
	tensor.Parallel(threads, parts, func(i int) {
		f(i*rowsPerPart, min(n, (i+1)*rowsPerPart))
	})
}

// norm is one normalisation. w is what rows are multiplied by: for RMSPlusOne it
// holds 1 + the stored weight.
type norm struct {
	kind NormKind
	eps  float64
	w, b []float32
}

// norm returns the normalisation by stored weights a. plus is room for 1 + w.
func (c Config) norm(a affine, plus *[]float32) *norm {
	if c.Norm != RMSPlusOne {
		return &norm{c.Norm, c.Eps, a.w, a.b}
	}
	*plus = sized(*plus, len(a.w))
	for i, w := range a.w {
		(*plus)[i] = 1 + w
	}
	return &norm{kind: c.Norm, eps: c.Eps, w: *plus}
}

// stat is what a norm's backward pass needs to know of a row: its mean, which
// only LayerNorm has, and 1/sqrt(mean square + eps) or 1/sqrt(variance + eps).
type stat struct{ mean, inv float32 }

// statistics returns those of x. Products are exact in float64.
func (nm *norm) statistics(x []float32) stat {
	n := float64(len(x))
	if nm.kind != LayerNorm {
		return stat{inv: float32(1 / math.Sqrt(kernel.SumSquares(x)/n+nm.eps))}
	}
	mean := float32(kernel.Sum64(x) / n)
	return stat{mean, float32(1 / math.Sqrt(kernel.SumSquaresFrom(x, mean)/n+nm.eps))}
}

// row computes y from x, whose statistics are s.
func (nm *norm) row(y, x []float32, s stat) {
	if nm.kind == LayerNorm {
		kernel.LayerNormRow(y, x, nm.w, nm.b, s.mean, s.inv)
		return
	}
	kernel.NormRow(y, x, nm.w, s.inv)
}

// rowBackward adds to dx the gradient of row at x for dy.
func (nm *norm) rowBackward(dx, dy, x []float32, s stat) {
	n := float64(len(x))
	if nm.kind == LayerNorm {
		g, gn := kernel.LayerNormRowDots(dy, x, nm.w, s.mean, s.inv)
		kernel.LayerNormRowBackward(dx, dy, x, nm.w, s.mean, s.inv, float32(g/n), float32(gn/n))
		return
	}
	inv := float64(s.inv)
	coef := float32(kernel.NormRowDot(dy, x, nm.w) * inv * inv * inv / n)
	kernel.NormRowBackward(dx, dy, x, nm.w, s.inv, coef)
}

// rowWeights adds to dw and, for LayerNorm, db what a row gives to the gradients
// of the weights.
func (nm *norm) rowWeights(dw, db []float64, dy, x []float32, s stat) {
	if nm.kind == LayerNorm {
		kernel.LayerNormRowWeights(dw, db, dy, x, s.mean, s.inv)
		return
	}
	kernel.NormRowWeights(dw, dy, x, s.inv)
}

// forward computes y [n, width] from x [n, width] and keeps the statistics of
// the rows, unless stats is nil.
func (nm *norm) forward(threads, n int, x, y []float32, stats []stat) {
	h := len(nm.w)
	eachRows(threads, n, func(lo, hi int) {
		for t := lo; t < hi; t++ {
			row := x[t*h:][:h]
			s := nm.statistics(row)
			if stats != nil {
				stats[t] = s
			}
			nm.row(y[t*h:][:h], row, s)
		}
	})
}

// again computes y as forward did, from the statistics it kept.
func (nm *norm) again(threads, n int, x, y []float32, stats []stat) {
	h := len(nm.w)
	eachRows(threads, n, func(lo, hi int) {
		for t := lo; t < hi; t++ {
			nm.row(y[t*h:][:h], x[t*h:][:h], stats[t])
		}
	})
}

// residual computes y = x + forward(a), all [n, width]; y may be a. Without a
// norm, nm nil, it is x + a. Unless next is nil, it goes on to next's h and
// nextStats while a row of y is at hand.
func (nm *norm) residual(threads, n, width int, a, x, y []float32, stats []stat, next *norm, h []float32, nextStats []stat) {
	eachRows(threads, n, func(lo, hi int) {
		for t := lo; t < hi; t++ {
			to, from := y[t*width:][:width], a[t*width:][:width]
			if nm != nil {
				stats[t] = nm.statistics(from)
				nm.row(to, from, stats[t])
			} else if &to[0] != &from[0] {
				copy(to, from)
			}
			kernel.Add(to, x[t*width:][:width])
			if next != nil {
				nextStats[t] = next.statistics(to)
				next.row(h[t*width:][:width], to, nextStats[t])
			}
		}
	})
}

// backward writes to dx [n, width] the sum of base, nil for zero, and the
// gradient of forward at x for dy; dx may be base. The gradients of the weights
// go to g where it wants them.
func (nm *norm) backward(threads, n int, x []float32, stats []stat, dy, base, dx []float32, g *normGrad) {
	h := len(nm.w)
	g.start(n, h)
	eachRows(threads, n, func(lo, hi int) {
		dw, db := g.part(lo)
		for t := lo; t < hi; t++ {
			to, row, up := dx[t*h:][:h], x[t*h:][:h], dy[t*h:][:h]
			if base == nil {
				clear(to)
			} else {
				copy(to, base[t*h:][:h])
			}
			nm.rowBackward(to, up, row, stats[t])
			if dw != nil {
				nm.rowWeights(dw, db, up, row, stats[t])
			}
		}
	})
	g.finish()
}

// normGrad receives the gradients of a norm's weights, nil where not wanted.
// Each part of rows sums its own in float64; the sums are then added in order.
type normGrad struct {
	affine
	width int
	sums  []float64 // [parts, 2, width]
}

// to points g at where gradients go.
func (g *normGrad) to(a affine) *normGrad {
	g.affine = a
	return g
}

// start makes room for the sums over n rows.
func (g *normGrad) start(n, width int) {
	if g.w == nil {
		return
	}
	g.width = width
	g.sums = grown(g.sums, (n+rowsPerPart-1)/rowsPerPart*2*width)
	clear(g.sums)
}

// part is where the part of rows from lo on sums.
func (g *normGrad) part(lo int) (dw, db []float64) {
	if g.w == nil {
		return nil, nil
	}
	sums := g.sums[lo/rowsPerPart*2*g.width:][:2*g.width]
	if g.b == nil {
		return sums[:g.width], nil
	}
	return sums[:g.width], sums[g.width:]
}

// finish writes the gradients.
func (g *normGrad) finish() {
	if g.w == nil {
		return
	}
	total, stride := g.sums[:2*g.width], 2*g.width
	for p := stride; p < len(g.sums); p += stride {
		for i, v := range g.sums[p:][:stride] {
			total[i] += v
		}
	}
	for i := range g.w {
		g.w[i] = float32(total[i])
	}
	for i := range g.b {
		g.b[i] = float32(total[g.width+i])
	}
}
