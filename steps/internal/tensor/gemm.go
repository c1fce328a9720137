package tensor

import (
	"fmt"

	"github.com/pipe-run/pipe/steps/internal/kernel"
)

// GemmNT computes C = A·Bᵀ, or adds it to C: a is [m, k], b [n, k], c [m, n], all row-major and dense.
// Like all products here it panics when a slice is shorter than its shape.
func GemmNT(threads, m, n, k int, a, b, c []float32, add bool) {
	check(m, n, k, a, b, c)
	gemm(best, threads, m, n, k, left{rows: a, ld: k}, lanesByRow{b, k}, c, n, add)
}

// GemmNN computes C = A·B, or adds it to C: a is [m, k], b [k, n], c [m, n].
func GemmNN(threads, m, n, k int, a, b, c []float32, add bool) {
	check(m, n, k, a, b, c)
	gemm(best, threads, m, n, k, left{rows: a, ld: k}, lanesByColumn{b, n}, c, n, add)
}

// GemmTN computes C = Aᵀ·B, or adds it to C: a is [k, m], b [k, n], c [m, n].
func GemmTN(threads, m, n, k int, a, b, c []float32, add bool) {
	check(m, n, k, a, b, c)
	gemm(best, threads, m, n, k, left{columns: a, ld: m}, lanesByColumn{b, n}, c, n, add)
}

// best is the fastest tile of this machine.
var best = kernel.Tiles()[0]

func check(m, n, k int, a, b, c []float32) {
	if m < 0 || n < 0 || k < 0 || len(a) < m*k || len(b) < k*n || len(c) < m*n {
		panic(fmt.Sprintf("tensor: product [%d, %d]·[%d, %d] of slices of %d and %d into %d", m, k, k, n, len(a), len(b), len(c)))
	}
}

const (
	depthBlock = 256     // K of one pass over the panels: a panel of B stays in L1
	groupWidth = 128     // columns a unit of work takes at most
	leftBlock  = 1 << 20 // elements of A packed at a time
	minRows    = 96      // rows of A packed at a time at least
	wantUnits  = 64      // units of work a product is cut into where it is large enough
)

// left is A, by rows [m, k] or by columns [k, m]; one of the two is set.
type left struct {
	rows, columns []float32
	ld            int
}

func (l left) pack(dst []float32, nr, lane, w, p, kc int) {
	if l.rows != nil {
		lanesByRow{l.rows, l.ld}.pack(dst, nr, lane, w, p, kc)
		return
	}
	lanesByColumn{l.columns, l.ld}.pack(dst, nr, lane, w, p, kc)
}

// row is row i of length k where it lies in memory as it is, nil elsewhere.
func (l left) row(i, k int) []float32 {
	if l.rows != nil {
		return l.rows[i*l.ld:][:k]
	}
	if l.ld == 1 {
		return l.columns[:k]
	}
	return nil
}

// gemm multiplies block of rows by block of rows: it packs the block, then lets units of work, each some of the rows
// times a group of columns, run over all of K.
func gemm(t *kernel.Tile, threads, m, n, k int, a left, b side, c []float32, ldc int, add bool) {
	if m == 0 || n == 0 {
		return
	}
	if k == 0 {
		if !add {
			for i := range m {
				clear(c[i*ldc:][:n])
			}
		}
		return
	}
	if 2*m*n*k < 1<<16 {
		threads = 1 // starting a goroutine costs more
	}
	rows := min(m, max(minRows, leftBlock/k))
	rows = (rows + t.MR - 1) / t.MR * t.MR
	for i := 0; i < m; i += rows {
		w := work{tile: t, n: n, k: k, rows: min(rows, m-i), b: b, c: c[i*ldc:], ldc: ldc, add: add}
		w.run(threads, a, i)
	}
}

// work is the product of one packed block of rows of A and all of B.
type work struct {
	tile    *kernel.Tile
	n, k    int
	rows    int
	b       side
	c       []float32 // from the block's first row on
	ldc     int       // from one row of C to the next
	add     bool
	a       []float32 // packed: [blocks of K][row panels][kc][MR], unless single
	single  bool      // the block is one row, and a is that row as it is
	parts   int       // the rows are cut into this many parts of perPart panels
	perPart int
	group   int // panels of B in a unit
}

// run packs the rows of a from row i on and multiplies.
func (w *work) run(threads int, a left, i int) {
	mr := w.tile.MR
	panels := (w.rows + mr - 1) / mr
	w.plan(panels)
	if w.a = a.row(i, w.k); w.rows == 1 && w.a != nil {
		w.single = true
	} else {
		buf := getBuffer(panels * mr * w.k)
		defer buf.free()
		w.a = buf.f
		Parallel(threads, panels, func(q int) {
			for p := 0; p < w.k; p += depthBlock {
				kc := min(depthBlock, w.k-p)
				a.pack(w.panelA(q, p, kc), mr, i+q*mr, min(mr, w.rows-q*mr), p, kc)
			}
		})
	}
	groups := (w.n + w.group*w.tile.NR - 1) / (w.group * w.tile.NR)
	Parallel(threads, w.parts*groups, func(u int) { w.unit(u%w.parts, u/w.parts) })
}

// plan chooses parts and groups from the shape alone.
func (w *work) plan(panels int) {
	np := (w.n + w.tile.NR - 1) / w.tile.NR
	w.group = max(1, min(groupWidth/w.tile.NR, np/wantUnits))
	groups := (np + w.group - 1) / w.group
	w.parts = max(1, min(wantUnits/groups, panels/4))
	w.perPart = (panels + w.parts - 1) / w.parts
}

// panelA is the packed panel q of rows at depths [p, p+kc).
func (w *work) panelA(q, p, kc int) []float32 {
	mr := w.tile.MR
	panels := (w.rows + mr - 1) / mr
	return w.a[p*panels*mr+q*kc*mr:][:kc*mr]
}

// unit multiplies one part of the rows with one group of columns, over all of K in order.
func (w *work) unit(part, group int) {
	mr, nr := w.tile.MR, w.tile.NR
	j0 := group * w.group * nr
	j1 := min(w.n, j0+w.group*nr)
	scratch := getBuffer(mr*nr + depthBlock*w.group*nr)
	defer scratch.free()
	edge, packed := scratch.f[:mr*nr], scratch.f[mr*nr:]
	for p := 0; p < w.k; p += depthBlock {
		kc := min(depthBlock, w.k-p)
		panels := w.panelsB(packed, j0, j1-j0, p, kc)
		for j := j0; j < j1; j += nr {
			w.column(edge, panels[(j-j0)*kc:][:kc*nr], part, j, min(nr, w.n-j), p, kc)
		}
	}
}

// panelsB is the packed panels of columns [j, j+wide) at depths [p, p+kc), in dst unless they are packed already.
func (w *work) panelsB(dst []float32, j, wide, p, kc int) []float32 {
	if b, ok := w.b.(*Packed); ok {
		return b.panels(j, p, kc)
	}
	w.b.pack(dst, w.tile.NR, j, wide, p, kc)
	return dst
}

// column multiplies the panels of one part of the rows with one panel of B.
func (w *work) column(edge, panel []float32, part, j, wide, p, kc int) {
	mr, nr := w.tile.MR, w.tile.NR
	add := w.add || p > 0
	if w.single {
		w.oneRow(edge, panel, j, wide, p, kc, add)
		return
	}
	for i := part * w.perPart * mr; i < min(w.rows, (part+1)*w.perPart*mr); i += mr {
		a := w.panelA(i/mr, p, kc)
		high := min(mr, w.rows-i)
		if high == mr && wide == nr {
			w.tile.Mul(mr, kc, a, 1, mr, panel, nr, w.c[i*w.ldc+j:], w.ldc, add)
			continue
		}
		for r := 0; add && r < high; r++ {
			copy(edge[r*nr:][:wide], w.c[(i+r)*w.ldc+j:])
		}
		w.tile.Mul(mr, kc, a, 1, mr, panel, nr, edge, nr, add)
		for r := range high {
			copy(w.c[(i+r)*w.ldc+j:][:wide], edge[r*nr:])
		}
	}
}

// oneRow is column for a single row.
func (w *work) oneRow(edge, panel []float32, j, wide, p, kc int, add bool) {
	c := w.c[j:][:wide]
	if add {
		copy(edge, c)
	}
	w.tile.Mul(1, kc, w.a[p:][:kc], 1, 1, panel, w.tile.NR, edge, w.tile.NR, add)
	copy(c, edge)
}
