//go:build !purego

package kernel

//go:generate go run ./gen exp

//go:noescape
func expAVX2(dst, x *float32, sub float32, n int)

//go:noescape
func sigmoidAVX2(dst, x *float32, sub float32, n int)

//go:noescape
func siluAVX2(dst, x *float32, sub float32, n int)

func expFast(dst, x []float32, sub float32) (done int) { return eights(expAVX2, dst, x, sub) }

func sigmoidFast(dst, x []float32) (done int) { return eights(sigmoidAVX2, dst, x, 0) }

func siluFast(dst, x []float32) (done int) { return eights(siluAVX2, dst, x, 0) }

// eights does as many whole groups of eight elements as there are and says how many elements that is.
func eights(f func(dst, x *float32, sub float32, n int), dst, x []float32, sub float32) int {
	n := len(x) &^ 7
	if n == 0 || !hasAVX2 {
		return 0
	}
	f(&dst[0], &x[0], sub, n)
	return n
}
