package main

// glus are activations, gated and not.
func glus() topic {
	gated := func(name string, f func(g *gen)) kernel {
		return kernel{name: name, params: params(slice("act"), slice("gate"), slice("up")), body: func(g *gen) {
			g.load("gate", 0)
			f(g)
			g.load("up", 0)
			g.op("VMULPS", 0, 4, 4)
			g.store(4, "act")
		}}
	}
	gatedBackward := func(name string, slope func(g *gen)) kernel {
		return kernel{
			name:   name,
			params: params(slice("dgate"), slice("dup"), slice("gate"), slice("up"), slice("dact")),
			body: func(g *gen) {
				g.load("gate", 0)
				slope(g)
				g.load("dact", 0)
				g.load("up", 1)
				g.op("VMULPS", 0, 9, 9)
				g.op("VMULPS", 0, 1, 1)
				g.op("VMULPS", 6, 1, 1)
				g.store(9, "dup")
				g.store(1, "dgate")
			},
		}
	}
	return topic{name: "glu", kernels: []kernel{
		gated("swiGLU", (*gen).silu),
		gated("geGLU", (*gen).gelu),
		gatedBackward("swiGLUBackward", (*gen).siluSlope),
		gatedBackward("geGLUBackward", (*gen).geluSlope),
		{name: "gelu", params: params(slice("y"), slice("x")), body: func(g *gen) {
			g.load("x", 0)
			g.gelu()
			g.store(4, "y")
		}},
		{name: "geluBackward", params: params(slice("dx"), slice("x"), slice("dy")), body: func(g *gen) {
			g.load("x", 0)
			g.geluSlope()
			g.load("dy", 0)
			g.op("VMULPS", 0, 6, 6)
			g.store(6, "dx")
		}},
		{name: "geluErf", params: params(slice("y"), slice("x")), body: func(g *gen) {
			g.load("x", 0)
			g.phi()
			g.atLeast(8, "phiLow", 0)
			g.op("VMULPS", 0, 6, 6)
			g.store(6, "y")
		}},
		{name: "geluErfBackward", params: params(slice("dx"), slice("x"), slice("dy")), body: func(g *gen) {
			g.load("x", 0)
			g.phi()
			g.atLeast(8, "phiLow", 0)
			g.atMost(0, "phiHigh", 0)
			g.op("VMULPS", "phiDensity", 10, 10)
			g.op("VMULPS", 0, 10, 10)
			g.op("VADDPS", 10, 6, 6)
			g.load("dy", 0)
			g.op("VMULPS", 0, 6, 6)
			g.store(6, "dx")
		}},
	}}
}

// geluArgument takes x in 0 and leaves the sigmoid's argument in 0, x bounded below in 9 and on both sides in 10, and
// the square of that in 11.
func (g *gen) geluArgument() {
	g.atLeast(0, "geluLow", 9)
	g.atMost(9, "geluHigh", 10)
	g.op("VMULPS", 10, 10, 11)
	g.op("VMULPS", "geluCubic", 11, 0)
	g.op("VADDPS", "geluLinear", 0, 0)
	g.op("VMULPS", 10, 0, 0)
}

// gelu takes x in 0 and leaves GELU in 4.
func (g *gen) gelu() {
	g.geluArgument()
	g.logistic()
}

// geluSlope takes x in 0 and leaves GELU in 9 and its derivative in 6.
func (g *gen) geluSlope() {
	g.geluArgument()
	g.op("VMULPS", "geluSquare", 11, 11)
	g.op("VADDPS", "geluLinear", 11, 11)
	g.op("VMULPS", 11, 10, 10)
	g.slope()
}

// siluSlope takes x in 0 and leaves SiLU in 9 and its derivative in 6.
func (g *gen) siluSlope() {
	g.atLeast(0, "low", 9)
	g.atMost(9, "top", 10)
	g.slope()
}

// slope takes the sigmoid's argument in 0 and leaves the product of 9 and the sigmoid s in 9, and s·(1 + 10·(1-s)) in 6.
func (g *gen) slope() {
	g.sigmoids()
	g.op("VMULPS", 6, 9, 9)
	g.op("VMULPS", 10, 7, 7)
	g.op("VADDPS", "one", 7, 7)
	g.op("VMULPS", 7, 6, 6)
}

// phi takes x in 0 and leaves it in 8, Φ(x) in 6 and e^(-x²/2) in 10. It uses 9.
func (g *gen) phi() {
	g.op("VMOVAPS", 0, 8)
	g.op("VANDPS", "magnitude", 0, 0)
	g.atMost(0, "phiHigh", 9)
	g.op("VMULPS", 9, 9, 0)
	g.op("VMULPS", "minusHalf", 0, 0)
	g.expWithin()
	g.op("VMOVAPS", 4, 10)
	g.op("VMULPS", "quarter", 9, 5)
	g.op("VMOVUPS", "one", 1)
	g.op("VADDPS", 1, 5, 5)
	g.op("VDIVPS", 5, 1, 5) // t
	g.op("VMOVUPS", "p0", 6)
	for _, c := range []string{"p1", "p2", "p3", "p4", "p5", "p6", "p7", "p8", "p9"} {
		g.op("VMULPS", 5, 6, 6)
		g.op("VADDPS", c, 6, 6)
	}
	g.op("VMULPS", 5, 6, 6)
	g.op("VMULPS", 10, 6, 6)
	g.op("VSUBPS", 6, 1, 7)
	g.blend(8, 6, 7, 6)
}
