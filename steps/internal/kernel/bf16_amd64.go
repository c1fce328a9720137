//go:build !purego

package kernel

import "sync"

//go:generate go run ./gen bf16

//go:noescape
func bf16Mul12x32(panels, steps, last int, a, b *uint32, c *float32, ldc, load int)

//go:noescape
func bf16Mul1x32(panels, steps, last int, a, b *uint32, c *float32, ldc, load int)

//go:noescape
func bf16Mul6x16(panels, steps, last int, a, b *uint32, c *float32, ldc, load int)

//go:noescape
func bf16Mul1x16(panels, steps, last int, a, b *uint32, c *float32, ldc, load int)

// bf16MulAMX multiplies on tiles of 16x16; last does not matter to it.
//
//go:noescape
func bf16MulAMX(panels, steps, last int, a, b *uint32, c *float32, ldc, load int)

// amxPeak does 4*n tile multiplications of 16x16x32 and nothing else.
//
//go:noescape
func amxPeak(n int)

// hasAMX asks for AMX once in the life of the process.
var hasAMX = sync.OnceValue(func() bool { return hasAVX512 && enableAMX() })

func machineBF16Tiles() []*BF16Tile {
	var tiles []*BF16Tile
	if hasAVX512 {
		row := &BF16Tile{Name: "avx512 1x32", MR: 1, NR: 32, mul: bf16Mul1x32}
		if hasAMX() {
			tiles = append(tiles, &BF16Tile{Name: "amx 32x32", MR: 32, NR: 32, Whole: true, Row: row, mul: bf16MulAMX})
		}
		tiles = append(tiles, &BF16Tile{Name: "avx512 12x32", MR: 12, NR: 32, Row: row, mul: bf16Mul12x32})
	}
	if hasAVX2 {
		row := &BF16Tile{Name: "avx2 1x16", MR: 1, NR: 16, mul: bf16Mul1x16}
		tiles = append(tiles, &BF16Tile{Name: "avx2 6x16", MR: 6, NR: 16, Row: row, mul: bf16Mul6x16})
	}
	return tiles
}

// AMXPeak does n rounds of tile multiplications without any memory and returns their floating-point operations, 0
// where there is no AMX.
func AMXPeak(n int) (flops float64) {
	if !hasAMX() {
		return 0
	}
	amxPeak(n)
	return float64(n) * (4 * 2 * 16 * 16 * 32)
}

// pairsAVX2 writes n pairs, a multiple of 8, and fetches what is ahead of src.
//
//go:noescape
func pairsAVX2(dst *uint32, src *float32, ahead, n int)

// pairLinesAVX2 writes n pairs, a multiple of 8.
//
//go:noescape
func pairLinesAVX2(dst *uint32, lo, hi *float32, n int)

// pairStoredAVX2 writes n pairs, a multiple of 8.
//
//go:noescape
func pairStoredAVX2(dst *uint32, lo, hi *byte, n int)

// splitAVX2 takes n pairs, a multiple of 8.
//
//go:noescape
func splitAVX2(even, odd, src *uint32, n int)

func pairsFast(dst []uint32, src []float32, ahead int) (done int) {
	if done = eight(len(dst)); done > 0 {
		pairsAVX2(&dst[0], &src[0], ahead, done)
	}
	return done
}

func pairLinesFast(dst []uint32, lo, hi []float32) (done int) {
	if done = eight(len(dst)); done > 0 {
		pairLinesAVX2(&dst[0], &lo[0], &hi[0], done)
	}
	return done
}

func pairStoredFast(dst []uint32, lo, hi []byte) (done int) {
	if done = eight(len(dst)); done > 0 {
		pairStoredAVX2(&dst[0], &lo[0], &hi[0], done)
	}
	return done
}

func splitFast(even, odd, src []uint32) (done int) {
	if done = eight(len(src)); done > 0 {
		splitAVX2(&even[0], &odd[0], &src[0], done)
	}
	return done
}

// eight is the greatest multiple of 8 up to n, 0 where there is no AVX2.
func eight(n int) int {
	if !hasAVX2 {
		return 0
	}
	return n &^ 7
}
