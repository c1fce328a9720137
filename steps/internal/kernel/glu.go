package kernel

// siluEnd is beyond where e^-x or e^x is 0.
const siluEnd float32 = 120

// SwiGLU sets act = SiLU(gate)·up; all are [elements].
func SwiGLU(act, gate, up []float32) {
	gate, up = gate[:len(act)], up[:len(act)]
	for i := swiGLUFast(act, gate, up); i < len(act); i++ {
		act[i] = SiLU(gate[i]) * up[i]
	}
}

// SwiGLUBackward sets dgate and dup to the gradients of SwiGLU for dact. With s the sigmoid of g = gate and c = 1−s,
//
//	dup = dact·(g·s),  dgate = (dact·up)·(s·(1 + g·c))
//
// g counting as -120 below that, and in the slope as 120 above: s or c is 0 there.
func SwiGLUBackward(dgate, dup, gate, up, dact []float32) {
	dup, gate, up, dact = dup[:len(dgate)], gate[:len(dgate)], up[:len(dgate)], dact[:len(dgate)]
	for i := swiGLUBackwardFast(dgate, dup, gate, up, dact); i < len(dgate); i++ {
		u, d := up[i], dact[i]
		value, slope := siluSlope(gate[i])
		dup[i] = d * value
		dgate[i] = float32(d*u) * slope
	}
}

// siluSlope returns SiLU and its derivative at x, which is right to 2^-22.
func siluSlope(x float32) (value, slope float32) {
	s, c := sigmoids(x)
	low := max(x, -siluEnd)
	return float32(low * s), float32(s * (1 + float32(min(low, siluEnd)*c)))
}

// GeGLU sets act = GELU(gate)·up; all are [elements].
func GeGLU(act, gate, up []float32) {
	gate, up = gate[:len(act)], up[:len(act)]
	for i := geGLUFast(act, gate, up); i < len(act); i++ {
		act[i] = gelu(gate[i]) * up[i]
	}
}

// GeGLUBackward sets dgate and dup to the gradients of GeGLU for dact.
func GeGLUBackward(dgate, dup, gate, up, dact []float32) {
	dup, gate, up, dact = dup[:len(dgate)], gate[:len(dgate)], up[:len(dgate)], dact[:len(dgate)]
	for i := geGLUBackwardFast(dgate, dup, gate, up, dact); i < len(dgate); i++ {
		u, d := up[i], dact[i]
		value, slope := geluSlope(gate[i])
		dup[i] = d * value
		dgate[i] = float32(d*u) * slope
	}
}
