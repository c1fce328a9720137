package main

import (
	"fmt"
	"math"
	"slices"
	"strings"
)

// r names a register of float32s.
func (g *gen) r(i int) string { return fmt.Sprintf("%s%d", g.fr, i) }

// op writes an instruction. Its operands, in Go's order, the last being written, are registers by number, constants by
// name, or operands as they stand.
func (g *gen) op(name string, operands ...any) {
	if g.arm {
		g.armTranslate(name, operands...)
		return
	}
	var s []string
	for _, o := range operands {
		switch o := o.(type) {
		case int:
			s = append(s, g.r(o))
		case string:
			if _, ok := constants[o]; ok {
				o = g.constant(o)
			}
			s = append(s, o)
		}
	}
	// The bitwise instructions of AVX-512 are named by element.
	if strings.HasPrefix(s[len(s)-1], "Z") {
		switch name {
		case "VANDPS", "VORPS":
			name = strings.Replace(strings.Replace(name, "VAND", "VPAND", 1), "VOR", "VPOR", 1)
			name = strings.Replace(name, "PS", "D", 1)
		}
	}
	g.p("\t%s %s", name, strings.Join(s, ", "))
}

// at is the operand of elements from the index on, of size bytes each, plus an offset in bytes.
func (g *gen) at(name string, size, offset int) string {
	if g.arm {
		return "(" + g.ptr[name] + ")"
	}
	at := fmt.Sprintf("(%s)(BX*%d)", g.ptr[name], size)
	if offset != 0 {
		return fmt.Sprintf("%d%s", offset, at)
	}
	return at
}

// load reads elements of a slice of float32s to a register; those that the mask leaves out are 0.
func (g *gen) load(name string, reg int) {
	if g.arm {
		g.p("\tVLD1 %s, [V%d.%s]", g.armAt(name), reg, g.armShape())
		return
	}
	if g.masked {
		g.op("VMASKMOVPS", g.at(name, 4, 0), maskReg, reg)
		return
	}
	g.op("VMOVUPS", g.at(name, 4, 0), reg)
}

// store writes a register to elements of a slice of float32s.
func (g *gen) store(reg int, name string) {
	if g.arm {
		g.p("\tVST1 [V%d.%s], %s", reg, g.armShape(), g.armAt(name))
		return
	}
	if g.masked {
		g.op("VMASKMOVPS", reg, maskReg, g.at(name, 4, 0))
		return
	}
	g.op("VMOVUPS", reg, g.at(name, 4, 0))
}

// blend sets dst to neg where sel has its sign set, to pos elsewhere.
func (g *gen) blend(sel, neg, pos, dst int) {
	if g.arm {
		g.op("VPSRAD", "$31", sel, armSelect)
		g.armOp("BSL", pos, neg, armSelect)
		g.op("VMOVAPS", armSelect, dst)
		return
	}
	if g.fr == "Z" {
		g.op("VPTESTMD", "sign", sel, "K1")
		g.p("\tVBLENDMPS Z%d, Z%d, K1, Z%d", neg, pos, dst)
		return
	}
	g.op("VBLENDVPS", sel, neg, pos, dst)
}

// keep clears the elements of a register that the mask leaves out.
func (g *gen) keep(reg int) {
	if g.masked {
		g.op("VANDPS", maskReg, reg, reg)
	}
}

// constants are 32 bits each, repeated over the widest register, but for the last two.
var constants = map[string]uint32{
	"low": f(-120), "high": f(89), "top": f(120), "log2e": f(0x1.715476p0),
	"ln2hi": f(0x1.62e4p-1), "ln2lo": f(0x1.7f7d1cp-20),
	"c7": f(1.0 / 5040), "c6": f(1.0 / 720), "c5": f(1.0 / 120), "c4": f(1.0 / 24), "c3": f(1.0 / 6),
	"half": f(0.5), "one": f(1), "two": f(2), "ten": f(10),
	"sign": 1 << 31, "bias": 127, "magnitude": 1<<31 - 1,
	"infinite": 0x7f800000, "lowest": 0xff800000,
	"f16sign": 0x8000, "f16rest": 0x7fff, "f16top": 0x7c00<<13 - 1, "f16scale": f(0x1p112),
	"geluLinear": f(1.5957691216057308), "geluCubic": f(0.07135481627260025), "geluSquare": f(0.21406444881780076),
	"geluLow": f(-13), "geluHigh": f(13),
	"phiLow": f(-15), "phiHigh": f(15), "phiDensity": f(0.3989422804014327), "minusHalf": f(-0.5), "quarter": f(0.25),
	"p0": f(0x1.0750a6p-6), "p1": f(-0x1.ed5ec4p-5), "p2": f(0x1.79d084p-5), "p3": f(0x1.1f55eep-5), "p4": f(0x1.01c28p-7),
	"p5": f(0x1.6bf7cap-4), "p6": f(0x1.246858p-4), "p7": f(0x1.87a000p-4), "p8": f(0x1.977e2ep-4), "p9": f(0x1.989160p-4),
	"mask": 0, "bits": 0,
}

func f(x float64) uint32 { return math.Float32bits(float32(x)) }

// constant is the operand of a constant.
func (g *gen) constant(name string) string {
	if !slices.Contains(g.constants, name) {
		g.constants = append(g.constants, name)
	}
	return name + "<>(SB)"
}

// data defines the constants that were used. The mask is eight words of ones, then eight of zeros; word i of bits has bit i.
func (g *gen) data() string {
	var b strings.Builder
	for _, name := range g.constants {
		v := uint64(constants[name])<<32 | uint64(constants[name])
		for o := 0; o < 64; o += 8 {
			switch {
			case name == "mask" && o < 32:
				v = math.MaxUint64
			case name == "mask":
				v = 0
			case name == "bits": // one bit in each of eight
				v = 1<<(o/4%8) | 1<<(o/4%8+33)
			}
			fmt.Fprintf(&b, "DATA %s<>+%d(SB)/8, $%#016x\n", name, o, v)
		}
		fmt.Fprintf(&b, "GLOBL %s<>(SB), RODATA|NOPTR, $64\n", name)
	}
	return b.String()
}
