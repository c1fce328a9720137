package decoder

import "sync"

// residual is a frozen matrix less a low-rank product: W − Scale·B·A.
type residual struct {
	base Linear
	less LoRA
	num  Numerics
	out  int
	in   int
	pool *sync.Pool // *[]float32, room for x·Aᵀ, common to all of a model
}

// Subtract takes a low-rank product away from every linear that lookup knows by
// its path, in scorers, sessions and trainings made from now on. Subtracting
// again replaces what was subtracted.
func (m *Model) Subtract(lookup func(module string) (LoRA, bool)) {
	m.pool = new(sync.Pool)
	for i := range m.blocks {
		for p := range numProj {
			m.blocks[i].less[p], _ = lookup(m.modulePath(i, p))
		}
	}
}

// without returns a Linear of its own for l less a product, or l for none.
func (m *Model) without(l Linear, less LoRA, p int) Linear {
	if less.Rank == 0 {
		return l
	}
	out, in := m.projShape(p)
	return &residual{base: l, less: less, num: m.Numerics, out: out, in: in, pool: m.pool}
}

// room borrows what x·Aᵀ of m rows takes from the pool.
func (r *residual) room(m int) *[]float32 {
	z, ok := r.pool.Get().(*[]float32)
	if !ok {
		z = new([]float32)
	}
	*z = sized(*z, m*r.less.Rank)
	return z
}

// Forward implements Linear.
func (r *residual) Forward(threads, m int, x, y []float32, add bool) {
	r.base.Forward(threads, m, x, y, add)
	z := r.room(m)
	defer r.pool.Put(z)
	r.num.gemmNT(threads, m, r.less.Rank, r.in, x, r.less.A, *z, false)
	scaleBy(*z, -r.less.Scale)
	r.num.gemmNT(threads, m, r.out, r.less.Rank, *z, r.less.B, y, true)
}

// Backward implements Linear.
func (r *residual) Backward(threads, m int, dy, dx []float32, add bool) {
	r.base.Backward(threads, m, dy, dx, add)
	z := r.room(m)
	defer r.pool.Put(z)
	r.num.gemmNN(threads, m, r.less.Rank, r.out, dy, r.less.B, *z, false)
	scaleBy(*z, -r.less.Scale)
	r.num.gemmNN(threads, m, r.in, r.less.Rank, *z, r.less.A, dx, true)
}
