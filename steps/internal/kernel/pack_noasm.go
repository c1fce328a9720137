//go:build !amd64 || purego

package kernel

func packRowsFast([]float32, int, []float32, int, int, int) (rows, done int) { return 0, 0 }

func packLinesFast(dst []float32, nr int, src []float32, ld, kc int) {
	packLinesGeneric(dst, nr, src, ld, nr, kc)
}
