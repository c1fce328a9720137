package kernel

import (
	"math"
	"unsafe"
)

// bf16Mul8x8 is the tile of eight rows and eight columns.
func bf16Mul8x8(panels, steps, _ int, a, b *uint32, c *float32, ldc, load int) {
	as := unsafe.Slice((*[2][stepPairs][8]float32)(unsafe.Pointer(a)), panels*steps)
	bs := unsafe.Slice((*[stepPairs][8]uint32)(unsafe.Pointer(b)), steps)
	cs := unsafe.Slice(c, (8*panels-1)*ldc+8)
	for q := range panels {
		rows := cs[8*q*ldc:]
		for i := 0; i < 8 && load == 0; i++ {
			clear(rows[i*ldc:][:8])
		}
		for s := range steps {
			var t bf16Step
			t.load(&as[q*steps+s], &bs[s])
			t.mul(rows, ldc)
		}
	}
}

// A bf16Step is one step of both operands, subnormals made zero, even k before odd ones.
type bf16Step struct {
	a, b [2][stepPairs][8]float32
	// quick says that no sum can be below the normal range.
	quick bool
}

func (t *bf16Step) load(a *[2][stepPairs][8]float32, b *[stepPairs][8]uint32) {
	t.quick = true
	for h := range 2 {
		for p := range stepPairs {
			for i, v := range a[h][p] {
				t.a[h][p][i] = flushed(math.Float32bits(v))
			}
		}
	}
	for p := range stepPairs {
		for j, v := range b[p] {
			t.b[0][p][j], t.b[1][p][j] = evenOdd(v)
		}
	}
	for h := range 2 {
		for p := range stepPairs {
			t.quick = t.quick && noSmall(&t.a[h][p]) && noSmall(&t.b[h][p])
		}
	}
}

// noSmall says whether all elements are 0 or at least 2^-55 in size. A bfloat16 has eight significant bits, so then all
// products, and with them all sums, are multiples of 2^-124.
func noSmall(x *[8]float32) bool {
	for _, v := range x {
		if math.Float32bits(v)<<1-1 < (127-55)<<24-1 {
			return false
		}
	}
	return true
}

// mul adds the step to C, in blocks of two by four as gemm8x8.
func (t *bf16Step) mul(c []float32, ldc int) {
	for i := 0; i < 8; i += 2 {
		for j := 0; j < 8; j += 4 {
			even, odd := t.sum(0, i, j), t.sum(1, i, j)
			for r := range 2 {
				for l, v := range c[(i+r)*ldc+j:][:4] {
					e, o := float32(even[4*r+l]), float32(odd[4*r+l])
					c[(i+r)*ldc+j+l] = addFlushed(v, addFlushed(e, o))
				}
			}
		}
	}
}

// sum is the sums over the even (h = 0) or odd k of the block of two by four at (i, j).
func (t *bf16Step) sum(h, i, j int) (s sums) {
	a, b := t.a[h][:], t.b[h][:]
	for p := 0; p < stepPairs; p++ {
		if !t.quick {
			s.stepFlushed(a[p][i:], b[p][j:])
			continue
		}
		if p = s.run(p, i, j, a, b); p < stepPairs {
			s.step(a[p][i:], b[p][j:])
		}
	}
	return s
}

// stepFlushed adds one product to each sum.
func (s *sums) stepFlushed(a, b []float32) {
	for j := range 4 {
		s[j] = float64(fmaFlushed(a[0], b[j], float32(s[j])))
		s[4+j] = float64(fmaFlushed(a[1], b[j], float32(s[4+j])))
	}
}

// bf16MulWhole is the tile of 32 rows, whole in A, and 32 columns: the definition, element by element.
func bf16MulWhole(panels, steps, _ int, a, b *uint32, c *float32, ldc, load int) {
	as := unsafe.Slice((*[32][stepPairs]uint32)(unsafe.Pointer(a)), panels*steps)
	bs := unsafe.Slice((*[stepPairs][32]uint32)(unsafe.Pointer(b)), steps)
	cs := unsafe.Slice(c, (32*panels-1)*ldc+32)
	for j := range 32 {
		columns := make([][stepPairs]uint32, steps)
		for s := range columns {
			for p := range stepPairs {
				columns[s][p] = bs[s][p][j]
			}
		}
		for i := range 32 * panels {
			e := &cs[i*ldc+j]
			if load == 0 {
				*e = 0
			}
			for s := range steps {
				*e = BF16Step(*e, as[i/32*steps+s][i%32][:], columns[s][:])
			}
		}
	}
}
