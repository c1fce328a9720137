package main

import (
	"fmt"
	"strings"
)

// A step of bf16 is 16 pairs of even and odd k (kernel.BF16Depth).
const stepPairs = 16

// bf16 writes the microkernels of bf16 products, C[panels*rows, vecs*lanes] (+)= A·B, and the conversions to pairs.
//
// On vectors a step is done as the instruction for tiles does it: sums of the products of its even k, kept on the stack,
// then of its odd k, from 0 each, in registers; then both are added, then C. B is widened as it is loaded.
func (g *gen) bf16() {
	for _, k := range []bf16Shape{
		{"bf16Mul12x32", "Z", 12, 2},
		{"bf16Mul1x32", "Z", 1, 2},
		{"bf16Mul6x16", "Y", 6, 2},
		{"bf16Mul1x16", "Y", 1, 2},
	} {
		g.bf16Kernel(k)
	}
	g.amx()
	g.pairs()
}

// A bf16Shape is a microkernel of rows by vecs registers of kind reg.
type bf16Shape struct {
	name string
	reg  string
	rows int
	vecs int
}

// Registers: vecs for B, one for a broadcast element of A, the mask of odd elements, then the accumulators.
func (k bf16Shape) acc(i, j int) string { return fmt.Sprintf("%s%d", k.reg, k.vecs+2+i*k.vecs+j) }

func (k bf16Shape) a() string    { return fmt.Sprintf("%s%d", k.reg, k.vecs) }
func (k bf16Shape) mask() string { return fmt.Sprintf("%s%d", k.reg, k.vecs+1) }

func (k bf16Shape) bytes() int {
	if k.reg == "Z" {
		return 64
	}
	return 32
}

// op is the name of an operation on integers for the width.
func (k bf16Shape) op(name string) string {
	if k.reg == "Z" {
		return name + "D"
	}
	return name
}

// Registers of a kernel: AX and BX step of A and B, DX rows of C, R8 bytes of a row of C, CX steps left, R11 quarters of
// the step left, R12 quarters of the last step, R13 panels left, SI and DI within the step, R9 the sums on the stack.
func (g *gen) bf16Kernel(k bf16Shape) {
	vb := k.bytes()
	spill := k.rows * k.vecs * vb
	g.p("\n// func %s(panels, steps, last int, a, b *uint32, c *float32, ldc, load int)", k.name)
	g.p("TEXT ·%s(SB), 0, $%d-64", k.name, spill+vb+16)
	g.p("\tMOVQ panels+0(FP), R13\n\tMOVQ a+24(FP), AX\n\tMOVQ c+40(FP), DX\n\tMOVQ ldc+48(FP), R8\n\tSHLQ $2, R8")
	g.p("\tMOVQ last+16(FP), R12\n\tLEAQ %d(SP), R9\n\tANDQ $~%d, R9", 8+vb-1, vb-1)
	// Rounding to nearest, exceptions masked, subnormal results and operands zero; as it was afterwards.
	g.p("\tSTMXCSR saved-8(SP)\n\tMOVL $0x9fc0, flags-4(SP)\n\tLDMXCSR flags-4(SP)")
	if k.reg == "Z" {
		g.p("\tVPTERNLOGD $0xff, %s, %s, %s", k.mask(), k.mask(), k.mask())
	} else {
		g.p("\tVPCMPEQD %s, %s, %s", k.mask(), k.mask(), k.mask())
	}
	g.p("\tVPSLLD $16, %s, %s", k.mask(), k.mask())
	g.p("panel:\n\tMOVQ b+32(FP), BX\n\tMOVQ steps+8(FP), CX\n\tMOVQ DX, R10\n\tMOVQ load+56(FP), SI\n\tTESTQ SI, SI\n\tJNZ fetch")
	g.p("\t%s %s, %s, %s", k.op("VPXOR"), k.a(), k.a(), k.a())
	g.bf16Rows(k, "R10", func(i int) {
		for j := range k.vecs {
			g.p("\tVMOVUPS %s, %d(R10)", k.a(), j*vb)
		}
	})
	g.p("\tJMP step\nfetch:") // C, which the end of the first step adds to
	g.bf16Rows(k, "R10", func(int) {
		for o := 0; o < k.vecs*vb; o += 64 {
			g.p("\tPREFETCHT0 %d(R10)", o)
		}
	})
	g.p("step:")
	g.half(k, "even")
	for i := range k.rows {
		for j := range k.vecs {
			g.p("\tVMOVAPS %s, %d(R9)", k.acc(i, j), (i*k.vecs+j)*vb)
		}
	}
	g.half(k, "odd")
	g.p("\tMOVQ DX, R10")
	g.bf16Rows(k, "R10", func(i int) {
		for j := range k.vecs {
			g.p("\tVADDPS %d(R9), %s, %s", (i*k.vecs+j)*vb, k.acc(i, j), k.acc(i, j))
			g.p("\tVADDPS %d(R10), %s, %s\n\tVMOVUPS %s, %d(R10)", j*vb, k.acc(i, j), k.acc(i, j), k.acc(i, j), j*vb)
		}
	})
	g.p("\tADDQ $%d, AX\n\tADDQ $%d, BX\n\tDECQ CX\n\tJNZ step", 2*stepPairs*k.rows*4, stepPairs*k.vecs*vb)
	g.p("\tLEAQ (R10)(R8*1), DX\n\tDECQ R13\n\tJNZ panel")
	g.p("\tLDMXCSR saved-8(SP)\n\tVZEROUPPER\n\tRET")
}

// bf16Rows calls f for every row, moving the register ptr from row to row.
func (g *gen) bf16Rows(k bf16Shape, ptr string, f func(i int)) {
	for i := range k.rows {
		f(i)
		if i < k.rows-1 {
			g.p("\tADDQ R8, %s", ptr)
		}
	}
}

// half sums the products of the even or odd k of a step. A last step that is not full is as deep as it needs to be, and
// then one product of zeros stands for all missing ones: it makes a sum of -0 a +0.
func (g *gen) half(k bf16Shape, which string) {
	vb := k.bytes()
	g.p("\tMOVQ $4, R11\n\tCMPQ CX, $1\n\tCMOVQEQ R12, R11")
	g.p("\tMOVQ BX, DI")
	if which == "even" {
		g.p("\tMOVQ AX, SI")
	} else {
		g.p("\tLEAQ %d(AX), SI", stepPairs*k.rows*4)
	}
	for i := range k.rows {
		for j := range k.vecs {
			g.p("\t%s %s, %s, %s", k.op("VPXOR"), k.acc(i, j), k.acc(i, j), k.acc(i, j))
		}
	}
	g.p("\tPCALIGN $32\n%s:", which)
	for u := range stepPairs / 4 {
		for j := range k.vecs {
			b, at := fmt.Sprintf("%s%d", k.reg, j), (u*k.vecs+j)*vb
			switch {
			case which == "odd":
				g.p("\t%s %d(DI), %s, %s", k.op("VPAND"), at, k.mask(), b)
			case k.reg == "Z":
				g.p("\tVPSLLD $16, %d(DI), %s", at, b)
			default:
				g.p("\tVMOVDQU %d(DI), %s\n\tVPSLLD $16, %s, %s", at, b, b, b)
			}
		}
		for i := range k.rows {
			g.p("\tVBROADCASTSS %d(SI), %s", (u*k.rows+i)*4, k.a())
			for j := range k.vecs {
				g.p("\tVFMADD231PS %s%d, %s, %s", k.reg, j, k.a(), k.acc(i, j))
			}
		}
	}
	g.p("\tADDQ $%d, SI\n\tADDQ $%d, DI\n\tDECQ R11\n\tJNZ %s", stepPairs/4*k.rows*4, stepPairs/4*k.vecs*vb, which)
	g.p("\tCMPQ CX, $1\n\tJNE %s_full\n\tCMPQ R12, $4\n\tJEQ %s_full", which, which)
	g.p("\t%s %s, %s, %s", k.op("VPXOR"), k.a(), k.a(), k.a())
	for i := range k.rows {
		for j := range k.vecs {
			g.p("\tVADDPS %s, %s, %s", k.a(), k.acc(i, j), k.acc(i, j))
		}
	}
	g.p("%s_full:", which)
}

// bytes writes an instruction that the assembler does not know.
func (g *gen) bytes(hex, comment string) {
	var out []string
	for _, h := range strings.Fields(hex) {
		out = append(out, "BYTE $0x"+h)
	}
	g.p("\t%s // %s", strings.Join(out, "; "), comment)
}

// amx writes the kernel on tiles: 32 rows by 32 columns of C in T0 to T3, A in T4 and T5, B in T6 and T7.
func (g *gen) amx() {
	// Palette 1, eight tiles of 16 rows of 64 bytes.
	g.p("\nDATA tiles<>+0(SB)/8, $1\nDATA tiles<>+8(SB)/8, $0")
	for i, v := range []string{"0x0040004000400040", "0x0040004000400040", "0", "0", "0x1010101010101010", "0"} {
		g.p("DATA tiles<>+%d(SB)/8, $%s", 16+8*i, v)
	}
	g.p("GLOBL tiles<>(SB), RODATA|NOPTR, $64")
	g.p("\n// func bf16MulAMX(panels, steps, last int, a, b *uint32, c *float32, ldc, load int)")
	g.p("TEXT ·bf16MulAMX(SB), NOSPLIT, $0-64")
	g.p("\tMOVQ panels+0(FP), R13\n\tMOVQ a+24(FP), SI\n\tMOVQ b+32(FP), R14\n\tMOVQ c+40(FP), DX")
	g.p("\tMOVQ ldc+48(FP), BX\n\tMOVQ load+56(FP), R11\n\tSHLQ $2, BX\n\tMOVQ $64, R8\n\tMOVQ $128, R9\n\tLEAQ tiles<>(SB), AX")
	g.bytes("c4 e2 78 49 00", "LDTILECFG (AX)")
	g.p("panel:\n\tMOVQ steps+8(FP), CX\n\tMOVQ R14, DI\n\tMOVQ BX, R12\n\tSHLQ $4, R12\n\tADDQ DX, R12")
	g.p("\tTESTQ R11, R11\n\tJNZ load")
	g.bytes("c4 e2 7b 49 c0", "TILEZERO T0")
	g.bytes("c4 e2 7b 49 c8", "TILEZERO T1")
	g.bytes("c4 e2 7b 49 d0", "TILEZERO T2")
	g.bytes("c4 e2 7b 49 d8", "TILEZERO T3")
	g.p("\tJMP step\nload:")
	g.bytes("c4 e2 7b 4b 04 1a", "TILELOADD (DX)(BX*1), T0")
	g.bytes("c4 e2 7b 4b 4c 1a 40", "TILELOADD 64(DX)(BX*1), T1")
	g.bytes("c4 c2 7b 4b 14 1c", "TILELOADD (R12)(BX*1), T2")
	g.bytes("c4 c2 7b 4b 5c 1c 40", "TILELOADD 64(R12)(BX*1), T3")
	g.p("step:\n\tLEAQ 1024(SI), R10")
	g.bytes("c4 a2 7b 4b 34 0f", "TILELOADD (DI)(R9*1), T6")
	g.bytes("c4 a2 7b 4b 24 06", "TILELOADD (SI)(R8*1), T4")
	g.bytes("c4 a2 7b 4b 7c 0f 40", "TILELOADD 64(DI)(R9*1), T7")
	g.bytes("c4 82 7b 4b 2c 02", "TILELOADD (R10)(R8*1), T5")
	g.tileProducts()
	g.p("\tADDQ $2048, SI\n\tADDQ $2048, DI\n\tDECQ CX\n\tJNZ step")
	g.bytes("c4 e2 7a 4b 04 1a", "TILESTORED T0, (DX)(BX*1)")
	g.bytes("c4 e2 7a 4b 4c 1a 40", "TILESTORED T1, 64(DX)(BX*1)")
	g.bytes("c4 c2 7a 4b 14 1c", "TILESTORED T2, (R12)(BX*1)")
	g.bytes("c4 c2 7a 4b 5c 1c 40", "TILESTORED T3, 64(R12)(BX*1)")
	g.p("\tMOVQ BX, R10\n\tSHLQ $5, R10\n\tADDQ R10, DX\n\tDECQ R13\n\tJNZ panel")
	g.bytes("c4 e2 78 49 c0", "TILERELEASE")
	g.p("\tRET")

	g.p("\n// func amxPeak(n int)\nTEXT ·amxPeak(SB), NOSPLIT, $0-8\n\tMOVQ n+0(FP), CX\n\tLEAQ tiles<>(SB), AX")
	g.bytes("c4 e2 78 49 00", "LDTILECFG (AX)")
	g.p("round:")
	g.tileProducts()
	g.p("\tDECQ CX\n\tJNZ round")
	g.bytes("c4 e2 78 49 c0", "TILERELEASE")
	g.p("\tRET")
}

func (g *gen) tileProducts() {
	g.bytes("c4 e2 4a 5c c4", "TDPBF16PS T6, T4, T0")
	g.bytes("c4 e2 42 5c cc", "TDPBF16PS T7, T4, T1")
	g.bytes("c4 e2 4a 5c d5", "TDPBF16PS T6, T5, T2")
	g.bytes("c4 e2 42 5c dd", "TDPBF16PS T7, T5, T3")
}

// pairs writes the conversions, on eight pairs at a time. Y8 is 0x7fff, Y9 is 1, Y10 the quiet bit, Y11 the upper halves.
func (g *gen) pairs() {
	g.p("\nDATA words<>+0(SB)/8, $0x0000000100007fff\nDATA words<>+8(SB)/8, $0xffff000000400000\nGLOBL words<>(SB), RODATA|NOPTR, $16")
	constants := "\tVPBROADCASTD words<>+0(SB), Y8\n\tVPBROADCASTD words<>+4(SB), Y9\n\tVPBROADCASTD words<>+8(SB), Y10\n\tVPBROADCASTD words<>+12(SB), Y11"
	// Lines are mostly neighbours in a wide matrix, and the next two pairs of lines are wanted soon.
	ahead := "\tMOVQ DX, R8\n\tSUBQ SI, R8\n\tSHLQ $2, R8"
	round := func(x string) { // leaves the result in the upper halves of x; uses Y6 and Y7
		g.p("\tVPSRLD $16, %s, Y6\n\tVPAND Y9, Y6, Y6\n\tVPADDD Y8, Y6, Y6\n\tVPADDD %s, Y6, Y6", x, x)
		g.p("\tVCMPPS $3, %s, %s, Y7\n\tVPOR Y10, %s, %s\n\tVBLENDVPS Y7, %s, Y6, %s", x, x, x, x, x, x)
	}

	g.p("\n// func pairsAVX2(dst *uint32, src *float32, ahead, n int)\nTEXT ·pairsAVX2(SB), NOSPLIT, $0-32")
	g.p("\tMOVQ dst+0(FP), DI\n\tMOVQ src+8(FP), SI\n\tMOVQ ahead+16(FP), R8\n\tMOVQ n+24(FP), CX\n\tSHLQ $2, R8\n%s\nloop:", constants)
	g.p("\tPREFETCHT0 (SI)(R8*1)\n\tVMOVDQU (SI), Y0\n\tVMOVDQU 32(SI), Y1")
	round("Y0")
	round("Y1")
	g.p("\tVPSRLD $16, Y0, Y0\n\tVPSRLD $16, Y1, Y1\n\tVPACKUSDW Y1, Y0, Y0\n\tVPERMQ $0xd8, Y0, Y0\n\tVMOVDQU Y0, (DI)")
	g.p("\tADDQ $64, SI\n\tADDQ $32, DI\n\tSUBQ $8, CX\n\tJNZ loop\n\tVZEROUPPER\n\tRET")

	g.p("\n// func pairLinesAVX2(dst *uint32, lo, hi *float32, n int)\nTEXT ·pairLinesAVX2(SB), NOSPLIT, $0-32")
	g.p("\tMOVQ dst+0(FP), DI\n\tMOVQ lo+8(FP), SI\n\tMOVQ hi+16(FP), DX\n\tMOVQ n+24(FP), CX\n%s\n%s\nloop:", ahead, constants)
	g.p("\tPREFETCHT0 (SI)(R8*1)\n\tPREFETCHT0 (DX)(R8*1)\n\tVMOVDQU (SI), Y0\n\tVMOVDQU (DX), Y1")
	round("Y0")
	round("Y1")
	g.p("\tVPSRLD $16, Y0, Y0\n\tVPAND Y11, Y1, Y1\n\tVPOR Y1, Y0, Y0\n\tVMOVDQU Y0, (DI)")
	g.p("\tADDQ $32, SI\n\tADDQ $32, DX\n\tADDQ $32, DI\n\tSUBQ $8, CX\n\tJNZ loop\n\tVZEROUPPER\n\tRET")

	g.p("\n// func pairStoredAVX2(dst *uint32, lo, hi *byte, n int)\nTEXT ·pairStoredAVX2(SB), NOSPLIT, $0-32")
	g.p("\tMOVQ dst+0(FP), DI\n\tMOVQ lo+8(FP), SI\n\tMOVQ hi+16(FP), DX\n\tMOVQ n+24(FP), CX\n%s\nloop:", ahead)
	g.p("\tPREFETCHT0 (SI)(R8*1)\n\tPREFETCHT0 (DX)(R8*1)\n\tVPMOVZXWD (SI), Y0\n\tVPMOVZXWD (DX), Y1\n\tVPSLLD $16, Y1, Y1\n\tVPOR Y1, Y0, Y0\n\tVMOVDQU Y0, (DI)")
	g.p("\tADDQ $16, SI\n\tADDQ $16, DX\n\tADDQ $32, DI\n\tSUBQ $8, CX\n\tJNZ loop\n\tVZEROUPPER\n\tRET")

	g.p("\n// func splitAVX2(even, odd, src *uint32, n int)\nTEXT ·splitAVX2(SB), NOSPLIT, $0-32")
	g.p("\tMOVQ even+0(FP), DI\n\tMOVQ odd+8(FP), DX\n\tMOVQ src+16(FP), SI\n\tMOVQ n+24(FP), CX\n\tVPBROADCASTD words<>+12(SB), Y11\nloop:")
	g.p("\tVMOVDQU (SI), Y0\n\tVPSLLD $16, Y0, Y1\n\tVPAND Y11, Y0, Y0\n\tVMOVDQU Y1, (DI)\n\tVMOVDQU Y0, (DX)")
	g.p("\tADDQ $32, SI\n\tADDQ $32, DI\n\tADDQ $32, DX\n\tSUBQ $8, CX\n\tJNZ loop\n\tVZEROUPPER\n\tRET")
}
