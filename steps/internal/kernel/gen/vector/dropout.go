package main

// dropouts scale the elements that a mask of bits keeps and clear the others.
func dropouts() topic {
	body := func(add bool) func(g *gen) {
		return func(g *gen) {
			g.load("x", 0)
			g.op("VMULPS", 14, 0, 0)
			g.p("\tMOVQ BX, R11\n\tSHRQ $3, R11")
			if g.z {
				g.p("\tKMOVW (%s)(R11*1), K1\n\tVMOVAPS.Z Z0, K1, Z0", g.ptr["mask"])
			} else {
				g.p("\tVPBROADCASTB (%s)(R11*1), Y1", g.ptr["mask"])
				g.op("VPAND", "bits", 1, 1)
				g.op("VPCMPEQD", "bits", 1, 1)
				g.op("VANDPS", 1, 0, 0)
			}
			if add {
				g.load("dst", 1)
				g.op("VADDPS", 1, 0, 0)
			}
			g.store(0, "dst")
		}
	}
	return topic{name: "drop", amd64: true, kernels: []kernel{
		{name: "dropout", params: params(slice("dst"), slice("x"), bitmap("mask"), scalar("scale", 14)), body: body(false)},
		{name: "dropoutAdd", params: params(slice("dst"), slice("x"), bitmap("mask"), scalar("scale", 14)), body: body(true)},
	}}
}
