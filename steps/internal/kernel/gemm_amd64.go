//go:build !purego

package kernel

import "golang.org/x/sys/cpu"

//go:generate go run ./gen gemm

//go:noescape
func gemm12x32(k int, a, b, c *float32, ldc int, load int)

//go:noescape
func gemm1x32(k int, a, b, c *float32, ldc int, load int)

//go:noescape
func gemm6x16(k int, a, b, c *float32, ldc int, load int)

//go:noescape
func gemm1x16(k int, a, b, c *float32, ldc int, load int)

var (
	hasAVX2   = cpu.X86.HasAVX2 && cpu.X86.HasFMA
	hasAVX512 = wantAVX512 && hasAVX2 && cpu.X86.HasAVX512F
)

func machineTiles() []*Tile {
	var tiles []*Tile
	if hasAVX512 {
		tiles = append(tiles, &Tile{Name: "avx512 12x32", MR: 12, NR: 32, mul: gemm12x32, row: gemm1x32})
	}
	if hasAVX2 {
		tiles = append(tiles, &Tile{Name: "avx2 6x16", MR: 6, NR: 16, mul: gemm6x16, row: gemm1x16})
	}
	return tiles
}
