package kernel

import (
	"fmt"
	"math"
	"unsafe"
)

// genericMul returns the kernel of so many rows, 1 or even, and eight columns.
func genericMul(rows int) func(k int, a *float32, row, depth int, b *float32, line, ahead int, c *float32, ldc int, load int) {
	return func(k int, a *float32, row, depth int, b *float32, line, _ int, c *float32, ldc int, load int) {
		as := unsafe.Slice(a, (rows-1)*row+(k-1)*depth+1)
		bs := unsafe.Slice(b, (k-1)*line+8)
		cs := unsafe.Slice(c, (rows-1)*ldc+8)
		var pa, pb [genericDepth][8]float32
		for p := 0; p < k; p += genericDepth {
			n := min(genericDepth, k-p)
			for q := range n {
				for i := range rows {
					pa[q][i] = as[i*row+(p+q)*depth]
				}
				copy(pb[q][:], bs[(p+q)*line:])
			}
			if rows == 1 {
				row1x8(pa[:n], pb[:n], cs, load != 0 || p > 0)
			} else {
				rows8(rows, pa[:n], pb[:n], cs, ldc, load != 0 || p > 0)
			}
		}
	}
}

// Model returns a tile of any shape in the plainest Go. It is slow: for tests, which so see the shapes of processors
// that are not at hand.
func Model(mr, nr int, half *Tile) *Tile {
	t := &Tile{Name: fmt.Sprintf("model %dx%d", mr, nr), MR: mr, NR: nr, Half: half, peak: genericPeak, chains: 8}
	for rows := mr; rows > 0; rows-- {
		t.muls = append(t.muls, microkernel{rows, func(k int, a *float32, row, depth int, b *float32, line, _ int, c *float32, ldc int, load int) {
			as := unsafe.Slice(a, (rows-1)*row+(k-1)*depth+1)
			bs := unsafe.Slice(b, (k-1)*line+nr)
			cs := unsafe.Slice(c, (rows-1)*ldc+nr)
			for i := range rows {
				for j := range nr {
					s := cs[i*ldc+j]
					if load == 0 {
						s = 0
					}
					for p := range k {
						s = FMA(as[i*row+p*depth], bs[p*line+j], s)
					}
					cs[i*ldc+j] = s
				}
			}
		}})
	}
	return t
}

// genericDepth is the depth that plain Go copies to panels of its own at a time.
const genericDepth = 128

// rows8 does an even number of rows of two panels, as blocks of two by four.
func rows8(rows int, as, bs [][8]float32, cs []float32, ldc int, load bool) {
	quick := noTiny(as) && noTiny(bs)
	for i := 0; i < rows; i += 2 {
		for j := 0; j < 8; j += 4 {
			c0, c1 := cs[i*ldc+j:][:4], cs[(i+1)*ldc+j:][:4]
			var s sums
			if load {
				s.load(c0, c1)
			}
			for p := 0; p < len(as); p++ {
				if quick {
					if p = s.run(p, i, j, as, bs); p == len(as) {
						break
					}
				}
				s.step(as[p][i:], bs[p][j:])
			}
			s.store(c0, c1)
		}
	}
}

// noTiny says whether all elements are 0 or at least 2^-62 in size. Then all products are 0 or at least 2^-124, and a
// sum below 2^-125 is exact by cancellation, so that rounding it once more is right.
func noTiny(x [][8]float32) bool {
	for i := range x {
		for _, v := range x[i] {
			if math.Float32bits(v)<<1-1 < (127-62)<<24-1 {
				return false
			}
		}
	}
	return true
}

// sums are the accumulators of a block of two by four: float64s that hold float32 values.
type sums [8]float64

func (s *sums) load(c0, c1 []float32) {
	for j := range 4 {
		s[j], s[4+j] = float64(c0[j]), float64(c1[j])
	}
}

func (s *sums) store(c0, c1 []float32) {
	for j := range 4 {
		c0[j], c1[j] = float32(s[j]), float32(s[4+j])
	}
}

// step adds one product to each sum, whatever the operands.
//
//go:noinline
func (s *sums) step(a, b []float32) {
	for j := range 4 {
		s[j] = fma(float64(a[0]), float64(b[j]), s[j])
		s[4+j] = fma(float64(a[1]), float64(b[j]), s[4+j])
	}
}

// run adds products from p on until one of the sums is half way between two float32s, where rounding twice may go
// wrong, and returns that p, which it leaves undone; or k. Operands must pass noTiny.
func (s *sums) run(p, i, j int, a, b [][8]float32) int {
	s00, s01, s02, s03, s10, s11, s12, s13 := s[0], s[1], s[2], s[3], s[4], s[5], s[6], s[7]
	b = b[:len(a)]
	i &= 6
	j &= 4
	for ; p < len(a); p++ {
		a0, a1 := float64(a[p][i]), float64(a[p][i+1])
		x := float64(b[p][j])
		t00, t10 := float64(a0*x)+s00, float64(a1*x)+s10
		x = float64(b[p][j+1])
		t01, t11 := float64(a0*x)+s01, float64(a1*x)+s11
		x = float64(b[p][j+2])
		t02, t12 := float64(a0*x)+s02, float64(a1*x)+s12
		x = float64(b[p][j+3])
		t03, t13 := float64(a0*x)+s03, float64(a1*x)+s13
		if either(t00, t10) {
			break
		}
		if either(t01, t11) {
			break
		}
		if either(t02, t12) {
			break
		}
		if either(t03, t13) {
			break
		}
		s00, s10 = float64(float32(t00)), float64(float32(t10))
		s01, s11 = float64(float32(t01)), float64(float32(t11))
		s02, s12 = float64(float32(t02)), float64(float32(t12))
		s03, s13 = float64(float32(t03)), float64(float32(t13))
	}
	*s = sums{s00, s01, s02, s03, s10, s11, s12, s13}
	return p
}

// either says whether s or t is half way between two float32s. The product of two numbers below 2^29 is 0 only if
// one of them is.
func either(s, t float64) bool {
	return ((math.Float64bits(s)^half)&dropped)*((math.Float64bits(t)^half)&dropped) == 0
}

// row1x8 does one row of two panels, as two blocks of four columns.
func row1x8(as, bs [][8]float32, cs []float32, load bool) {
	for j := 0; j < 8; j += 4 {
		row(as, bs, j, cs[j:][:4], load)
	}
}

// row does one row and four columns from j on of a tile. Here fma is spelled out, since the compiler would not inline it.
func row(a, b [][8]float32, j int, c []float32, load bool) {
	var s0, s1, s2, s3 float64
	if load {
		s0, s1, s2, s3 = float64(c[0]), float64(c[1]), float64(c[2]), float64(c[3])
	}
	j &= 4
	b = b[:len(a)]
	for p := range a {
		x, b0, b1, b2, b3 := float64(a[p][0]), float64(b[p][j]), float64(b[p][j+1]), float64(b[p][j+2]), float64(b[p][j+3])
		t0 := float64(x*b0) + s0
		t1 := float64(x*b1) + s1
		t2 := float64(x*b2) + s2
		t3 := float64(x*b3) + s3
		if !rounded(t0) {
			t0 = fmaSlow(x, b0, s0)
		}
		if !rounded(t1) {
			t1 = fmaSlow(x, b1, s1)
		}
		if !rounded(t2) {
			t2 = fmaSlow(x, b2, s2)
		}
		if !rounded(t3) {
			t3 = fmaSlow(x, b3, s3)
		}
		s0, s1 = float64(float32(t0)), float64(float32(t1))
		s2, s3 = float64(float32(t2)), float64(float32(t3))
	}
	c[0], c[1], c[2], c[3] = float32(s0), float32(s1), float32(s2), float32(s3)
}

func genericPeak(turns int) {
	var s sums
	for range turns {
		s.step([]float32{0, 0}, []float32{0, 0, 0, 0})
	}
}
