package main

import (
	"fmt"
	"strings"
)

// A form is what registers a step uses.
type form int

const (
	floats  form = iota // eight float32s in Y, sixteen in Z
	sums                // eight float32s in Y, as float64s in two Y or in one Z
	doubles             // four float32s in X and as float64s in Y, or eight in Y and in Z
)

// A kernel is one function. The first slice says how many elements there are; the others are as long.
type kernel struct {
	name   string
	form   form
	params []param
	// lanes says that a kernel of the form floats has sums in eight lanes.
	lanes bool
	// whole leaves the elements after the last eight to the caller.
	whole bool
	// start fills registers before the loop, body does one step, fold makes the state of a Z loop that of a Y loop,
	// finish stores what remains.
	start, body, fold, finish func(g *gen)
}

// A param is a slice or pointer, which gets the next free general register, or a float32, which is broadcast to the
// vector register reg.
type param struct {
	name, typ string
	reg       int
}

func slice(name string) param           { return param{name: name, typ: "[]float32"} }
func slice64(name string) param         { return param{name: name, typ: "[]float64"} }
func raw(name string) param             { return param{name: name, typ: "[]byte"} }
func bitmap(name string) param          { return param{name: name, typ: "[]uint64"} }
func pointer(name, typ string) param    { return param{name: name, typ: "*" + typ} }
func scalar(name string, reg int) param { return param{name: name, typ: "float32", reg: reg} }
func (p param) size() int               { return map[byte]int{'[': 24, '*': 8, 'f': 4}[p.typ[0]] }
func (p param) vector() bool            { return p.typ[0] == '[' }
func params(p ...param) []param         { return p }
func align(n, to int) int               { return (n + to - 1) / to * to }
func (k kernel) list(f func(param) string) string {
	var s []string
	for _, p := range k.params {
		s = append(s, f(p))
	}
	return strings.Join(s, ", ")
}

func (k kernel) signature() string {
	return k.list(func(p param) string { return p.name + " " + p.typ })
}
func (k kernel) names() string { return k.list(func(p param) string { return p.name }) }
func (k kernel) blank() string { return k.list(func(p param) string { return p.typ }) }

// counted is the index of the first slice.
func (k kernel) counted() int {
	for i, p := range k.params {
		if p.vector() {
			return i
		}
	}
	panic(k.name + ": no slice")
}

// General registers: those of the parameters, then CX the number of elements, BX the index of the next, AX where a loop
// ends.
var general = []string{"DI", "SI", "DX", "R8", "R9", "R10"}

// maskReg holds the mask of the last elements.
const maskReg = 15

// gen writes one file. The fields say what a step is at this point of a kernel.
type gen struct {
	b         strings.Builder
	constants []string
	ptr       map[string]string // general registers of slices and pointers
	form      form
	z         bool   // with AVX-512
	masked    bool   // under the mask
	fr, dr    string // X, Y or Z: registers of float32s, of float64s

	arm  bool     // for arm64
	half int      // of eight elements, on arm64
	used []string // the kernel's constants, on arm64
}

func (g *gen) p(format string, args ...any) { fmt.Fprintf(&g.b, format+"\n", args...) }

// kernel writes one function.
func (g *gen) kernel(k kernel) {
	offset, next := 0, 0
	g.ptr, g.form, g.masked = map[string]string{}, k.form, false
	var loads, scalars []string
	for i, p := range k.params {
		offset = align(offset, min(p.size(), 8))
		if p.typ == "float32" {
			scalars = append(scalars, fmt.Sprintf("\tVBROADCASTSS %s+%d(FP), WIDEST%d", p.name, offset, p.reg))
			offset += p.size()
			continue
		}
		name := p.name
		if p.vector() {
			name += "_base"
		}
		loads = append(loads, fmt.Sprintf("\tMOVQ %s+%d(FP), %s", name, offset, general[next]))
		g.ptr[p.name] = general[next]
		next++
		if i == k.counted() {
			loads = append(loads, fmt.Sprintf("\tMOVQ %s_len+%d(FP), CX", p.name, offset+8))
		}
		offset += p.size()
	}
	enter := func(z bool) {
		g.set(z)
		for _, s := range scalars {
			g.p(strings.Replace(s, "WIDEST", map[bool]string{true: "Z", false: "Y"}[z], 1))
		}
		k.call(g, k.start)
	}
	g.p("\n// func %sAVX(%s)\nTEXT ·%sAVX(SB), NOSPLIT, $0-%d", k.name, k.signature(), k.name, offset)
	g.p("%s\n\tXORL BX, BX\n\tCMPB ·hasAVX512(SB), $0\n\tJEQ  narrow", strings.Join(loads, "\n"))
	enter(true)
	switch k.form {
	case floats:
		g.loop(k, "wide", 16)
		k.call(g, k.fold)
		g.p("\tJMP  eights\nnarrow:")
		enter(false)
		g.p("eights:")
	case sums, doubles:
		g.loop(k, "wide", 8)
		g.tail(k, "wide")
		g.p("narrow:")
		enter(false)
	}
	step := 8
	if k.form == doubles {
		step = 4
	}
	g.loop(k, "narrow", step)
	g.tail(k, "narrow")
}

// set chooses the registers.
func (g *gen) set(z bool) {
	g.z = z
	switch {
	case g.form == floats && z:
		g.fr, g.dr = "Z", ""
	case g.form == floats:
		g.fr, g.dr = "Y", ""
	case g.form == doubles && !z:
		g.fr, g.dr = "X", "Y"
	case z:
		g.fr, g.dr = "Y", "Z"
	default:
		g.fr, g.dr = "Y", "Y"
	}
}

func (k kernel) call(g *gen, f func(*gen)) {
	if f != nil {
		f(g)
	}
}

// loop writes a loop over whole steps of n elements.
func (g *gen) loop(k kernel, label string, n int) {
	mask := n
	if k.whole {
		mask = max(n, 8)
	}
	g.p("\tMOVQ CX, AX\n\tANDQ $-%d, AX\n\tCMPQ BX, AX\n\tJGE  %sEnd\n\tPCALIGN $32\n%sLoop:", mask, label, label)
	k.body(g)
	g.p("\tADDQ $%d, BX\n\tCMPQ BX, AX\n\tJLT  %sLoop\n%sEnd:", n, label, label)
}

// tail writes the step under the mask of the last elements, and the end.
func (g *gen) tail(k kernel, label string) {
	if !k.whole {
		g.p("\tSUBQ BX, CX\n\tJEQ  %sDone\n\tNEGQ CX\n\tLEAQ %s, AX", label, g.constant("mask"))
		g.p("\tVMOVUPS 32(AX)(CX*4), Y%d", maskReg)
		if g.z && g.form == floats {
			panic("a mask is of eight")
		}
		g.masked = true
		k.body(g)
		g.masked = false
		g.p("%sDone:", label)
	}
	k.call(g, k.finish)
	g.p("\tVZEROUPPER\n\tRET")
}
