package kernel

import "unsafe"

// gemm4x8 is the tile of four rows and eight columns, done as eight blocks of two by two.
func gemm4x8(k int, a, b, c *float32, ldc int, load int) {
	as := unsafe.Slice(a, k*4)
	bs := unsafe.Slice(b, k*8)
	cs := unsafe.Slice(c, 3*ldc+8)
	for i := 0; i < 4; i += 2 {
		for j := 0; j < 8; j += 2 {
			block2x2(as[i:], bs[j:], cs[i*ldc+j:], ldc, load != 0)
		}
	}
}

// block2x2 does two rows and two columns of a 4x8 tile: a[p*4], a[p*4+1] times b[p*8], b[p*8+1].
// The four sums are float64s that hold float32 values. fma is spelled out since the compiler would not inline it.
func block2x2(a, b, c []float32, ldc int, load bool) {
	var s00, s01, s10, s11 float64
	if load {
		s00, s01 = float64(c[0]), float64(c[1])
		s10, s11 = float64(c[ldc]), float64(c[ldc+1])
	}
	for len(a) >= 2 && len(b) >= 2 {
		a0, a1 := float64(a[0]), float64(a[1])
		b0, b1 := float64(b[0]), float64(b[1])
		t00 := float64(a0*b0) + s00
		t01 := float64(a0*b1) + s01
		t10 := float64(a1*b0) + s10
		t11 := float64(a1*b1) + s11
		if !rounded(t00) {
			t00 = fmaSlow(a0, b0, s00)
		}
		if !rounded(t01) {
			t01 = fmaSlow(a0, b1, s01)
		}
		if !rounded(t10) {
			t10 = fmaSlow(a1, b0, s10)
		}
		if !rounded(t11) {
			t11 = fmaSlow(a1, b1, s11)
		}
		s00, s01 = float64(float32(t00)), float64(float32(t01))
		s10, s11 = float64(float32(t10)), float64(float32(t11))
		if len(a) < 4 || len(b) < 8 {
			break
		}
		a, b = a[4:], b[8:]
	}
	c[0], c[1] = float32(s00), float32(s01)
	c[ldc], c[ldc+1] = float32(s10), float32(s11)
}

// gemm1x8 is the tile of one row and eight columns, done as two blocks of four.
func gemm1x8(k int, a, b, c *float32, _ int, load int) {
	as := unsafe.Slice(a, k)
	bs := unsafe.Slice(b, k*8)
	cs := unsafe.Slice(c, 8)
	block1x4(as, bs, cs[:4], load != 0)
	block1x4(as, bs[4:], cs[4:], load != 0)
}

// block1x4 does one row and four columns of a 1x8 tile.
func block1x4(a, b, c []float32, load bool) {
	var s0, s1, s2, s3 float64
	c = c[:4]
	if load {
		s0, s1, s2, s3 = float64(c[0]), float64(c[1]), float64(c[2]), float64(c[3])
	}
	for p, x32 := range a {
		b := b[8*p:][:4]
		x, b0, b1, b2, b3 := float64(x32), float64(b[0]), float64(b[1]), float64(b[2]), float64(b[3])
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
