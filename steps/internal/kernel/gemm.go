package kernel

import "math"

// A Tile is a family of microkernels of matrix multiplication of one width: it computes NR columns of C and, as the
// heights go, one to MR rows at once.
//
// Every element of C is c = FMA(a[p], b[p], c) for p = 0, 1, …, k-1, starting from the C in memory (add) or from 0.
// As the sum of one block of k is the start of the next, neither the tile's shape nor the blocking nor the layout of
// the operands changes a bit.
type Tile struct {
	Name   string
	MR, NR int
	Half   *Tile // a tile of half the width or less, nil for none

	muls   []microkernel // from MR rows down to 1
	peak   func(turns int)
	chains int // FMAs of one turn of peak
}

// Peak does nothing but multiply and add numbers in registers, and returns how many operations that were. It tells
// benchmarks what the tile could reach at best.
func (t *Tile) Peak(turns int) (operations int) {
	t.peak(max(1, turns))
	return 2 * t.chains * max(1, turns)
}

// A microkernel is one height of a tile. Strides are in elements.
type microkernel struct {
	rows int
	f    func(k int, a *float32, row, depth int, b *float32, line, ahead int, c *float32, ldc int, load int)
}

// Height returns how many of rows > 0 rows Mul does at once, to begin with.
func (t *Tile) Height(rows int) int {
	if rows < 2*t.MR && rows > t.MR { // in two steps of about the same size, if there is one
		for i := len(t.muls) - 1; i > 0; i-- {
			if h := t.muls[i].rows; 2*h >= rows {
				return h
			}
		}
	}
	return t.mul(rows).rows
}

// mul is the highest kernel of at most that many rows.
func (t *Tile) mul(rows int) *microkernel {
	for i := range t.muls {
		if t.muls[i].rows <= rows {
			return &t.muls[i]
		}
	}
	panic("kernel: no rows")
}

// Mul computes rows > 0 rows and NR columns of C = A·B, plus C if add is set, from top to bottom in the heights that
// Height says. Element (i, p) of A is a[i*row+p*depth], row p of B begins at b[p*line], row i of C at c[i*ldc]. Tiles
// are fastest on panels, which are read in order: row = 1 and depth = MR, line = NR. It panics when a slice is too
// short.
func (t *Tile) Mul(rows, k int, a []float32, row, depth int, b []float32, line int, c []float32, ldc int, add bool) {
	_ = c[(rows-1)*ldc+t.NR-1]
	if k <= 0 {
		for i := 0; i < rows && !add; i++ {
			clear(c[i*ldc:][:t.NR])
		}
		return
	}
	_, _ = a[(rows-1)*row+(k-1)*depth], b[(k-1)*line+t.NR-1]
	ahead := t.NR // the panel to the right
	if line == t.NR {
		ahead = 8 * t.NR // further down
	}
	load := 0
	if add {
		load = 1
	}
	i, high := 0, &t.muls[0]
	for ; rows-i >= 2*t.MR; i += t.MR {
		high.f(k, &a[i*row], row, depth, &b[0], line, ahead, &c[i*ldc], ldc, load)
	}
	for i < rows {
		m := t.mul(t.Height(rows - i))
		m.f(k, &a[i*row], row, depth, &b[0], line, ahead, &c[i*ldc], ldc, load)
		i += m.rows
	}
}

// Generic returns the plain Go tile, which defines the bits.
func Generic() *Tile {
	t := &Tile{Name: "generic 8x8", MR: 8, NR: 8, peak: genericPeak, chains: 8}
	for _, rows := range []int{8, 4, 2, 1} {
		t.muls = append(t.muls, microkernel{rows, genericMul(rows)})
	}
	return t
}

// Tiles returns the tiles this machine can run, fastest first. The last is Generic.
func Tiles() []*Tile { return append(machineTiles(), Generic()) }

// rounded says whether rounding the float64 sum s to float32 gives the correctly rounded result of fma.
func rounded(s float64) bool {
	u := math.Float64bits(s)
	return u&dropped != half && u<<1 >= tiny
}
