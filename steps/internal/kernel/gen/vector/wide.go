package main

// wides read or write elements that are no float32s.
func wides() topic {
	return topic{name: "wide", kernels: []kernel{
		{
			// The constants: keep, rate, root, β₁, 1−β₁, β₂, 1−β₂, ε.
			name: "adamW", form: doubles,
			params: params(pointer("k", "[8]float64"), slice("p"), slice("g"), slice("m"), slice("v")),
			start: func(g *gen) {
				for i := range 8 {
					if g.arm {
						g.p("\tFMOVD %d(%s), F%d\n\tVDUP V%d.D[0], V%d.D2", 8*i, g.ptr["k"], 7+i, 7+i, 7+i)
						continue
					}
					g.p("\tVBROADCASTSD %d(%s), %s%d", 8*i, g.ptr["k"], g.dr, 7+i)
				}
			},
			body: func(g *gen) {
				const keep, rate, root, b1, b1rest, b2, b2rest, eps = 7, 8, 9, 10, 11, 12, 13, 14
				g.widenFrom("g", 3, 0)
				g.widenFrom("m", 3, 1)
				g.widenFrom("v", 3, 2)
				g.dop("VMULPD", 0, b1rest, 4)
				g.dop("VMULPD", 1, b1, 1)
				g.dop("VADDPD", 4, 1, 1)
				g.dop("VMULPD", 0, 0, 0)
				g.dop("VMULPD", 0, b2rest, 0)
				g.dop("VMULPD", 2, b2, 2)
				g.dop("VADDPD", 0, 2, 2)
				g.narrow(1, 3)
				g.store(3, "m")
				g.narrow(2, 3)
				g.store(3, "v")
				g.dop("VSQRTPD", 2, 2)
				g.dop("VDIVPD", root, 2, 2)
				g.dop("VADDPD", eps, 2, 2)
				g.dop("VMULPD", 1, rate, 1)
				g.dop("VDIVPD", 2, 1, 1)
				g.widenFrom("p", 3, 0)
				g.dop("VMULPD", 0, keep, 0)
				g.dop("VSUBPD", 1, 0, 0)
				g.narrow(0, 3)
				g.store(3, "p")
			},
		},
		{
			name: "normRowWeights", form: doubles, whole: true,
			params: params(slice64("dw"), slice("dy"), slice("x"), scalar("inv", 14)),
			body: func(g *gen) {
				g.load("x", 3)
				g.op("VMULPS", 14, 3, 3)
				g.widen(3, 0)
				g.widenFrom("dy", 3, 1)
				g.dop("VMULPD", 1, 0, 0)
				g.accumulate("dw")
			},
		},
		{
			name: "layerNormRowWeights", form: doubles, whole: true,
			params: params(slice64("dw"), slice("dy"), slice("x"), scalar("mean", 14), scalar("inv", 13)),
			body: func(g *gen) {
				g.load("x", 3)
				g.op("VSUBPS", 14, 3, 3)
				g.op("VMULPS", 13, 3, 3)
				g.widen(3, 0)
				g.widenFrom("dy", 3, 1)
				g.dop("VMULPD", 1, 0, 0)
				g.accumulate("dw")
			},
		},
		{
			name: "addWide", form: doubles, whole: true, params: params(slice64("dst"), slice("x")),
			body: func(g *gen) {
				g.widenFrom("x", 3, 0)
				g.accumulate("dst")
			},
		},
		{
			name: "addMulWide", form: doubles, whole: true, params: params(slice64("dst"), slice("x"), slice("y")),
			body: func(g *gen) {
				g.widenFrom("x", 3, 0)
				g.widenFrom("y", 3, 1)
				g.dop("VMULPD", 1, 0, 0)
				g.accumulate("dst")
			},
		},
		{
			name: "widenBF16", whole: true, params: params(slice("dst"), raw("src")),
			body: func(g *gen) {
				g.op("VPMOVZXWD", g.at("src", 2, 0), 0)
				g.op("VPSLLD", "$16", 0, 0)
				g.store(0, "dst")
			},
		},
		{
			name: "widenF16", whole: true, params: params(slice("dst"), raw("src")),
			body: func(g *gen) {
				g.op("VPMOVZXWD", g.at("src", 2, 0), 0)
				g.op("VANDPS", "f16sign", 0, 1)
				g.op("VPSLLD", "$16", 1, 1)
				g.op("VANDPS", "f16rest", 0, 0)
				g.op("VPSLLD", "$13", 0, 0)
				// All ones above f16top, for infinities and NaNs.
				g.op("VMOVUPS", "f16top", 2)
				g.op("VPSUBD", 0, 2, 2)
				g.op("VPSRAD", "$31", 2, 2)
				g.op("VANDPS", "infinite", 2, 2)
				g.op("VMULPS", "f16scale", 0, 0)
				g.op("VORPS", 2, 0, 0)
				g.op("VORPS", 1, 0, 0)
				g.store(0, "dst")
			},
		},
	}}
}

// accumulate adds the float64s in 0 to those of a slice.
func (g *gen) accumulate(name string) {
	at := g.at(name, 8, 0)
	if g.arm {
		g.p("\tVLD1 %s, [V1.D2]", at)
		g.dop("VADDPD", 1, 0, 0)
		g.p("\tVST1 [V0.D2], %s", at)
		return
	}
	g.dop("VADDPD", at, 0, 0)
	g.dop("VMOVUPD", 0, at)
}
