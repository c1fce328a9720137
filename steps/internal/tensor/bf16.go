package tensor

import (
	"fmt"
	"sync"

	"github.com/pipe-run/pipe/steps/internal/kernel"
)

// Products in bf16 round the elements of both matrices to bfloat16 as they are packed and sum in float32 in the order
// of AMX tiles (package kernel, BF16Step), which has bits of its own: those of a processor with AMX and of plain Go, not
// those of the float32 products. K counts as filled up with zeros to a multiple of 32. Everything else is as there: C,
// its sums and what is added to it are float32, and neither threads nor the way in which a matrix is packed changes a
// bit.

// GemmBF16NT computes C = A·Bᵀ in bf16, or adds it to C: a is [m, k], b [n, k], c [m, n].
func GemmBF16NT(threads, m, n, k int, a, b, c []float32, add bool) {
	check(m, n, k, a, b, c)
	gemmBF16(bestBF16(), threads, m, k, bf16ByRow(floatRows{a, k}), BF16Right{BF16NT(n, k, b), c, add})
}

// GemmBF16NN computes C = A·B in bf16, or adds it to C: a is [m, k], b [k, n], c [m, n].
func GemmBF16NN(threads, m, n, k int, a, b, c []float32, add bool) {
	check(m, n, k, a, b, c)
	gemmBF16(bestBF16(), threads, m, k, bf16ByRow(floatRows{a, k}), BF16Right{BF16NN(k, n, b), c, add})
}

// GemmBF16TN computes C = Aᵀ·B in bf16, or adds it to C: a is [k, m], b [k, n], c [m, n].
func GemmBF16TN(threads, m, n, k int, a, b, c []float32, add bool) {
	check(m, n, k, a, b, c)
	gemmBF16(bestBF16(), threads, m, k, bf16ByLine(floatLines{a, m}), BF16Right{BF16NN(k, n, b), c, add})
}

// A BF16Right is one of the right-hand sides that GemmBF16 multiplies the same A with, and where the product goes.
type BF16Right struct {
	B   BF16Operand // [k, n]
	C   []float32   // [m, n]
	Add bool        // add to C
}

// GemmBF16 multiplies a [m, k], row-major and dense, with every one of rights in bf16, one after the other: C = A·B, or
// C += A·B. A is rounded and packed once for all. The Cs must not overlap, neither each other nor an operand.
func GemmBF16(threads, m, k int, a []float32, rights ...BF16Right) {
	if m < 0 || k < 0 || len(a) < m*k {
		panic(fmt.Sprintf("tensor: product of [%d, %d] of a slice of %d", m, k, len(a)))
	}
	gemmBF16(bestBF16(), threads, m, k, bf16ByRow(floatRows{a, k}), rights...)
}

// bestBF16 is the fastest tile of this machine. Where that means AMX, the first call asks for leave to use it.
var bestBF16 = sync.OnceValue(func() *kernel.BF16Tile { return kernel.BF16Tiles()[0] })

const (
	bf16Depth   = 384     // K of one pass over the panels at most
	bf16Left    = 8 << 20 // bytes of A packed at a time
	bf16Group   = 128     // columns a unit of work takes at most
	bf16Rows    = 192     // rows of A that are multiplied with one panel after the other
	bf16Part    = 512     // rows that a part keeps if possible: each packs B anew, if that is not packed
	bf16Want    = 32      // units of work a product is cut into where it is large enough
	bf16FewRows = 3       // up to so many, the tile for few rows is used
)

// gemmBF16 multiplies block of rows by block of rows: it packs the block, then lets units of work, each some of the
// rows times a group of columns, run over all of K.
func gemmBF16(t *kernel.BF16Tile, threads, m, k int, a bf16Source, rights ...BF16Right) {
	for _, r := range rights {
		if depth, n := r.B.Shape(); depth != k || len(r.C) < m*n {
			panic(fmt.Sprintf("tensor: product [%d, %d]·[%d, %d] into a slice of %d", m, k, depth, n, len(r.C)))
		}
	}
	if m == 0 {
		return
	}
	if m <= bf16FewRows && t.Row != nil {
		t = t.Row
	}
	steps := (k + kernel.BF16Depth - 1) / kernel.BF16Depth
	rows := bf16Left / (4 * max(1, steps) * t.StepSize()) * t.MR
	rows = min(max(rows, bf16Rows/t.MR*t.MR), (m+t.MR-1)/t.MR*t.MR)
	for i := 0; i < m; i += rows {
		w := bf16Work{tile: t, k: k, rows: min(rows, m-i)}
		w.run(threads, a, i, rights)
	}
}

// bf16Block is the K of one pass over panels that are k deep in all: passes of about the same depth.
func bf16Block(k int) int {
	passes := max(1, (k+bf16Depth-1)/bf16Depth)
	return pairsDeep((k+passes-1)/passes) * 2
}

// bf16Work is the product of one packed block of rows of A with everything on the right.
type bf16Work struct {
	tile *kernel.BF16Tile
	k    int
	rows int
	a    []uint32 // packed: [blocks of K][row panels][steps]
}

// run packs the rows of a from row i on and multiplies.
func (w *bf16Work) run(threads int, a bf16Source, i int, rights []BF16Right) {
	mr := w.tile.MR
	panels := (w.rows + mr - 1) / mr
	steps := (w.k + kernel.BF16Depth - 1) / kernel.BF16Depth
	buf := getBuffer(panels * steps * w.tile.StepSize())
	defer buf.free()
	w.a = words(buf.f)
	wide := bf16Wide(w.tile)
	Parallel(threads, (panels+wide-1)/wide, func(u int) {
		block := bf16Block(w.k)
		for p := 0; p < w.k; p += block {
			q := u * wide
			w.packA(a, i, q, min(wide, panels-q), p, min(block, w.k-p))
		}
	})
	for _, r := range rights {
		_, n := r.B.Shape()
		w.multiply(threads, r, r.C[i*n:], n)
	}
}

// multiply computes the rows of one product. c begins at their first.
func (w *bf16Work) multiply(threads int, r BF16Right, c []float32, n int) {
	if w.k == 0 {
		if !r.Add {
			clear(c[:w.rows*n])
		}
		return
	}
	if 2*w.rows*n*w.k < 1<<16 {
		threads = 1 // starting a goroutine costs more
	}
	u := newBF16Units(w.tile, w.rows, n)
	Parallel(threads, u.parts*u.groups, func(i int) {
		w.unit(u, i%u.parts, i/u.parts, r, c, n)
	})
}

// bf16Units is how a product is cut, by its shape alone.
type bf16Units struct {
	group, groups int // panels of B in a unit, and how many groups there are
	part, parts   int // rows of A in a unit, and how many parts there are
}

func newBF16Units(t *kernel.BF16Tile, rows, n int) bf16Units {
	panels := (n + t.NR - 1) / t.NR
	u := bf16Units{group: max(1, min(bf16Group/t.NR, panels)), part: (rows + t.MR - 1) / t.MR * t.MR}
	count := func() int {
		u.groups, u.parts = (panels+u.group-1)/u.group, (rows+u.part-1)/u.part
		return u.groups * u.parts
	}
	half := func() { u.part = (u.part/2 + t.MR - 1) / t.MR * t.MR }
	for count() < bf16Want { // long parts first, since all of A passes by for every group
		switch {
		case u.part >= 2*bf16Part:
			half()
		case u.group > 2:
			u.group /= 2
		case u.part >= 8*t.MR:
			half()
		case u.group > 1:
			u.group = 1
		default:
			return u
		}
	}
	return u
}

// unit multiplies one part of the rows with one group of columns, over all of K in order.
func (w *bf16Work) unit(u bf16Units, part, group int, r BF16Right, c []float32, n int) {
	nr := w.tile.NR
	j0 := group * u.group * nr
	j1 := min(n, j0+u.group*nr)
	i1 := min(w.rows, (part+1)*u.part)
	block := bf16Block(w.k)
	scratch := getBuffer(w.tile.MR*nr + block/2*u.group*nr)
	defer scratch.free()
	edge, space := scratch.f[:w.tile.MR*nr], words(scratch.f[w.tile.MR*nr:])
	few := max(1, bf16Rows/w.tile.MR) * w.tile.MR
	for p := 0; p < w.k; p += block {
		kc := min(block, w.k-p)
		panels := bf16Panels(r.B, space, nr, j0, j1-j0, p, kc)
		size := pairsDeep(kc) * nr
		for i := part * u.part; i < i1; i += few {
			for j := j0; j < j1; j += nr {
				w.column(edge, panels[(j-j0)/nr*size:][:size], i, min(few, i1-i), j, min(nr, n-j), p, kc, r.Add || p > 0, c, n)
			}
		}
	}
}

// column multiplies rows [i, i+high), i at the start of a panel, with one panel of B.
func (w *bf16Work) column(edge []float32, panel []uint32, i, high, j, wide, p, kc int, add bool, c []float32, n int) {
	mr, nr := w.tile.MR, w.tile.NR
	whole := high / mr
	if wide < nr {
		whole = 0
	}
	if whole > 0 {
		w.tile.Mul(whole, kc, w.panelsA(i/mr, whole, p, kc), panel, c[i*n+j:], n, add)
	}
	for q := whole * mr; q < high; q += mr {
		rows := min(mr, high-q)
		for r := 0; add && r < rows; r++ {
			copy(edge[r*nr:][:wide], c[(i+q+r)*n+j:])
		}
		w.tile.Mul(1, kc, w.panelsA((i+q)/mr, 1, p, kc), panel, edge, nr, add)
		for r := range rows {
			copy(c[(i+q+r)*n+j:][:wide], edge[r*nr:])
		}
	}
}

// panelsA is count packed panels of rows from q on, at depths [p, p+kc).
func (w *bf16Work) panelsA(q, count, p, kc int) []uint32 {
	size := w.tile.StepSize()
	panels := (w.rows + w.tile.MR - 1) / w.tile.MR
	steps := (kc + kernel.BF16Depth - 1) / kernel.BF16Depth
	return w.a[(p/kernel.BF16Depth*panels+q*steps)*size:][:count*steps*size]
}
