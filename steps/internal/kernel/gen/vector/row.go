package main

// rows are the kernels without transcendental functions.
func rows() topic {
	return topic{name: "row", kernels: []kernel{
		{name: "add", params: params(slice("dst"), slice("x")), body: func(g *gen) {
			g.load("dst", 0)
			g.load("x", 1)
			g.op("VADDPS", 1, 0, 0)
			g.store(0, "dst")
		}},
		{name: "addScaled", params: params(slice("dst"), slice("x"), scalar("s", 14)), body: func(g *gen) {
			g.load("dst", 0)
			g.load("x", 1)
			g.op("VMULPS", 14, 1, 1)
			g.op("VADDPS", 1, 0, 0)
			g.store(0, "dst")
		}},
		{name: "scale", params: params(slice("dst"), scalar("s", 14)), body: func(g *gen) {
			g.load("dst", 0)
			g.op("VMULPS", 14, 0, 0)
			g.store(0, "dst")
		}},
		{name: "mul", params: params(slice("dst"), slice("x")), body: func(g *gen) {
			g.load("dst", 0)
			g.load("x", 1)
			g.op("VMULPS", 1, 0, 0)
			g.store(0, "dst")
		}},
		{name: "addMul", params: params(slice("dst"), slice("x"), slice("y")), body: func(g *gen) {
			g.load("dst", 0)
			g.load("x", 1)
			g.load("y", 2)
			g.op("VMULPS", 2, 1, 1)
			g.op("VADDPS", 1, 0, 0)
			g.store(0, "dst")
		}},
		{name: "normRow", params: params(slice("y"), slice("x"), slice("w"), scalar("inv", 14)), body: func(g *gen) {
			g.load("x", 0)
			g.load("w", 1)
			g.op("VMULPS", 14, 0, 0)
			g.op("VMULPS", 1, 0, 0)
			g.store(0, "y")
		}},
		{
			name:   "normRowBackward",
			params: params(slice("dx"), slice("dy"), slice("x"), slice("w"), scalar("inv", 14), scalar("coef", 13)),
			body: func(g *gen) {
				g.load("w", 0)
				g.load("dy", 1)
				g.load("x", 2)
				g.load("dx", 3)
				g.op("VMULPS", 1, 0, 0)
				g.op("VMULPS", 14, 0, 0)
				g.op("VMULPS", 13, 2, 2)
				g.op("VSUBPS", 2, 0, 0)
				g.op("VADDPS", 0, 3, 3)
				g.store(3, "dx")
			},
		},
		{
			name:   "layerNormRow",
			params: params(slice("y"), slice("x"), slice("w"), slice("b"), scalar("mean", 14), scalar("inv", 13)),
			body: func(g *gen) {
				g.load("x", 0)
				g.load("w", 1)
				g.load("b", 2)
				g.op("VSUBPS", 14, 0, 0)
				g.op("VMULPS", 13, 0, 0)
				g.op("VMULPS", 1, 0, 0)
				g.op("VADDPS", 2, 0, 0)
				g.store(0, "y")
			},
		},
		{
			name: "layerNormRowBackward",
			params: params(slice("dx"), slice("dy"), slice("x"), slice("w"),
				scalar("mean", 14), scalar("inv", 13), scalar("c", 12), scalar("d", 11)),
			body: func(g *gen) {
				g.load("x", 0)
				g.load("dy", 1)
				g.load("w", 2)
				g.load("dx", 3)
				g.op("VSUBPS", 14, 0, 0)
				g.op("VMULPS", 13, 0, 0) // n
				g.op("VMULPS", 1, 2, 2)
				g.op("VSUBPS", 12, 2, 2)
				g.op("VMULPS", 11, 0, 0)
				g.op("VSUBPS", 0, 2, 2)
				g.op("VMULPS", 13, 2, 2)
				g.op("VADDPS", 2, 3, 3)
				g.store(3, "dx")
			},
		},
		{
			name:   "rotate",
			params: params(slice("lo"), slice("hi"), slice("cos"), slice("sin"), scalar("sign", 14)),
			body: func(g *gen) {
				g.load("lo", 0)
				g.load("hi", 1)
				g.load("cos", 2)
				g.load("sin", 3)
				g.op("VMULPS", 14, 3, 3)
				g.op("VMULPS", 2, 0, 4)
				g.op("VMULPS", 3, 1, 5)
				g.op("VSUBPS", 5, 4, 4)
				g.op("VMULPS", 2, 1, 6)
				g.op("VMULPS", 3, 0, 7)
				g.op("VADDPS", 7, 6, 6)
				g.store(4, "lo")
				g.store(6, "hi")
			},
		},
		{name: "softmaxBackward", params: params(slice("ds"), slice("p"), scalar("d", 14)), body: func(g *gen) {
			g.load("ds", 0)
			g.load("p", 1)
			g.op("VSUBPS", 14, 0, 0)
			g.op("VMULPS", 1, 0, 0)
			g.store(0, "ds")
		}},
		{name: "softCapBackward", params: params(slice("dx"), slice("y"), scalar("inv", 14)), body: func(g *gen) {
			g.load("y", 0)
			g.load("dx", 1)
			g.op("VMULPS", 14, 0, 0)
			g.op("VMULPS", 0, 0, 0)
			g.op("VMOVUPS", "one", 2)
			g.op("VSUBPS", 0, 2, 2)
			g.op("VMULPS", 2, 1, 1)
			g.store(1, "dx")
		}},
	}}
}
