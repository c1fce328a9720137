package kernel

// PackRows lays w rows of length kc, which begin ld apart in src, side by side as dst [kc][nr], w ≤ nr: element p of
// row r goes to dst[p*nr+r]. The lanes from w on become 0.
func PackRows(dst []float32, nr int, src []float32, ld, w, kc int) {
	if w == 0 || kc == 0 {
		clear(dst[:kc*nr])
		return
	}
	_, _ = dst[kc*nr-1], src[(w-1)*ld+kc-1]
	r, p := packRowsFast(dst, nr, src, ld, w, kc)
	packRowsGeneric(dst, nr, src, ld, 0, r, p, kc)
	packRowsGeneric(dst, nr, src, ld, r, w, 0, kc)
	for ; w < nr; w++ {
		for q := w; q < kc*nr; q += nr {
			dst[q] = 0
		}
	}
}

// packRowsGeneric does rows r0 to r1, elements p0 to kc.
func packRowsGeneric(dst []float32, nr int, src []float32, ld, r0, r1, p0, kc int) {
	for r := r0; r < r1 && p0 < kc; r++ {
		q := p0*nr + r
		for _, v := range src[r*ld+p0:][:kc-p0] {
			dst[q] = v
			q += nr
		}
	}
}

// PackLines copies kc lines of w elements, which begin ld apart in src, to dst [kc][nr], w ≤ nr. The elements from w on
// become 0.
func PackLines(dst []float32, nr int, src []float32, ld, w, kc int) {
	if w == nr && nr%2 == 0 && kc > 0 {
		_, _ = dst[kc*nr-1], src[(kc-1)*ld+nr-1]
		packLinesFast(dst, nr, src, ld, kc)
		return
	}
	packLinesGeneric(dst, nr, src, ld, w, kc)
}

func packLinesGeneric(dst []float32, nr int, src []float32, ld, w, kc int) {
	for p := range kc {
		d := dst[p*nr:][:nr]
		clear(d[copy(d, src[p*ld:][:w]):])
	}
}
