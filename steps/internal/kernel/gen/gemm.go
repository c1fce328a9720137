package main

import "fmt"

// A shape is a microkernel of rows by vecs registers of kind reg (Z: 16 lanes, Y: 8 lanes).
type shape struct {
	reg        string
	rows, vecs int
}

// gemm writes every height of every width.
func (g *gen) gemm() {
	for _, w := range []struct {
		reg     string
		vecs    int
		heights []int
	}{
		{"Z", 2, []int{12, 8, 4, 2, 1}},
		{"Z", 1, []int{12, 8, 4, 2, 1}},
		{"Y", 2, []int{6, 4, 2, 1}},
		{"Y", 1, []int{12, 8, 6, 4, 2, 1}},
	} {
		for _, rows := range w.heights {
			g.kernel(shape{w.reg, rows, w.vecs})
		}
	}
	g.peak("Z")
	g.peak("Y")
}

// peakChains is how many sums a loop of nothing but FMA keeps in flight.
const peakChains = 12

// peak writes a loop of nothing but FMA, of zeros in registers.
func (g *gen) peak(reg string) {
	k := shape{reg, peakChains, 1}
	name := map[string]string{"Z": "peak16z", "Y": "peak8y"}[reg]
	g.p("\n// func %s(turns int)\nTEXT ·%s(SB), NOSPLIT, $0-8\n\tMOVQ turns+0(FP), CX", name, name)
	for i := range peakChains {
		op := map[string]string{"Z": "VPXORD", "Y": "VXORPS"}[reg]
		g.p("\t%s %s, %s, %s", op, k.acc(i, 0), k.acc(i, 0), k.acc(i, 0))
	}
	g.p("\tPCALIGN $32\nloop:")
	for i := range peakChains {
		g.p("\tVFMADD231PS %s, %s, %s", k.acc(i, 0), k.acc(i, 0), k.acc(i, 0))
	}
	g.p("\tDECQ CX\n\tJNZ loop\n\tVZEROUPPER\n\tRET")
}

func (k shape) name() string {
	return fmt.Sprintf("gemm%dx%d%s", k.rows, k.vecs*k.bytes()/4, map[string]string{"Z": "z", "Y": "y"}[k.reg])
}

// unroll is how many p one turn of the main loop does.
const unroll = 4

// Registers: vecs for B, then two for broadcast elements of A in turn, then rows*vecs accumulators.
func (k shape) acc(i, j int) string { return fmt.Sprintf("%s%d", k.reg, k.vecs+2+i*k.vecs+j) }

// bytes is the size of one register.
func (k shape) bytes() int {
	if k.reg == "Z" {
		return 64
	}
	return 32
}

// kernel writes one microkernel. SI walks along A by the stride R11 of p, BX six rows below it; R8, R9 and R10 are
// one, three and five strides of the rows of A. DI walks along B by R12; what is R13 ahead of it is fetched early.
// DX and R15 walk along C by AX.
func (g *gen) kernel(k shape) {
	limit := map[string]int{"Z": 32, "Y": 16}[k.reg]
	if k.vecs+2+k.rows*k.vecs > limit || k.rows > 12 {
		panic(k.name() + ": too many registers")
	}
	g.p("\n// func %s(k int, a *float32, row, depth int, b *float32, line, ahead int, c *float32, ldc int, load int)", k.name())
	g.p("TEXT ·%s(SB), NOSPLIT, $0-80", k.name())
	g.p("\tMOVQ k+0(FP), CX\n\tMOVQ a+8(FP), SI\n\tMOVQ row+16(FP), R8\n\tMOVQ depth+24(FP), R11")
	g.p("\tMOVQ b+32(FP), DI\n\tMOVQ line+40(FP), R12\n\tMOVQ ahead+48(FP), R13\n\tMOVQ c+56(FP), DX\n\tMOVQ ldc+64(FP), AX")
	g.p("\tSHLQ $2, R8\n\tSHLQ $2, R11\n\tSHLQ $2, R12\n\tSHLQ $2, R13\n\tSHLQ $2, AX")
	g.p("\tLEAQ (R8)(R8*2), R9\n\tLEAQ (R8)(R8*4), R10\n\tMOVQ DX, R15")
	if k.rows > 6 {
		g.p("\tLEAQ (SI)(R9*2), BX")
	}
	g.p("\tCMPQ load+72(FP), $0\n\tJNE load")
	g.zero(k)
	g.p("\tJMP start\nload:")
	g.rows(k, "R15", func(i int) {
		for j := range k.vecs {
			g.p("\tVMOVUPS %d(R15), %s", j*k.bytes(), k.acc(i, j))
		}
	})
	g.p("start:\n\tSUBQ $%d, CX\n\tJLT tail\n\tPCALIGN $32\nloop:", unroll)
	for range unroll {
		g.body(k)
	}
	g.p("\tSUBQ $%d, CX\n\tJGE loop\ntail:\n\tADDQ $%d, CX\n\tJZ store\nlast:", unroll, unroll)
	g.body(k)
	g.p("\tDECQ CX\n\tJNZ last\nstore:")
	g.rows(k, "DX", func(i int) {
		for j := range k.vecs {
			g.p("\tVMOVUPS %s, %d(DX)", k.acc(i, j), j*k.bytes())
		}
	})
	g.p("\tVZEROUPPER\n\tRET")
}

// zero clears the accumulators and fetches C ahead of its use.
func (g *gen) zero(k shape) {
	for i := range k.rows {
		for j := range k.vecs {
			op := "VXORPS"
			if k.reg == "Z" {
				op = "VPXORD"
			}
			g.p("\t%s %s, %s, %s", op, k.acc(i, j), k.acc(i, j), k.acc(i, j))
		}
	}
	g.rows(k, "R15", func(int) {
		for o := 0; o < k.vecs*k.bytes(); o += 64 {
			g.p("\tPREFETCHT0 %d(R15)", o)
		}
	})
}

// rows calls f for every row, moving the register ptr from row to row by the stride AX.
func (g *gen) rows(k shape, ptr string, f func(i int)) {
	for i := range k.rows {
		f(i)
		if i < k.rows-1 {
			g.p("\tADDQ AX, %s", ptr)
		}
	}
}

// body is one p, and the way to the next.
func (g *gen) body(k shape) {
	for o := 0; o < k.vecs*k.bytes(); o += 64 {
		g.p("\tPREFETCHT0 %d(DI)(R13*1)", o)
	}
	for j := range k.vecs {
		g.p("\tVMOVUPS %d(DI), %s%d", j*k.bytes(), k.reg, j)
	}
	for i := range k.rows {
		base := "SI"
		if i >= 6 {
			base = "BX"
		}
		br := fmt.Sprintf("%s%d", k.reg, k.vecs+i%2)
		g.p("\tVBROADCASTSS (%s)%s, %s", base, []string{"", "(R8*1)", "(R8*2)", "(R9*1)", "(R8*4)", "(R10*1)"}[i%6], br)
		for j := range k.vecs {
			g.p("\tVFMADD231PS %s%d, %s, %s", k.reg, j, br, k.acc(i, j))
		}
	}
	g.p("\tADDQ R11, SI\n\tADDQ R12, DI")
	if k.rows > 6 {
		g.p("\tADDQ R11, BX")
	}
}
