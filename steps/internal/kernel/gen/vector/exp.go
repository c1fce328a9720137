package main

// exps are the exponential and its kin.
func exps() topic {
	return topic{name: "exp", kernels: []kernel{
		{
			name: "exp", params: params(slice("x"), slice("dst"), scalar("sub", 14)),
			body: func(g *gen) {
				g.load("x", 0)
				g.op("VSUBPS", 14, 0, 0)
				g.exp()
				g.store(4, "dst")
			},
		},
		{
			name: "expSum", lanes: true, params: params(pointer("sum", "lanes"), slice("x"), slice("dst"), scalar("sub", 14)),
			start: func(g *gen) {
				if g.arm {
					for i := range 4 {
						g.armOp("EOR", 10+i, 10+i, 10+i)
					}
					return
				}
				g.zero(10)
			},
			body: func(g *gen) {
				g.load("x", 0)
				g.op("VSUBPS", 14, 0, 0)
				g.exp()
				g.store(4, "dst")
				g.keep(4)
				g.sumLanes()
			},
			fold: func(g *gen) { g.p("\tVEXTRACTF64X4 $1, Z10, Y11") },
			finish: func(g *gen) {
				if g.arm {
					for i := range 4 {
						g.p("\tFMOVQ F%d, %d(%s)", 10+i, 16*i, g.ptr["sum"])
					}
					return
				}
				g.spill(10, "sum", 0)
			},
		},
		{
			name: "sigmoid", params: params(slice("x"), slice("dst")),
			body: func(g *gen) {
				g.load("x", 0)
				g.op("VMOVUPS", "one", 9)
				g.logistic()
				g.store(4, "dst")
			},
		},
		{
			name: "silu", params: params(slice("x"), slice("dst")),
			body: func(g *gen) {
				g.load("x", 0)
				g.silu()
				g.store(4, "dst")
			},
		},
		{
			name: "tanh", params: params(slice("x"), slice("dst")),
			body: func(g *gen) {
				g.load("x", 0)
				g.tanh()
				g.store(4, "dst")
			},
		},
		{
			name: "softCap", params: params(slice("x"), scalar("cap", 14), scalar("inv", 13)),
			body: func(g *gen) {
				g.load("x", 0)
				g.op("VMULPS", 13, 0, 0)
				g.tanh()
				g.op("VMULPS", 14, 4, 4)
				g.store(4, "x")
			},
		},
	}}
}

// sumLanes adds the float32s of register 4 to the lanes in 10 and 11, or in Z10.
func (g *gen) sumLanes() {
	if g.arm {
		g.armOp("FCVTL", 4, 0)
		g.armOp("FCVTL2", 4, 1)
		for i := range 2 {
			g.armOp("VADDPD", i, 10+2*g.half+i, 10+2*g.half+i)
		}
		return
	}
	if g.z {
		g.p("\tVCVTPS2PD Y4, Z0\n\tVEXTRACTF64X4 $1, Z4, Y1\n\tVADDPD Z0, Z10, Z10\n\tVCVTPS2PD Y1, Z1\n\tVADDPD Z1, Z10, Z10")
		return
	}
	g.p("\tVCVTPS2PD X4, Y0\n\tVEXTRACTF128 $1, Y4, X1\n\tVADDPD Y0, Y10, Y10\n\tVCVTPS2PD X1, Y1\n\tVADDPD Y1, Y11, Y11")
}

// The functions below work on registers: they take x in 0, use 0 to 8 and keep the others unless they say more.

// atLeast sets dst to the greater of x and a constant, atMost to the lesser; a NaN stays.
func (g *gen) atLeast(x int, constant string, dst int) { g.bound("VMAXPS", x, constant, dst) }
func (g *gen) atMost(x int, constant string, dst int)  { g.bound("VMINPS", x, constant, dst) }

func (g *gen) bound(name string, x int, constant string, dst int) {
	tmp := 1
	g.op("VMOVUPS", constant, tmp)
	g.op(name, x, tmp, dst)
}

// expm1 is the function of that name in exp32.go: p in 4, k as an integer in 1. Converting to an integer and back rounds
// as adding and subtracting round32 does.
func (g *gen) expm1() {
	g.op("VMULPS", "log2e", 0, 1)
	g.op("VCVTPS2DQ", 1, 1)
	g.op("VCVTDQ2PS", 1, 2) // k
	g.op("VMULPS", "ln2hi", 2, 3)
	g.op("VSUBPS", 3, 0, 0) // hi
	g.op("VMULPS", "ln2lo", 2, 2)
	g.op("VSUBPS", 2, 0, 3) // r
	g.op("VMULPS", "c7", 3, 4)
	g.op("VADDPS", "c6", 4, 4)
	for _, c := range []string{"c5", "c4", "c3", "half"} {
		g.op("VMULPS", 3, 4, 4)
		g.op("VADDPS", c, 4, 4)
	}
	g.op("VMULPS", 3, 3, 5)
	g.op("VMULPS", 4, 5, 4) // r²·p
	g.op("VSUBPS", 3, 0, 0)
	g.op("VSUBPS", 2, 0, 0) // (hi - r) - lo
	g.op("VADDPS", 0, 4, 4)
	g.op("VADDPS", 4, 3, 4)
}

// expParts is exp in exp32.go, for an x between its bounds: e in 4, 2^h in 5 and 2^(n-h) in 6.
func (g *gen) expParts() {
	g.expm1()
	g.op("VADDPS", "one", 4, 4)
	g.op("VPSRAD", "$1", 1, 5)
	g.op("VPSUBD", 5, 1, 6)
	for _, r := range []int{5, 6} {
		g.op("VPADDD", "bias", r, r)
		g.op("VPSLLD", "$23", r, r)
	}
}

// exp leaves Exp in 4.
func (g *gen) exp() {
	g.atLeast(0, "low", 0)
	g.atMost(0, "high", 0)
	g.expWithin()
}

// expWithin leaves Exp in 4, for an x between its bounds.
func (g *gen) expWithin() {
	g.expParts()
	g.op("VMULPS", 5, 4, 4)
	g.op("VMULPS", 6, 4, 4)
}

// negated keeps x in 8 and sets 0 to -|x|, bounded for expParts.
func (g *gen) negated() {
	g.op("VMOVAPS", 0, 8)
	g.op("VORPS", "sign", 0, 0)
	g.atLeast(0, "low", 0)
}

// logistic takes a in 9, which it spoils, and leaves a/(1+e^-x) in 4. Where x is positive the numerator is a instead of
// a·m, and the last factor 1.
func (g *gen) logistic() {
	g.negated()
	g.expParts()
	g.op("VMULPS", 5, 4, 4) // m
	g.op("VMULPS", 6, 4, 5)
	g.op("VADDPS", "one", 5, 5) // d
	g.op("VMULPS", 4, 9, 4)
	g.blend(8, 4, 9, 4)
	g.op("VMOVUPS", "one", 9)
	g.blend(8, 6, 9, 6)
	g.op("VDIVPS", 5, 4, 4)
	g.op("VMULPS", 6, 4, 4)
}

// silu leaves SiLU in 4 and uses 9.
func (g *gen) silu() {
	g.atLeast(0, "low", 9)
	g.logistic()
}

// sigmoids leaves s in 6 and c in 7.
func (g *gen) sigmoids() {
	g.negated()
	g.expWithin()
	g.op("VADDPS", "one", 4, 5)
	g.op("VMOVUPS", "one", 6)
	g.op("VDIVPS", 5, 6, 5)
	g.op("VMULPS", 5, 4, 4)
	g.blend(8, 4, 5, 6)
	g.blend(8, 5, 4, 7)
}

// tanh leaves Tanh in 4.
func (g *gen) tanh() {
	g.op("VMOVAPS", 0, 8)
	g.op("VANDPS", "magnitude", 0, 0)
	g.atMost(0, "ten", 0)
	g.op("VADDPS", 0, 0, 0)
	g.expm1()
	g.op("VPADDD", "bias", 1, 5)
	g.op("VPSLLD", "$23", 5, 5) // s
	g.op("VMULPS", 5, 4, 4)
	g.op("VSUBPS", "one", 5, 5)
	g.op("VADDPS", 5, 4, 4) // e
	g.op("VADDPS", "two", 4, 5)
	g.op("VDIVPS", 5, 4, 4)
	g.op("VANDPS", "sign", 8, 8)
	g.op("VORPS", 8, 4, 4)
}
