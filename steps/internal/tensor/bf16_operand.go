package tensor

import "github.com/pipe-run/pipe/steps/internal/kernel"

// A BF16Operand is a right-hand side [k, n] of a product in bf16: a *BF16Packed, or what BF16NT, BF16NN, BF16PanelsNT
// and BF16PanelsNN return.
type BF16Operand interface {
	// Shape returns the depth and the number of columns.
	Shape() (k, n int)

	bf16Source
}

// BF16NT is b [n, k], row-major and dense, to be multiplied as A·Bᵀ and rounded at use.
func BF16NT(n, k int, b []float32) BF16Operand {
	check(0, n, k, nil, b, nil)
	return bf16Dense{bf16ByRow(floatRows{b, k}), k, n}
}

// BF16NN is b [k, n], row-major and dense, to be multiplied as A·B and rounded at use.
func BF16NN(k, n int, b []float32) BF16Operand {
	check(0, n, k, nil, b, nil)
	return bf16Dense{bf16ByLine(floatLines{b, n}), k, n}
}

// BF16PanelsNT is b [n, k], to be multiplied as A·Bᵀ. A Half of dtype BF16 is taken as it is stored, others are
// unpacked and rounded at use.
func BF16PanelsNT(b Panels) BF16Operand {
	n, k := b.Shape()
	if h, ok := b.(*Half); ok && h.dtype == BF16 {
		return bf16Dense{bf16ByRow(storedRows{h}), k, n}
	}
	return bf16Dense{bf16ByRow(unpackedRows{b}), k, n}
}

// BF16PanelsNN is b [k, n], to be multiplied as A·B; otherwise like BF16PanelsNT.
func BF16PanelsNN(b Panels) BF16Operand {
	k, n := b.Shape()
	if h, ok := b.(*Half); ok && h.dtype == BF16 {
		return bf16Dense{bf16ByLine(storedLines{h}), k, n}
	}
	return bf16Dense{bf16ByLine(unpackedLines{b}), k, n}
}

// bf16Dense is a source and its shape.
type bf16Dense struct {
	bf16Source
	k, n int
}

// Shape returns the depth and the number of columns.
func (d bf16Dense) Shape() (k, n int) { return d.k, d.n }

// BF16Packed is a right-hand side [k, n] rounded to bfloat16 and laid out for the microkernel, for one that is used many
// times. It takes two bytes an element, with n rounded up to the width of a panel and k to a multiple of 32.
type BF16Packed struct {
	tile *kernel.BF16Tile
	n, k int
	data []uint32 // [blocks of K][panels][pairs][NR]
}

// PackBF16 packs a right-hand side.
func PackBF16(threads int, b BF16Operand) *BF16Packed { return newBF16Packed(bestBF16(), threads, b) }

// PackBF16NT packs b [n, k], to be multiplied as A·Bᵀ.
func PackBF16NT(threads, n, k int, b []float32) *BF16Packed {
	return PackBF16(threads, BF16NT(n, k, b))
}

// PackBF16NN packs b [k, n], to be multiplied as A·B.
func PackBF16NN(threads, n, k int, b []float32) *BF16Packed {
	return PackBF16(threads, BF16NN(k, n, b))
}

func newBF16Packed(t *kernel.BF16Tile, threads int, b BF16Operand) *BF16Packed {
	k, n := b.Shape()
	panels := (n + t.NR - 1) / t.NR
	p := &BF16Packed{t, n, k, make([]uint32, panels*t.NR*pairsDeep(k))}
	wide, block := max(1, bf16Group/t.NR), bf16Block(k)
	Parallel(threads, (panels+wide-1)/wide, func(u int) {
		for d := 0; d < k; d += block {
			j := u * wide * t.NR
			b.pack(p.panels(j, d, min(block, k-d)), t.NR, j, min(wide*t.NR, n-j), d, min(block, k-d))
		}
	})
	return p
}

// Shape returns k and n.
func (p *BF16Packed) Shape() (k, n int) { return p.k, p.n }

// Mul computes C = A·B in bf16, or adds it to C: a is [m, k], c [m, n].
func (p *BF16Packed) Mul(threads, m int, a, c []float32, add bool) {
	check(m, 0, p.k, a, nil, nil)
	gemmBF16(p.tile, threads, m, p.k, bf16ByRow(floatRows{a, p.k}), BF16Right{p, c, add})
}

// panels is the panels from column j on, at depths [d, d+kc).
func (p *BF16Packed) panels(j, d, kc int) []uint32 {
	width := (p.n + p.tile.NR - 1) / p.tile.NR * p.tile.NR
	return p.data[d/2*width+j*pairsDeep(kc):][:(width-j)*pairsDeep(kc)]
}

// pack copies what is packed already.
func (p *BF16Packed) pack(dst []uint32, nr, j, w, d, kc int) {
	if nr != p.tile.NR {
		panic("tensor: a matrix packed for another tile")
	}
	copy(dst, p.panels(j, d, kc)[:(w+nr-1)/nr*nr*pairsDeep(kc)])
}

// bf16Panels is the packed panels of w columns from j on at depths [p, p+kc), in dst unless they are packed already.
func bf16Panels(b BF16Operand, dst []uint32, nr, j, w, p, kc int) []uint32 {
	if b, ok := b.(*BF16Packed); ok && b.tile.NR == nr {
		return b.panels(j, p, kc)
	}
	b.pack(dst, nr, j, w, p, kc)
	return dst
}
