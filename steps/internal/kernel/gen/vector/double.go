package main

import "fmt"

// Float64s: register d, and in the form sums without AVX-512 also d+1, which holds the last four of eight.

// pair says whether a step's float64s take two registers.
func (g *gen) pair() bool { return g.form == sums && !g.z }

// lane is the register of a sum: the second half of eight elements has its own, on arm64.
func (g *gen) lane(d int) int {
	if g.arm && g.half == 1 {
		return d + armFirst
	}
	return d
}

// widen converts the float32s of register f to float64s in d (and d+1), which f is not.
func (g *gen) widen(f, d int) {
	if g.arm {
		g.armOp("FCVTL", f, d)
		if g.pair() {
			g.armOp("FCVTL2", f, d+1)
		}
		return
	}
	if g.pair() {
		g.p("\tVEXTRACTF128 $1, Y%d, X%d\n\tVCVTPS2PD X%d, Y%d\n\tVCVTPS2PD X%d, Y%d", f, d+1, d+1, d+1, f, d)
		return
	}
	g.p("\tVCVTPS2PD %s%d, %s%d", g.fr, f, g.dr, d)
}

// widenFrom reads float32s of a slice as float64s to d (and d+1); those that the mask leaves out are 0. It may use the
// register f.
func (g *gen) widenFrom(name string, f, d int) {
	switch {
	case g.masked || g.arm:
		g.load(name, f)
		g.widen(f, d)
	case g.pair():
		g.p("\tVCVTPS2PD %s, Y%d\n\tVCVTPS2PD %s, Y%d", g.at(name, 4, 0), d, g.at(name, 4, 16), d+1)
	default:
		g.p("\tVCVTPS2PD %s, %s%d", g.at(name, 4, 0), g.dr, d)
	}
}

// narrow rounds the float64s of d, in the form doubles, to float32s in f.
func (g *gen) narrow(d, f int) {
	if g.arm {
		g.armOp("FCVTN", d, f)
		return
	}
	name := "VCVTPD2PSY"
	if g.z {
		name = "VCVTPD2PS"
	}
	g.p("\t%s %s%d, %s%d", name, g.dr, d, g.fr, f)
}

// dop writes an instruction on float64s; operands are registers by number or as they stand.
func (g *gen) dop(name string, operands ...any) {
	n := 1
	if g.pair() {
		n = 2
	}
	for i := range n {
		if g.arm {
			var regs []int
			for _, o := range operands {
				regs = append(regs, o.(int)+i)
			}
			g.armOp(name, regs...)
			continue
		}
		text := ""
		for j, o := range operands {
			if j > 0 {
				text += ", "
			}
			if d, ok := o.(int); ok {
				o = fmt.Sprintf("%s%d", g.dr, d+i)
			}
			text += fmt.Sprint(o)
		}
		g.p("\t%s %s", name, text)
	}
}

// zero clears the lanes of a sum.
func (g *gen) zero(d int) {
	if g.arm {
		for _, r := range []int{d, d + 1, d + armFirst, d + 1 + armFirst} {
			g.armOp("EOR", r, r, r)
		}
		return
	}
	g.p("\tVXORPS X%d, X%d, X%d", d, d, d)
	if !g.z {
		g.p("\tVXORPS X%d, X%d, X%d", d+1, d+1, d+1)
	}
}

// spill stores the eight lanes of a sum at an offset from a pointer.
func (g *gen) spill(d int, name string, offset int) {
	if g.arm {
		for i, r := range []int{d, d + 1, d + armFirst, d + 1 + armFirst} {
			g.p("\tFMOVQ F%d, %d(%s)", r, offset+16*i, g.ptr[name])
		}
		return
	}
	if g.z {
		g.p("\tVMOVUPD Z%d, %d(%s)", d, offset, g.ptr[name])
		return
	}
	g.p("\tVMOVUPD Y%d, %d(%s)\n\tVMOVUPD Y%d, %d(%s)", d, offset, g.ptr[name], d+1, offset+32, g.ptr[name])
}
