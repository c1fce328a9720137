package decoder

// See is told of a forward pass of a linear of a block: the module's path, its
// input x [m, In] and the product y = x·Wᵀ [m, Out], before a bias or an adapter
// is added. It must neither keep nor change them.
type See func(module string, m int, x, y []float32)

// Observe makes the linears of all blocks tell see of every forward pass that
// begins afterwards. Scorers made before do not notice.
func (m *Model) Observe(see See) {
	for i := range m.blocks {
		for p, l := range m.blocks[i].lin {
			if l != nil {
				out, _ := m.projShape(p)
				m.blocks[i].lin[p] = &observed{Linear: l, out: out, module: m.modulePath(i, p), see: see}
			}
		}
	}
}

// observed is a linear whose forward passes are seen.
type observed struct {
	Linear
	out     int
	module  string
	see     See
	product []float32 // of a pass that adds
}

func (o *observed) Forward(threads, m int, x, y []float32, add bool) {
	o.Linear.Forward(threads, m, x, y, add)
	if add {
		o.product = sized(o.product, m*o.out)
		o.Linear.Forward(threads, m, x, o.product, false)
		y = o.product
	}
	o.see(o.module, m, x, y[:m*o.out])
}
