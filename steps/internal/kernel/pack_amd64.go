//go:build !purego

package kernel

// transpose8 does eight rows, kc a positive multiple of 4.
//
//go:noescape
func transpose8(dst, src *float32, ld, nr, kc int)

// transpose4 does four rows, kc a positive multiple of 4.
//
//go:noescape
func transpose4(dst, src *float32, ld, nr, kc int)

// transpose2 does two rows, kc a positive multiple of 4.
//
//go:noescape
func transpose2(dst, src *float32, ld, nr, kc int)

// lines copies kc > 0 lines of nr elements, nr positive and even.
//
//go:noescape
func lines(dst, src *float32, ld, nr, kc int)

// packRowsFast does the first done elements of the first rows, and says how many of each.
func packRowsFast(dst []float32, nr int, src []float32, ld, w, kc int) (rows, done int) {
	done = kc &^ 3
	if done == 0 {
		return 0, 0
	}
	for ; hasAVX2 && rows+8 <= w; rows += 8 {
		transpose8(&dst[rows], &src[rows*ld], ld, nr, done)
	}
	for ; rows+4 <= w; rows += 4 {
		transpose4(&dst[rows], &src[rows*ld], ld, nr, done)
	}
	if rows+2 <= w {
		transpose2(&dst[rows], &src[rows*ld], ld, nr, done)
		rows += 2
	}
	return rows, done
}

func packLinesFast(dst []float32, nr int, src []float32, ld, kc int) {
	lines(&dst[0], &src[0], ld, nr, kc)
}
