package main

import "fmt"

// neonHeights are the rows of the microkernels of eight columns for arm64.
var neonHeights = []int{12, 8, 4, 2, 1}

// gemmNEON writes the microkernels for arm64.
func (g *gen) gemmNEON() {
	for _, rows := range neonHeights {
		g.neon(rows)
	}
	g.p("\n// func peak4n(turns int)\nTEXT ·peak4n(SB), NOSPLIT, $0-8\n\tMOVD turns+0(FP), R0")
	for r := 8; r < 32; r++ {
		g.p("\tVEOR V%d.B16, V%d.B16, V%d.B16", r, r, r)
	}
	g.p("loop:")
	for r := 8; r < 32; r++ {
		g.p("\tVFMLA V%d.S4, V%d.S4, V%d.S4", r, r, r)
	}
	g.p("\tSUBS $1, R0\n\tBNE loop\n\tRET")
}

// neonRow is the register that walks along a row of A.
func neonRow(i int) string {
	if i == 11 {
		return "R19" // R18 belongs to the platform
	}
	return fmt.Sprintf("R%d", 7+i)
}

// neon writes one microkernel. Every row of A has a pointer of its own, which moves by R3 with every p; R1 walks along
// B by R2, R4 and R20 along C by R5. V0 and V1 hold B, V2 to V7 elements of A in turn, V8 and up the sums.
func (g *gen) neon(rows int) {
	g.p("\n// func gemm%dx8n(k int, a *float32, row, depth int, b *float32, line, ahead int, c *float32, ldc int, load int)", rows)
	g.p("TEXT ·gemm%dx8n(SB), NOSPLIT, $0-80", rows)
	g.p("\tMOVD k+0(FP), R0\n\tMOVD a+8(FP), R7\n\tMOVD row+16(FP), R6\n\tMOVD depth+24(FP), R3")
	g.p("\tMOVD b+32(FP), R1\n\tMOVD line+40(FP), R2\n\tMOVD c+56(FP), R4\n\tMOVD ldc+64(FP), R5")
	g.p("\tLSL $2, R6\n\tLSL $2, R3\n\tLSL $2, R2\n\tLSL $2, R5\n\tMOVD R4, R20")
	for i := 1; i < rows; i++ {
		g.p("\tADD R6, %s, %s", neonRow(i-1), neonRow(i))
	}
	g.p("\tMOVD load+72(FP), R6\n\tCBNZ R6, load")
	for i := range 2 * rows {
		g.p("\tVEOR V%d.B16, V%d.B16, V%d.B16", 8+i, 8+i, 8+i)
	}
	g.p("\tB loop\nload:")
	for i := range rows {
		g.p("\tVLD1.P (R20)(R5), [V%d.S4, V%d.S4]", 8+2*i, 9+2*i)
	}
	g.p("loop:\n\tVLD1.P (R1)(R2), [V0.S4, V1.S4]")
	for i := range rows {
		g.p("\tVLD1R.P (%s)(R3), [V%d.S4]", neonRow(i), 2+i%6)
		for j := range 2 {
			g.p("\tVFMLA V%d.S4, V%d.S4, V%d.S4", j, 2+i%6, 8+2*i+j)
		}
	}
	g.p("\tSUBS $1, R0\n\tBNE loop")
	for i := range rows {
		g.p("\tVST1.P [V%d.S4, V%d.S4], (R4)(R5)", 8+2*i, 9+2*i)
	}
	g.p("\tRET")
}
