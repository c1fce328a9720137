package tensor

// left is A: element (i, p) is m[i*row+p*depth], or lies in panels.
type left struct {
	m          []float32
	row, depth int
	panels     *panelsOfLeft
}

// byRow is a [m, k] with rows ld apart.
func byRow(a []float32, ld int) left { return left{m: a, row: ld, depth: 1} }

// byColumn is a [k, m] with rows ld apart, which are the columns of A.
func byColumn(a []float32, ld int) left { return left{m: a, row: 1, depth: ld} }

// at returns A from row i and depth p on, how far apart its rows and depths are there, and how many rows there are at
// most. kc is the depth of the block that begins at p.
func (l *left) at(i, p, kc int) (a []float32, row, depth, rows int) {
	if q := l.panels; q != nil {
		a, rows = q.at(i, p, kc)
		return a, 1, q.height, rows
	}
	return l.m[i*l.row+p*l.depth:], l.row, l.depth, 1 << 30
}

// panelsOfLeft is the depths from some multiple of block on of a matrix whose columns are the rows of A, copied to
// panels: [blocks of K][panels][kc][height].
type panelsOfLeft struct {
	height, panels int
	block          int // depths of a block
	from           int
	data           []float32
}

func (q *panelsOfLeft) at(i, p, kc int) (a []float32, rows int) {
	lane := i % q.height
	return q.data[(p-q.from)*q.panels*q.height+i/q.height*kc*q.height+lane:], q.height - lane
}
