package tensor

import "github.com/pipe-run/pipe/steps/internal/kernel"

const (
	depthBlock  = 320  // K of one pass over the lanes: a panel of B of 16 lanes stays in L1
	wideBlock   = 256  // the same for tiles of 32 lanes
	narrowBlock = 2048 // the same for a single panel, which may stay in L2, as all depends on how A streams in
	rowBlock    = 48   // rows of A that stay in L2 while the lanes of a unit pass
	groupWidth  = 512  // lanes of a unit at most, whose block of B stays in L2
)

// A product is C = A·B or C += A·B of one right side, summed over the depths [from, to), and how it is cut into units
// of work, each some of the rows times a group of columns over all of the depths in order.
type product struct {
	tile     *kernel.Tile
	m, n     int
	from, to int
	a        left
	b        side
	c        []float32
	ldc      int // from one row of C to the next
	add      bool
	scale    float32
	low      *product // added to the same C before scaling; only its depths, a and b matter
	depth    int      // of one pass

	groups, parts int // of the columns, of the rows
}

func newProduct(t *kernel.Tile, m, n, k int, a left, b side, c []float32, ldc int, add bool) product {
	if d, ok := b.(dense); ok {
		b = d.side
	}
	if p, ok := b.(*Packed); ok {
		t = p.tile
	} else {
		for t.Half != nil && n <= t.Half.NR {
			t = t.Half
		}
	}
	depth := depthOf(t)
	if n <= t.NR && a.panels == nil {
		depth = narrowBlock
	}
	return product{tile: t, m: m, n: n, to: k, a: a, b: b, c: c, ldc: ldc, add: add, scale: 1, depth: depth}
}

// depthOf is the K of one pass with a tile.
func depthOf(t *kernel.Tile) int {
	if t.NR > 16 {
		return wideBlock
	}
	return depthBlock
}

// unit computes one part of the rows of one group of columns.
func (w *product) unit(u int) {
	i0, i1 := w.rowsOf(u % w.parts)
	j0, j1 := w.columnsOf(u / w.parts)
	if i0 >= i1 {
		return
	}
	if w.from == w.to && !w.add {
		for i := i0; i < i1; i++ {
			clear(w.c[i*w.ldc+j0 : i*w.ldc+j1])
		}
	}
	w.depths(i0, i1, j0, j1)
	if w.scale != 1 {
		for i := i0; i < i1; i++ {
			row := w.c[i*w.ldc+j0 : i*w.ldc+j1]
			for j := range row {
				row[j] *= w.scale
			}
		}
	}
}

// depths computes the rows [i0, i1) of the columns [j0, j1). A low-rank product of one block of depths is added to a
// block of rows while that is still at hand.
func (w *product) depths(i0, i1, j0, j1 int) {
	low := w.low
	fused := low != nil && low.to <= low.depth && w.from < w.to
	var lowBlock block
	if fused {
		buf := low.scratch(j1-j0, low.to)
		defer buf.free()
		lowBlock = low.b.block(buf.f, low.tile.NR, j0, j1-j0, 0, low.to, i1-i0)
	}
	buf := w.scratch(j1-j0, min(w.depth, w.to-w.from))
	defer buf.free()
	for p := w.from; p < w.to; p += w.depth {
		kc := min(w.depth, w.to-p)
		b := w.b.block(buf.f, w.tile.NR, j0, j1-j0, p, kc, i1-i0)
		for i := i0; i < i1; i += rowBlock {
			w.rows(i, min(i1, i+rowBlock), j0, j1, p, kc, b, w.add || p > w.from)
			if fused && p+kc == w.to {
				low.rows(i, min(i1, i+rowBlock), j0, j1, 0, low.to, lowBlock, true)
			}
		}
	}
	if low != nil && !fused {
		low.depths(i0, i1, j0, j1)
	}
}

// scratch is room for a block of wide lanes.
func (w *product) scratch(wide, kc int) *buffer {
	nr := w.tile.NR
	return getBuffer(((wide+nr-1)/nr*nr + padding) * kc)
}

// rows multiplies the rows [i0, i1) with the block b of the lanes [j0, j1) at depths [p, p+kc).
func (w *product) rows(i0, i1, j0, j1, p, kc int, b block, add bool) {
	nr := w.tile.NR
	for j := j0; j < j1; {
		t := w.tile
		for t.Half != nil && t.NR > j1-j {
			t = t.Half
		}
		wide := min(t.NR, j1-j)
		lanes := b.data[(j-j0)/nr*b.panel+(j-j0)%nr:]
		for i := i0; i < i1; {
			a, row, depth, room := w.a.at(i, p, kc)
			h := min(room, i1-i)
			c := w.c[i*w.ldc+j:]
			if wide == t.NR {
				t.Mul(h, kc, a, row, depth, lanes, b.line, c, w.ldc, add)
			} else {
				h = t.Height(h)
				edge(t, h, wide, kc, a, row, depth, lanes, b.line, c, w.ldc, add)
			}
			i += h
		}
		j += wide
	}
}

// edge is t.Mul for a C of fewer columns than the tile has.
func edge(t *kernel.Tile, h, wide, kc int, a []float32, row, depth int, b []float32, line int, c []float32, ldc int, add bool) {
	scratch := getBuffer(maxTile)
	defer scratch.free()
	whole := scratch.f
	for r := 0; add && r < h; r++ {
		copy(whole[r*t.NR:][:wide], c[r*ldc:])
	}
	t.Mul(h, kc, a, row, depth, b, line, whole, t.NR, add)
	for r := range h {
		copy(c[r*ldc:][:wide], whole[r*t.NR:])
	}
}

// maxTile is the number of elements of C in the largest tile.
const maxTile = 12 * 32
