package main

import "math"

// constants of the vector functions, each eight times in memory.
var constants = []struct {
	name string
	bits uint32
}{
	{"low", f(-120)}, {"high", f(89)}, {"log2e", f(0x1.715476p0)}, {"round", f(0x1.8p23)},
	{"ln2hi", f(0x1.62e4p-1)}, {"ln2lo", f(0x1.7f7d1cp-20)},
	{"c7", f(1.0 / 5040)}, {"c6", f(1.0 / 720)}, {"c5", f(1.0 / 120)}, {"c4", f(1.0 / 24)}, {"c3", f(1.0 / 6)}, {"half", f(0.5)},
	{"one", f(1)}, {"sign", 1 << 31}, {"bias", 127},
}

func f(x float64) uint32 { return math.Float32bits(float32(x)) }

// exps writes the functions on slices of float32: the operations of exp and logistic in exp32.go, one for one, on
// eight lanes. n is a positive multiple of 8.
func (g *gen) exps() {
	for _, c := range constants {
		for o := 0; o < 32; o += 8 {
			g.p("DATA %s<>+%d(SB)/8, $%#08x%08x", c.name, o, c.bits, c.bits)
		}
		g.p("GLOBL %s<>(SB), RODATA|NOPTR, $32", c.name)
	}
	g.loop("expAVX2", "x - sub", func() {
		g.p("\tVSUBPS Y15, Y0, Y0")
		g.exp()
		g.p("\tVMULPS Y5, Y4, Y4\n\tVMULPS Y6, Y4, Y4")
	})
	g.loop("sigmoidAVX2", "x", func() {
		g.p("\tVMOVUPS one<>(SB), Y9")
		g.logistic()
	})
	g.loop("siluAVX2", "x", func() {
		g.p("\tVMOVUPS low<>(SB), Y9\n\tVMAXPS Y0, Y9, Y9")
		g.logistic()
	})
}

// loop writes a function that loads eight elements to Y0, does body and stores Y4. Y15 is sub.
func (g *gen) loop(name, of string, body func()) {
	g.p("\n// func %s(dst, x *float32, sub float32, n int)\n// of %s", name, of)
	g.p("TEXT ·%s(SB), NOSPLIT, $0-32", name)
	g.p("\tMOVQ dst+0(FP), DI\n\tMOVQ x+8(FP), SI\n\tVBROADCASTSS sub+16(FP), Y15\n\tMOVQ n+24(FP), CX\nloop:")
	g.p("\tVMOVUPS (SI), Y0")
	body()
	g.p("\tVMOVUPS Y4, (DI)\n\tADDQ $32, SI\n\tADDQ $32, DI\n\tSUBQ $8, CX\n\tJNZ loop\n\tVZEROUPPER\n\tRET")
}

// exp takes x in Y0 and leaves e in Y4, 2^h in Y5 and 2^(n-h) in Y6. It keeps Y7 to Y15. The operand order of the
// bounds lets a NaN through.
func (g *gen) exp() {
	g.p("\tVMOVUPS low<>(SB), Y1\n\tVMAXPS Y0, Y1, Y0\n\tVMOVUPS high<>(SB), Y1\n\tVMINPS Y0, Y1, Y0")
	g.p("\tVMULPS log2e<>(SB), Y0, Y1\n\tVADDPS round<>(SB), Y1, Y1\n\tVSUBPS round<>(SB), Y1, Y1") // k
	g.p("\tVMULPS ln2hi<>(SB), Y1, Y2\n\tVSUBPS Y2, Y0, Y0")                                        // hi
	g.p("\tVMULPS ln2lo<>(SB), Y1, Y2\n\tVSUBPS Y2, Y0, Y3")                                        // lo, r
	g.p("\tVMOVUPS c7<>(SB), Y4")
	for _, c := range []string{"c6", "c5", "c4", "c3", "half"} {
		g.p("\tVMULPS Y3, Y4, Y4\n\tVADDPS %s<>(SB), Y4, Y4", c)
	}
	g.p("\tVMULPS Y3, Y3, Y5\n\tVMULPS Y4, Y5, Y4")                 // r²·p
	g.p("\tVSUBPS Y3, Y0, Y0\n\tVSUBPS Y2, Y0, Y0")                 // (hi - r) - lo
	g.p("\tVADDPS Y0, Y4, Y4\n\tVADDPS Y4, Y3, Y4")                 // r + (…)
	g.p("\tVADDPS one<>(SB), Y4, Y4\n\tVCVTPS2DQ Y1, Y1")           // e, n
	g.p("\tVPSRAD $1, Y1, Y5\n\tVPSUBD Y5, Y1, Y6")                 // h, n-h
	g.p("\tVPADDD bias<>(SB), Y5, Y5\n\tVPADDD bias<>(SB), Y6, Y6") // biased exponents
	g.p("\tVPSLLD $23, Y5, Y5\n\tVPSLLD $23, Y6, Y6")
}

// logistic takes x in Y0 and a in Y9 and leaves a/(1+e^-x) in Y4.
func (g *gen) logistic() {
	g.p("\tVMOVAPS Y0, Y8\n\tVORPS sign<>(SB), Y0, Y0")
	g.exp()
	g.p("\tVMULPS Y5, Y4, Y4")                                           // m
	g.p("\tVMULPS Y6, Y4, Y5\n\tVADDPS one<>(SB), Y5, Y5")               // d
	g.p("\tVMULPS Y4, Y9, Y4\n\tVDIVPS Y5, Y4, Y4\n\tVMULPS Y6, Y4, Y4") // x < 0
	g.p("\tVDIVPS Y5, Y9, Y9\n\tVBLENDVPS Y8, Y4, Y9, Y4")               // by the sign of x
}
