package tensor

import "fmt"

// GemmStridedNT computes C = A·Bᵀ, or adds it to C, on the calling goroutine: row i of a [m, k] begins at a[i*lda],
// and so for b [n, k] and c [m, n]. So the matrices may be columns of wider ones, as the heads of attention are.
func GemmStridedNT(m, n, k int, a []float32, lda int, b []float32, ldb int, c []float32, ldc int, add bool) {
	checkStrided("a", m, k, lda, a)
	checkStrided("b", n, k, ldb, b)
	checkStrided("c", m, n, ldc, c)
	gemm(best, 1, m, n, k, byRow(a, lda), lanesByRow{b, ldb}, c, ldc, add)
}

// GemmStridedNN computes C = A·B, or adds it to C, on the calling goroutine, for strided a [m, k], b [k, n] and
// c [m, n].
func GemmStridedNN(m, n, k int, a []float32, lda int, b []float32, ldb int, c []float32, ldc int, add bool) {
	checkStrided("a", m, k, lda, a)
	checkStrided("b", k, n, ldb, b)
	checkStrided("c", m, n, ldc, c)
	gemm(best, 1, m, n, k, byRow(a, lda), lanesByColumn{b, ldb}, c, ldc, add)
}

// GemmStridedTN computes C = Aᵀ·B, or adds it to C, on the calling goroutine, for strided a [k, m], b [k, n] and
// c [m, n].
func GemmStridedTN(m, n, k int, a []float32, lda int, b []float32, ldb int, c []float32, ldc int, add bool) {
	checkStrided("a", k, m, lda, a)
	checkStrided("b", k, n, ldb, b)
	checkStrided("c", m, n, ldc, c)
	gemmTN(best, 1, m, n, k, a, lda, b, ldb, c, ldc, add)
}

// checkStrided panics unless a matrix [rows, columns] whose rows begin ld apart lies within x.
func checkStrided(name string, rows, columns, ld int, x []float32) {
	if rows < 0 || columns < 0 || ld < columns || rows > 0 && columns > 0 && len(x) < (rows-1)*ld+columns {
		panic(fmt.Sprintf("tensor: %s [%d, %d] with rows %d apart of a slice of %d", name, rows, columns, ld, len(x)))
	}
}
