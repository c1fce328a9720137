//go:build !purego

package kernel

//go:generate go run ./gen gemmneon

//go:noescape
func gemm12x8n(k int, a *float32, row, depth int, b *float32, line, ahead int, c *float32, ldc int, load int)

//go:noescape
func gemm8x8n(k int, a *float32, row, depth int, b *float32, line, ahead int, c *float32, ldc int, load int)

//go:noescape
func gemm4x8n(k int, a *float32, row, depth int, b *float32, line, ahead int, c *float32, ldc int, load int)

//go:noescape
func gemm2x8n(k int, a *float32, row, depth int, b *float32, line, ahead int, c *float32, ldc int, load int)

//go:noescape
func gemm1x8n(k int, a *float32, row, depth int, b *float32, line, ahead int, c *float32, ldc int, load int)

//go:noescape
func peak4n(turns int)

func machineTiles() []*Tile {
	if !hasNEON {
		return nil
	}
	return []*Tile{{Name: "neon 12x8", MR: 12, NR: 8, peak: peak4n, chains: 96, muls: []microkernel{
		{12, gemm12x8n}, {8, gemm8x8n}, {4, gemm4x8n}, {2, gemm2x8n}, {1, gemm1x8n},
	}}}
}
