package main

import (
	"fmt"
	"strings"
)

// The same kernels for arm64, in NEON: a register holds four float32s or two float64s. A step is four elements, two in
// the form doubles, eight where there are lanes, in two halves. What is left after whole steps is the caller's. Go's
// assembler lacks most of these instructions, so they stand as words.

const (
	armScratch  = 31 // a constant that found no register
	armSelect   = 30 // of blends
	armFirst    = 16 // the first register of constants
	armConstant = 14 // how many there are
)

// armStep is how many elements a turn of the loop does.
func (k kernel) armStep() int {
	switch {
	case k.form == sums || k.lanes:
		return 8
	case k.form == doubles:
		return 2
	}
	return 4
}

// armDone is the number of elements done, as Go.
func (k kernel) armDone() string {
	step := k.armStep()
	if k.whole {
		step = 8
	}
	return fmt.Sprintf("len(%s) &^ %d", k.params[k.counted()].name, step-1)
}

// armKernel writes one function.
func (g *gen) armKernel(k kernel) {
	g.form, g.used, g.ptr = k.form, nil, map[string]string{}
	var loads, scalars, moves []string
	offset, next, perStep := 0, 0, k.armStep()
	for i, p := range k.params {
		offset = align(offset, min(p.size(), 8))
		if p.typ == "float32" {
			scalars = append(scalars, fmt.Sprintf("\tFMOVS %s+%d(FP), F%d\n\tVDUP V%d.S[0], V%d.S4", p.name, offset, p.reg, p.reg, p.reg))
			offset += p.size()
			continue
		}
		name, reg := p.name, fmt.Sprintf("R%d", next)
		if p.vector() {
			name += "_base"
		}
		loads = append(loads, fmt.Sprintf("\tMOVD %s+%d(FP), %s", name, offset, reg))
		if p.vector() {
			size := map[string]int{"[]float32": 4, "[]float64": 8, "[]byte": 2}[p.typ]
			moves = append(moves, fmt.Sprintf("\tADD $%d, %s", size*perStep, reg))
		}
		if i == k.counted() {
			loads = append(loads, fmt.Sprintf("\tMOVD %s_len+%d(FP), R8", p.name, offset+8))
		}
		g.ptr[p.name] = reg
		next++
		offset += p.size()
	}
	body := func() {
		g.half = 0
		k.body(g)
		if perStep == 8 {
			g.half = 1
			k.body(g)
		}
	}
	// Once to see what constants there are.
	text := g.b.String()
	k.call(g, k.start)
	body()
	g.b.Reset()
	g.b.WriteString(text)
	used := g.used
	g.used = nil

	g.p("\n// func %sNEON(%s)\nTEXT ·%sNEON(SB), NOSPLIT, $0-%d", k.name, k.signature(), k.name, offset)
	g.p("%s", strings.Join(append(loads, scalars...), "\n"))
	mask := k.armStep()
	if k.whole {
		mask = 8
	}
	g.p("\tAND $-%d, R8", mask)
	if len(used) > 0 {
		g.p("\tMOVD $constants<>(SB), R9")
	}
	for i, c := range used[:min(len(used), armConstant)] {
		g.p("\tFMOVQ %d(R9), F%d", 16*g.index(c), armFirst+i)
	}
	g.used = used
	g.half = 0
	k.call(g, k.start)
	g.p("\tCBZ R8, done\n\tPCALIGN $32\nloop:")
	body()
	g.half = 0
	g.p("%s\n\tSUBS $%d, R8\n\tBNE loop\ndone:", strings.Join(moves, "\n"), perStep)
	k.call(g, k.finish)
	g.p("\tRET")
}

// index is the place of a constant in the file's table.
func (g *gen) index(name string) int {
	for i, c := range g.constants {
		if c == name {
			return i
		}
	}
	g.constants = append(g.constants, name)
	return len(g.constants) - 1
}

// armConstant returns the register of a constant, loading those that have none of their own.
func (g *gen) armOperand(name string) int {
	g.index(name)
	for i, c := range g.used {
		if c == name && i < armConstant {
			return armFirst + i
		} else if c == name {
			g.p("\tFMOVQ %d(R9), F%d", 16*g.index(name), armScratch)
			return armScratch
		}
	}
	g.used = append(g.used, name)
	return armScratch
}

// armData defines the constants.
func (g *gen) armData() string {
	var b strings.Builder
	for i, name := range g.constants {
		v := uint64(constants[name])<<32 | uint64(constants[name])
		for o := 0; o < 16; o += 8 {
			fmt.Fprintf(&b, "DATA constants<>+%d(SB)/8, $%#016x // %s\n", 16*i+o, v, name)
		}
	}
	if len(g.constants) > 0 {
		fmt.Fprintf(&b, "GLOBL constants<>(SB), RODATA|NOPTR, $%d\n", 16*len(g.constants))
	}
	return b.String()
}

// armThree are instructions of two sources and one destination, by their names on amd64.
var armThree = map[string]struct {
	word uint32
	name string
}{
	"VADDPS": {0x4e20d400, "FADD 4S"}, "VSUBPS": {0x4ea0d400, "FSUB 4S"}, "VMULPS": {0x6e20dc00, "FMUL 4S"},
	"VDIVPS": {0x6e20fc00, "FDIV 4S"}, "VMAXPS": {0x4e20f400, "FMAX 4S"}, "VMINPS": {0x4ea0f400, "FMIN 4S"},
	"VANDPS": {0x4e201c00, "AND 16B"}, "VORPS": {0x4ea01c00, "ORR 16B"},
	"VPADDD": {0x4ea08400, "ADD 4S"}, "VPSUBD": {0x6ea08400, "SUB 4S"},
	"VADDPD": {0x4e60d400, "FADD 2D"}, "VSUBPD": {0x4ee0d400, "FSUB 2D"}, "VMULPD": {0x6e60dc00, "FMUL 2D"},
	"VDIVPD": {0x6e60fc00, "FDIV 2D"},
	"FCMGT":  {0x6ea0e400, "FCMGT 4S"}, "BSL": {0x6e601c00, "BSL 16B"}, "EOR": {0x6e201c00, "EOR 16B"},
}

// armTwo are instructions of one source.
var armTwo = map[string]struct {
	word uint32
	name string
}{
	"VCVTPS2DQ": {0x4e21a800, "FCVTNS 4S"}, "VCVTDQ2PS": {0x4e21d800, "SCVTF 4S"}, "VSQRTPD": {0x6ee1f800, "FSQRT 2D"},
	"FCVTL": {0x0e617800, "FCVTL 2D, 2S"}, "FCVTL2": {0x4e617800, "FCVTL2 2D, 4S"}, "FCVTN": {0x0e616800, "FCVTN 2S, 2D"},
	"USHLL": {0x2f10a400, "USHLL 4S, 4H"}, "FMAXV": {0x6e30f800, "FMAXV S, 4S"},
}

// armOp writes an instruction; operands are registers, the destination last, the first source before it.
func (g *gen) armOp(name string, regs ...int) {
	dst := regs[len(regs)-1]
	if op, ok := armTwo[name]; ok {
		g.p("\tWORD $%#08x // %s V%d, V%d", op.word|uint32(regs[0]<<5|dst), op.name, dst, regs[0])
		return
	}
	op, ok := armThree[name]
	if !ok {
		panic("arm64: " + name)
	}
	g.p("\tWORD $%#08x // %s V%d, V%d, V%d", op.word|uint32(regs[0]<<16|regs[1]<<5|dst), op.name, dst, regs[1], regs[0])
}

// armTranslate writes what stands in amd64's terms.
func (g *gen) armTranslate(name string, operands ...any) {
	var regs []int
	shift := -1
	for _, o := range operands {
		switch o := o.(type) {
		case int:
			regs = append(regs, o)
		case string:
			if _, ok := constants[o]; ok {
				regs = append(regs, g.armOperand(o))
			} else if strings.HasPrefix(o, "$") {
				fmt.Sscan(o[1:], &shift)
			} else { // memory
				g.p("\tVLD1 %s, [V%d.H4]", o, armScratch)
				regs = append(regs, armScratch)
			}
		}
	}
	dst := regs[len(regs)-1]
	switch name {
	case "VMOVUPS", "VMOVAPS":
		g.armOp("VORPS", regs[0], regs[0], dst)
	case "VPSRAD":
		g.p("\tWORD $%#08x // SSHR $%d, 4S V%d, V%d", uint32(0x4f000400|(64-shift)<<16|regs[0]<<5|dst), shift, dst, regs[0])
	case "VPSLLD":
		g.p("\tWORD $%#08x // SHL $%d, 4S V%d, V%d", uint32(0x4f005400|(32+shift)<<16|regs[0]<<5|dst), shift, dst, regs[0])
	case "VPMOVZXWD":
		g.armOp("USHLL", regs[0], dst)
	default:
		g.armOp(name, regs...)
	}
}

// shape is how elements of a slice of float32s lie in a register.
func (g *gen) armShape() string {
	if g.form == doubles {
		return "S2"
	}
	return "S4"
}

// armAt is the address of a half's elements; it may need a register.
func (g *gen) armAt(name string) string {
	if g.half == 1 {
		g.p("\tADD $16, %s, R10", g.ptr[name])
		return "(R10)"
	}
	return "(" + g.ptr[name] + ")"
}
