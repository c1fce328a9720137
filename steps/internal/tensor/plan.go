package tensor

import "github.com/pipe-run/pipe/steps/internal/kernel"

const (
	smallWork    = 1 << 20 // operations up to which starting a goroutine costs more than it brings
	unitsEach    = 16      // units of work that every thread should find, to end together
	linesEach    = 2       // the same where lanes are read line by line
	packedEach   = 6       // the same where every unit packs lanes
	leastRows    = 96      // rows of a part at least
	leastPacked  = 1024    // rows of a part at least where each part packs its lanes anew
	leastNarrow  = 128     // the same where there are too few columns to share
	leastLines   = 256     // lanes of a group at least that are read where they lie, line by line
	leftAtOnce   = 1 << 19 // elements of A copied to panels at a time
	narrowLeft   = 32      // rows of A up to which columns are read where they lie
	shallowLeft  = 64      // depths up to which columns are read where they lie
	narrowRight  = 16      // columns of C up to which a product with Aᵀ is done transposed
	narrowedLeft = 4       // by how much m must exceed n for that
)

// multiply does all units of the products.
func multiply(threads int, ws ...product) {
	units, work := 0, 0
	for i := range ws {
		work += 2 * ws[i].m * ws[i].n * (ws[i].to - ws[i].from)
	}
	if work <= smallWork {
		threads = 1
	}
	for i := range ws {
		ws[i].plan(threads)
		units += ws[i].parts * ws[i].groups
	}
	Parallel(threads, units, func(u int) {
		i := 0
		for u >= ws[i].parts*ws[i].groups {
			u -= ws[i].parts * ws[i].groups
			i++
		}
		ws[i].unit(u)
	})
}

// alone does all units here.
func (w *product) alone() {
	w.plan(1)
	for u := range w.parts * w.groups {
		w.unit(u)
	}
}

// plan cuts the product into units. That changes no bit.
func (w *product) plan(threads int) {
	w.parts, w.groups = 0, 0
	if w.m == 0 || w.n == 0 {
		return
	}
	np := ceil(w.n, w.tile.NR)
	widest := max(1, groupWidth/w.tile.NR)
	least := w.b.ready(w.m)
	switch {
	case threads == 1:
		w.parts, w.groups = 1, ceil(np, widest)
	case least > 0:
		most := max(1, w.m/leastRows)
		fit := max(ceil(w.n, max(least, w.tile.NR)), ceil(linesEach*threads, most))
		w.groups = max(ceil(np, widest), min(np, fit, ceil(unitsEach*threads, most)))
		w.parts = min(most, ceil(unitsEach*threads, w.groups))
	default:
		w.parts = max(1, min(w.m/leastPacked, packedEach*threads/2))
		w.groups = max(ceil(np, widest), min(np, ceil(packedEach*threads, w.parts)))
		if w.parts*w.groups < packedEach*threads {
			w.parts = max(w.parts, min(w.m/leastNarrow, ceil(packedEach*threads, w.groups)))
		}
	}
}

// rowsOf is the rows of a part, columnsOf the columns of a group: parts and groups differ by one tile at most.
func (w *product) rowsOf(part int) (from, to int) { return share(w.m, w.tile.MR, part, w.parts) }

func (w *product) columnsOf(group int) (from, to int) { return share(w.n, w.tile.NR, group, w.groups) }

// share is the i-th of count shares of n things that come in pieces.
func share(n, piece, i, count int) (from, to int) {
	pieces := ceil(n, piece)
	return i * pieces / count * piece, min(n, (i+1)*pieces/count*piece)
}

// ceil is a/b, rounded up.
func ceil(a, b int) int { return (a + b - 1) / b }

// gemmTN multiplies a, whose columns are the rows of A, with b by rows.
func gemmTN(t *kernel.Tile, threads, m, n, k int, a []float32, lda int, b []float32, ldb int, c []float32, ldc int, add bool) {
	switch {
	case n <= narrowRight && m >= narrowedLeft*n && k > 0 && n > 0:
		gemmNarrowTN(t, threads, m, n, k, a, lda, b, ldb, c, ldc, add)
	case m <= narrowLeft || k <= shallowLeft:
		gemm(t, threads, m, n, k, byColumn(a, lda), lanesByColumn{b, ldb}, c, ldc, add)
	default:
		gemmDeepTN(t, threads, m, n, k, a, lda, b, ldb, c, ldc, add)
	}
}

// gemmNarrowTN computes the transpose of C, which is wide, and turns it around.
func gemmNarrowTN(t *kernel.Tile, threads, m, n, k int, a []float32, lda int, b []float32, ldb int, c []float32, ldc int, add bool) {
	turned := getBuffer(n * m)
	defer turned.free()
	if add {
		for i := range m {
			for j := range n {
				turned.f[j*m+i] = c[i*ldc+j]
			}
		}
	}
	gemm(t, threads, n, m, k, byColumn(b, ldb), lanesByColumn{a, lda}, turned.f, m, add)
	for i := range m {
		for j := range n {
			c[i*ldc+j] = turned.f[j*m+i]
		}
	}
}

// gemmDeepTN copies as many depths of A as fit the scratch to panels, multiplies, and goes on with the next.
func gemmDeepTN(t *kernel.Tile, threads, m, n, k int, a []float32, lda int, b []float32, ldb int, c []float32, ldc int, add bool) {
	panels := ceil(m, t.MR)
	block := depthOf(t)
	depth := min(k, max(1, leftAtOnce/(panels*t.MR*block))*block)
	buf := getBuffer(panels * t.MR * depth)
	defer buf.free()
	q := &panelsOfLeft{height: t.MR, panels: panels, block: block, data: buf.f}
	w := newProduct(t, m, n, k, left{panels: q}, lanesByColumn{b, ldb}, c, ldc, add)
	w.depth = block
	for ; w.from < k; w.from, w.add = w.from+depth, true {
		q.from, w.to = w.from, min(k, w.from+depth)
		blocks := ceil(w.to-w.from, block)
		Parallel(threads, blocks*ceil(panels, panelsAtOnce), func(u int) {
			q.fill(u/blocks*panelsAtOnce, m, w.from+u%blocks*block, w.to, a, lda)
		})
		multiply(threads, w)
	}
}

// panelsAtOnce is how many panels of A one thread copies at a time.
const panelsAtOnce = 32

// fill copies the block from depth p on of panelsAtOnce panels, from panel i on.
func (q *panelsOfLeft) fill(i, m, p, to int, a []float32, lda int) {
	kc, lane := min(q.block, to-p), i*q.height
	dst, _ := q.at(lane, p, kc)
	copyLines(dst, q.height, a[p*lda+lane:], lda, min(m-lane, panelsAtOnce*q.height), kc)
}
