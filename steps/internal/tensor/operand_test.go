package tensor

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

// operands are all forms of the right-hand side b [k, n], bt its transpose.
func operands(k, n int, b, bt []float32) map[string]Operand {
	return map[string]Operand{
		"rows NT":   RowsNT(n, k, bt),
		"rows NN":   RowsNN(k, n, b),
		"panels NT": PanelsNT(plain{bt, n, k}),
		"panels NN": PanelsNN(plain{b, k, n}),
		"packed NT": PackNT(2, n, k, bt),
		"packed NN": PackNN(2, n, k, b),
	}
}

func TestOperandsEqualDefinition(t *testing.T) {
	r := rand.New(rand.NewPCG(31, 32))
	for _, s := range append(shapes, [3]int{4, 0, 3}, [3]int{0, 4, 3}, [3]int{4, 4, 0}, [3]int{300, 48, 520}) {
		m, n, k := s[0], s[1], s[2]
		a, b, c := random(r, m*k), random(r, k*n), random(r, m*n)
		for _, add := range []bool{false, true} {
			want := reference(m, n, k, func(i, p int) float32 { return a[i*k+p] }, func(p, j int) float32 { return b[p*n+j] }, c, add)
			for name, o := range operands(k, n, b, transposed(b, k, n)) {
				if kk, nn := o.Shape(); kk != k || nn != n {
					t.Fatalf("%s: shape [%d, %d], want [%d, %d]", name, kk, nn, k, n)
				}
				got := append([]float32(nil), c...)
				Gemm(1+r.IntN(3), m, k, a, Right{B: o, C: got, Add: add})
				sameBits(t, fmt.Sprintf("%v %s add=%v", s, name, add), got, want)
			}
		}
	}
}

// lora is three projections of one x with their LoRAs, as Gemm's rights and as separate products.
type lora struct {
	m, k, rank int
	x          []float32
	scale      float32
	ns         []int
	w, a, b    [][]float32 // [n, k], [rank, k], [n, rank]
	y          [][]float32 // [m, n], to be added to in every second
}

func newLoRA(r *rand.Rand, m, k, rank int, ns ...int) *lora {
	l := &lora{m: m, k: k, rank: rank, x: random(r, m*k), scale: 1.7, ns: ns}
	for _, n := range ns {
		l.w, l.a, l.b = append(l.w, random(r, n*k)), append(l.a, random(r, rank*k)), append(l.b, random(r, n*rank))
		l.y = append(l.y, random(r, m*n))
	}
	return l
}

// separate is the definition: every product alone, the low one added after the base.
func (l *lora) separate(threads int) (ys, zs [][]float32) {
	for i, n := range l.ns {
		z, y := make([]float32, l.m*l.rank), append([]float32(nil), l.y[i]...)
		GemmNT(threads, l.m, l.rank, l.k, l.x, l.a[i], z, false)
		for j := range z {
			z[j] *= l.scale
		}
		GemmNT(threads, l.m, n, l.k, l.x, l.w[i], y, i%2 == 1)
		GemmNT(threads, l.m, n, l.rank, z, l.b[i], y, true)
		ys, zs = append(ys, y), append(zs, z)
	}
	return ys, zs
}

// together is one call of Gemm, with the rights in an order that is not that of their computation.
func (l *lora) together(threads int) (ys, zs [][]float32) {
	var rights []Right
	for i, n := range l.ns {
		z, y := make([]float32, l.m*l.rank), append([]float32(nil), l.y[i]...)
		bt := transposed(l.b[i], n, l.rank)
		var base Operand = RowsNT(n, l.k, l.w[i])
		if i == 1 {
			base = PackNT(threads, n, l.k, l.w[i])
		}
		rights = append(rights,
			Right{B: base, C: y, Add: i%2 == 1, Low: &LowRank{l.rank, z, RowsNN(l.rank, n, bt)}},
			Right{B: RowsNT(l.rank, l.k, l.a[i]), C: z, Scale: l.scale},
		)
		ys, zs = append(ys, y), append(zs, z)
	}
	Gemm(threads, l.m, l.k, l.x, rights...)
	return ys, zs
}

func (l *lora) check(t *testing.T, what string) {
	t.Helper()
	wantY, wantZ := l.separate(1)
	for _, threads := range []int{1, 3} {
		ys, zs := l.together(threads)
		for i := range ys {
			sameBits(t, fmt.Sprintf("%s threads=%d z %d", what, threads, i), zs[i], wantZ[i])
			sameBits(t, fmt.Sprintf("%s threads=%d y %d", what, threads, i), ys[i], wantY[i])
		}
	}
}

func TestGemmEqualsSeparateProducts(t *testing.T) {
	r := rand.New(rand.NewPCG(33, 34))
	for _, s := range [][3]int{{1, 64, 4}, {7, 100, 8}, {50, 576, 16}, {130, 300, 1}, {200, 17, 300}} {
		newLoRA(r, s[0], s[1], s[2], 70, 16, 33).check(t, fmt.Sprint(s))
	}
}

func TestGemmPanicsOnWrongShapes(t *testing.T) {
	f := func(n int) []float32 { return make([]float32, n) }
	base := RowsNT(3, 2, f(6))
	for name, call := range map[string]func(){
		"short a":     func() { Gemm(1, 4, 2, f(7), Right{B: base, C: f(12)}) },
		"short c":     func() { Gemm(1, 4, 2, f(8), Right{B: base, C: f(11)}) },
		"depth":       func() { Gemm(1, 4, 3, f(12), Right{B: base, C: f(12)}) },
		"low width":   func() { Gemm(1, 4, 2, f(8), Right{B: base, C: f(12), Low: &LowRank{1, f(4), RowsNN(1, 2, f(2))}}) },
		"low depth":   func() { Gemm(1, 4, 2, f(8), Right{B: base, C: f(12), Low: &LowRank{2, f(8), RowsNN(1, 3, f(3))}}) },
		"low short a": func() { Gemm(1, 4, 2, f(8), Right{B: base, C: f(12), Low: &LowRank{1, f(3), RowsNN(1, 3, f(3))}}) },
		"strided a":   func() { GemmStridedNT(2, 2, 2, f(4), 3, f(4), 2, f(4), 2, false) },
		"strided b":   func() { GemmStridedNN(2, 2, 2, f(4), 2, f(4), 1, f(4), 2, false) },
		"strided c":   func() { GemmStridedTN(2, 2, 2, f(4), 2, f(4), 2, f(4), 9, false) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: no panic", name)
				}
			}()
			call()
		}()
	}
}

func FuzzGemmRights(f *testing.F) {
	f.Add(uint64(1), uint8(9), uint16(70), uint8(16), uint8(33))
	f.Add(uint64(2), uint8(50), uint16(300), uint8(0), uint8(5))
	f.Fuzz(func(t *testing.T, seed uint64, m8 uint8, k16 uint16, rank8, n8 uint8) {
		r := rand.New(rand.NewPCG(seed, 3))
		newLoRA(r, int(m8)%70, int(k16)%600, int(rank8)%40, int(n8)%90, 1+int(n8)%17).check(t, "fuzz")
	})
}

// wide returns a matrix [rows, ld] of which the first columns of each row are x [rows, columns], the rest guard
// numbers, without the guards of the last row.
func wide(x []float32, rows, columns, ld int) []float32 {
	y := make([]float32, rows*ld)
	for i := range y {
		y[i] = 1e30
	}
	for i := range rows {
		copy(y[i*ld:], x[i*columns:][:columns])
	}
	if rows == 0 {
		return nil
	}
	return y[:(rows-1)*ld+columns]
}

func checkStridedProducts(t *testing.T, r *rand.Rand, m, n, k int, add bool) {
	t.Helper()
	a, b, c := random(r, m*k), random(r, k*n), random(r, m*n)
	want := reference(m, n, k, func(i, p int) float32 { return a[i*k+p] }, func(p, j int) float32 { return b[p*n+j] }, c, add)
	at, bt := transposed(a, m, k), transposed(b, k, n)
	more := func() int { return r.IntN(3) * r.IntN(40) }
	lda, ldat, ldb, ldbt, ldc := k+more(), m+more(), n+more(), k+more(), n+more()
	for name, f := range map[string]func(c []float32){
		"NT": func(c []float32) {
			GemmStridedNT(m, n, k, wide(a, m, k, lda), lda, wide(bt, n, k, ldbt), ldbt, c, ldc, add)
		},
		"NN": func(c []float32) {
			GemmStridedNN(m, n, k, wide(a, m, k, lda), lda, wide(b, k, n, ldb), ldb, c, ldc, add)
		},
		"TN": func(c []float32) {
			GemmStridedTN(m, n, k, wide(at, k, m, ldat), ldat, wide(b, k, n, ldb), ldb, c, ldc, add)
		},
	} {
		got := wide(c, m, n, ldc)
		f(got)
		sameBits(t, fmt.Sprintf("%s %dx%dx%d add=%v", name, m, n, k, add), got, wide(want, m, n, ldc))
	}
}

func TestStridedEqualsDefinition(t *testing.T) {
	r := rand.New(rand.NewPCG(35, 36))
	for _, s := range append(shapes, [3]int{64, 64, 100}, [3]int{64, 100, 64}, [3]int{0, 3, 3}, [3]int{3, 0, 3}, [3]int{3, 3, 0}) {
		for _, add := range []bool{false, true} {
			checkStridedProducts(t, r, s[0], s[1], s[2], add)
		}
	}
}

func FuzzGemmStrided(f *testing.F) {
	f.Add(uint64(1), uint8(64), uint8(64), uint16(64), true)
	f.Add(uint64(2), uint8(1), uint8(17), uint16(300), false)
	f.Fuzz(func(t *testing.T, seed uint64, m8, n8 uint8, k16 uint16, add bool) {
		checkStridedProducts(t, rand.New(rand.NewPCG(seed, 4)), int(m8)%70, int(n8)%90, int(k16)%600, add)
	})
}
