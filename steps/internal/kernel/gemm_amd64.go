//go:build !purego

package kernel

import "golang.org/x/sys/cpu"

//go:generate go run ./gen gemm

//go:noescape
func gemm12x32z(k int, a *float32, row, depth int, b *float32, line, ahead int, c *float32, ldc int, load int)

//go:noescape
func gemm8x32z(k int, a *float32, row, depth int, b *float32, line, ahead int, c *float32, ldc int, load int)

//go:noescape
func gemm4x32z(k int, a *float32, row, depth int, b *float32, line, ahead int, c *float32, ldc int, load int)

//go:noescape
func gemm2x32z(k int, a *float32, row, depth int, b *float32, line, ahead int, c *float32, ldc int, load int)

//go:noescape
func gemm1x32z(k int, a *float32, row, depth int, b *float32, line, ahead int, c *float32, ldc int, load int)

//go:noescape
func gemm12x16z(k int, a *float32, row, depth int, b *float32, line, ahead int, c *float32, ldc int, load int)

//go:noescape
func gemm8x16z(k int, a *float32, row, depth int, b *float32, line, ahead int, c *float32, ldc int, load int)

//go:noescape
func gemm4x16z(k int, a *float32, row, depth int, b *float32, line, ahead int, c *float32, ldc int, load int)

//go:noescape
func gemm2x16z(k int, a *float32, row, depth int, b *float32, line, ahead int, c *float32, ldc int, load int)

//go:noescape
func gemm1x16z(k int, a *float32, row, depth int, b *float32, line, ahead int, c *float32, ldc int, load int)

//go:noescape
func gemm6x16y(k int, a *float32, row, depth int, b *float32, line, ahead int, c *float32, ldc int, load int)

//go:noescape
func gemm4x16y(k int, a *float32, row, depth int, b *float32, line, ahead int, c *float32, ldc int, load int)

//go:noescape
func gemm2x16y(k int, a *float32, row, depth int, b *float32, line, ahead int, c *float32, ldc int, load int)

//go:noescape
func gemm1x16y(k int, a *float32, row, depth int, b *float32, line, ahead int, c *float32, ldc int, load int)

//go:noescape
func gemm12x8y(k int, a *float32, row, depth int, b *float32, line, ahead int, c *float32, ldc int, load int)

//go:noescape
func gemm8x8y(k int, a *float32, row, depth int, b *float32, line, ahead int, c *float32, ldc int, load int)

//go:noescape
func gemm6x8y(k int, a *float32, row, depth int, b *float32, line, ahead int, c *float32, ldc int, load int)

//go:noescape
func gemm4x8y(k int, a *float32, row, depth int, b *float32, line, ahead int, c *float32, ldc int, load int)

//go:noescape
func gemm2x8y(k int, a *float32, row, depth int, b *float32, line, ahead int, c *float32, ldc int, load int)

//go:noescape
func gemm1x8y(k int, a *float32, row, depth int, b *float32, line, ahead int, c *float32, ldc int, load int)

//go:noescape
func peak16z(turns int)

//go:noescape
func peak8y(turns int)

var (
	hasAVX2   = cpu.X86.HasAVX2 && cpu.X86.HasFMA
	hasAVX512 = wantAVX512 && hasAVX2 && cpu.X86.HasAVX512F
)

func machineTiles() []*Tile {
	if !hasAVX2 {
		return nil
	}
	narrow := &Tile{Name: "avx2 12x8", MR: 12, NR: 8, peak: peak8y, chains: 96, muls: []microkernel{
		{12, gemm12x8y}, {8, gemm8x8y}, {6, gemm6x8y}, {4, gemm4x8y}, {2, gemm2x8y}, {1, gemm1x8y},
	}}
	avx2 := &Tile{Name: "avx2 6x16", MR: 6, NR: 16, Half: narrow, peak: peak8y, chains: 96, muls: []microkernel{
		{6, gemm6x16y}, {4, gemm4x16y}, {2, gemm2x16y}, {1, gemm1x16y},
	}}
	if !hasAVX512 {
		return []*Tile{avx2}
	}
	half := &Tile{Name: "avx512 12x16", MR: 12, NR: 16, Half: narrow, peak: peak16z, chains: 192, muls: []microkernel{
		{12, gemm12x16z}, {8, gemm8x16z}, {4, gemm4x16z}, {2, gemm2x16z}, {1, gemm1x16z},
	}}
	avx512 := &Tile{Name: "avx512 12x32", MR: 12, NR: 32, Half: half, peak: peak16z, chains: 192, muls: []microkernel{
		{12, gemm12x32z}, {8, gemm8x32z}, {4, gemm4x32z}, {2, gemm2x32z}, {1, gemm1x32z},
	}}
	return []*Tile{avx512, avx2}
}
