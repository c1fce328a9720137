package main

// reductions are sums over a row in eight lanes of float64, and the greatest element.
func reductions() topic {
	sum := pointer("sum", "lanes")
	start := func(g *gen) { g.zero(12) }
	finish := func(g *gen) { g.spill(12, "sum", 0) }
	return topic{name: "sum", kernels: []kernel{
		{
			name: "sum64", form: sums, params: params(sum, slice("x")), start: start, finish: finish,
			body: func(g *gen) {
				g.widenFrom("x", 6, 0)
				g.dop("VADDPD", 0, g.lane(12), g.lane(12))
			},
		},
		{
			name: "dot64", form: sums, params: params(sum, slice("a"), slice("b")), start: start, finish: finish,
			body: func(g *gen) {
				g.widenFrom("a", 6, 0)
				g.widenFrom("b", 6, 2)
				g.dop("VMULPD", 2, 0, 0)
				g.dop("VADDPD", 0, g.lane(12), g.lane(12))
			},
		},
		{
			name: "sumSquaresFrom", form: sums, params: params(sum, slice("x"), scalar("mean", 14)), start: start, finish: finish,
			body: func(g *gen) {
				g.load("x", 6)
				g.op("VSUBPS", 14, 6, 6)
				g.keep(6)
				g.widen(6, 0)
				g.dop("VMULPD", 0, 0, 0)
				g.dop("VADDPD", 0, g.lane(12), g.lane(12))
			},
		},
		{
			name: "normRowDot", form: sums, params: params(sum, slice("dy"), slice("x"), slice("w")), start: start, finish: finish,
			body: func(g *gen) {
				g.load("dy", 6)
				g.load("w", 7)
				g.op("VMULPS", 7, 6, 6)
				g.widen(6, 0)
				g.widenFrom("x", 6, 2)
				g.dop("VMULPD", 2, 0, 0)
				g.dop("VADDPD", 0, g.lane(12), g.lane(12))
			},
		},
		{
			name: "layerNormRowDots", form: sums,
			params: params(pointer("sums", "[2]lanes"), slice("dy"), slice("x"), slice("w"), scalar("mean", 14), scalar("inv", 9)),
			start: func(g *gen) {
				g.zero(12)
				g.zero(10)
			},
			body: func(g *gen) {
				g.load("dy", 6)
				g.load("w", 7)
				g.op("VMULPS", 7, 6, 6)
				g.load("x", 7)
				g.op("VSUBPS", 14, 7, 7)
				g.op("VMULPS", 9, 7, 7)
				g.keep(7)
				g.widen(6, 0)
				g.widen(7, 2)
				g.dop("VADDPD", 0, g.lane(12), g.lane(12))
				g.dop("VMULPD", 2, 0, 0)
				g.dop("VADDPD", 0, g.lane(10), g.lane(10))
			},
			finish: func(g *gen) {
				g.spill(12, "sums", 0)
				g.spill(10, "sums", 64)
			},
		},
		{
			name: "max", params: params(pointer("best", "float32"), slice("x")),
			start: func(g *gen) { g.op("VMOVUPS", "lowest", 9) },
			body: func(g *gen) {
				g.load("x", 0)
				if g.masked {
					g.op("VBLENDVPS", maskReg, 0, 9, 0)
				}
				if g.arm {
					g.armOp("FCMGT", 9, 0, 1)
					g.armOp("BSL", 9, 0, 1)
					g.op("VMOVAPS", 1, 9)
					return
				}
				g.op("VMAXPS", 9, 0, 9) // a NaN in x leaves 9
			},
			fold: func(g *gen) { g.p("\tVEXTRACTF64X4 $1, Z9, Y0\n\tVMAXPS Y9, Y0, Y9") },
			finish: func(g *gen) {
				if g.arm {
					g.armOp("FMAXV", 9, 9)
					g.p("\tFMOVS F9, (%s)", g.ptr["best"])
					return
				}
				g.p("\tVEXTRACTF128 $1, Y9, X0\n\tVMAXPS X9, X0, X9")
				g.p("\tVPERMILPS $0x4e, X9, X0\n\tVMAXPS X9, X0, X9\n\tVPERMILPS $0xb1, X9, X0\n\tVMAXPS X9, X0, X9")
				g.p("\tVMOVSS X9, (%s)", g.ptr["best"])
			},
		},
	}}
}
