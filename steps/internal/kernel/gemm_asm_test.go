package kernel

import (
	"fmt"
	"math/rand/v2"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// An asm is a function of gemm_amd64.s, to be run step by step in plain Go: so the kernels of processors that are not
// at hand are tested too, as far as their instructions mean what is written here.
type asm struct {
	lines  []string
	labels map[string]int

	regs  map[string]int // general registers; addresses are 4 times an index of memory
	vecs  map[string][]float32
	mem   []float32
	args  map[string]int
	state int // the last result, for jumps
}

var (
	argument = regexp.MustCompile(`^(\w+)\+\d+\(FP\)$`)
	address  = regexp.MustCompile(`^(-?\d*)\((\w+)\)(?:\((\w+)\*(\d)\))?$`)
)

// functions reads an assembly file.
func functions(t *testing.T, file string) map[string]*asm {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	fs := map[string]*asm{}
	var f *asm
	for line := range strings.Lines(string(b)) {
		line = strings.TrimSpace(line)
		if name, ok := strings.CutPrefix(line, "TEXT ·"); ok {
			f = &asm{labels: map[string]int{}}
			fs[name[:strings.Index(name, "(")]] = f
		} else if label, ok := strings.CutSuffix(line, ":"); ok && f != nil {
			f.labels[label] = len(f.lines)
		} else if f != nil && line != "" && !strings.HasPrefix(line, "//") && !strings.HasPrefix(line, "PCALIGN") {
			f.lines = append(f.lines, line)
		}
	}
	return fs
}

// run executes until RET. Access beyond the memory panics.
func (f *asm) run() {
	f.regs, f.vecs = map[string]int{}, map[string][]float32{}
	for at := 0; ; at++ {
		op, rest, _ := strings.Cut(f.lines[at], " ")
		args := strings.Split(rest, ", ")
		if op == "RET" {
			return
		}
		if strings.HasPrefix(op, "J") {
			if f.jumps(op) {
				at = f.labels[args[0]] - 1
			}
			continue
		}
		f.step(op, args)
	}
}

func (f *asm) jumps(op string) bool {
	switch op {
	case "JMP":
		return true
	case "JNE", "JNZ":
		return f.state != 0
	case "JZ":
		return f.state == 0
	case "JLT":
		return f.state < 0
	case "JGE":
		return f.state >= 0
	}
	panic("unknown jump " + op)
}

func (f *asm) step(op string, args []string) {
	last := args[len(args)-1]
	switch op {
	case "MOVQ":
		f.regs[last] = f.value(args[0])
	case "LEAQ":
		f.regs[last] = f.address(args[0])
	case "SHLQ":
		f.set(last, f.regs[last]<<f.value(args[0]))
	case "ADDQ":
		f.set(last, f.regs[last]+f.value(args[0]))
	case "SUBQ":
		f.set(last, f.regs[last]-f.value(args[0]))
	case "DECQ":
		f.set(last, f.regs[last]-1)
	case "CMPQ":
		f.state = f.value(args[0]) - f.value(args[1])
	case "VXORPS", "VPXORD":
		if args[0] != args[1] || args[0] != last {
			panic("only clearing is known")
		}
		f.vecs[last] = make([]float32, width(last))
	case "VMOVUPS":
		if strings.Contains(last, "(") {
			copy(f.at(last, len(f.vecs[args[0]])), f.vecs[args[0]])
		} else {
			f.vecs[last] = append([]float32(nil), f.at(args[0], width(last))...)
		}
	case "VBROADCASTSS":
		v := make([]float32, width(last))
		for i := range v {
			v[i] = f.at(args[0], 1)[0]
		}
		f.vecs[last] = v
	case "VFMADD231PS":
		for i, v := range f.vecs[last] {
			f.vecs[last][i] = FMA(f.vecs[args[1]][i], f.vecs[args[0]][i], v)
		}
	case "PREFETCHT0", "VZEROUPPER":
	default:
		panic("unknown instruction " + op)
	}
}

func width(reg string) int {
	if reg[0] == 'Z' {
		return 16
	}
	return 8
}

func (f *asm) set(reg string, v int) { f.regs[reg], f.state = v, v }

// value is that of a register, a constant or an argument.
func (f *asm) value(s string) int {
	if c, ok := strings.CutPrefix(s, "$"); ok {
		v, err := strconv.Atoi(c)
		if err != nil {
			panic(err)
		}
		return v
	}
	if m := argument.FindStringSubmatch(s); m != nil {
		v, ok := f.args[m[1]]
		if !ok {
			panic("unknown argument " + s)
		}
		return v
	}
	v, ok := f.regs[s]
	if !ok {
		panic("register without a value " + s)
	}
	return v
}

func (f *asm) address(s string) int {
	m := address.FindStringSubmatch(s)
	if m == nil {
		panic("unknown address " + s)
	}
	a := f.value(m[2])
	if m[1] != "" {
		a += f.value("$" + m[1])
	}
	if m[3] != "" {
		a += f.value(m[3]) * f.value("$"+m[4])
	}
	return a
}

// at is n elements of memory.
func (f *asm) at(s string, n int) []float32 {
	a := f.address(s)
	if a%4 != 0 {
		panic("address is not that of a number")
	}
	return f.mem[a/4:][:n:n]
}

func TestWrittenTilesEqualDefinition(t *testing.T) {
	r := rand.New(rand.NewPCG(51, 52))
	shape := regexp.MustCompile(`^gemm(\d+)x(\d+)[yz]$`)
	count := 0
	for name, f := range functions(t, "gemm_amd64.s") {
		m := shape.FindStringSubmatch(name)
		if m == nil {
			continue
		}
		count++
		rows, _ := strconv.Atoi(m[1])
		columns, _ := strconv.Atoi(m[2])
		for _, k := range []int{1, 4, 7, 8} {
			for load := range 2 {
				checkWritten(t, r, fmt.Sprintf("%s k=%d load=%d", name, k, load), f, rows, columns, k, load)
			}
		}
	}
	if count < 20 {
		t.Errorf("only %d tiles found", count)
	}
}

// checkWritten runs a function on A, B and C that lie one after the other with gaps.
func checkWritten(t *testing.T, r *rand.Rand, what string, f *asm, rows, columns, k, load int) {
	t.Helper()
	row, depth, line, ldc := 1+r.IntN(20), 1+r.IntN(20), columns+r.IntN(5), columns+r.IntN(5)
	a := 7
	b := a + (rows-1)*row + (k-1)*depth + 5
	c := b + (k-1)*line + columns + 3
	f.mem = random(r, c+(rows-1)*ldc+columns+9)
	f.args = map[string]int{
		"k": k, "a": 4 * a, "row": row, "depth": depth, "b": 4 * b, "line": line, "ahead": 64, "c": 4 * c, "ldc": ldc, "load": load,
	}
	want := append([]float32(nil), f.mem...)
	for i := range rows {
		for j := range columns {
			s := float32(load) * f.mem[c+i*ldc+j]
			for p := range k {
				s = FMA(f.mem[a+i*row+p*depth], f.mem[b+p*line+j], s)
			}
			want[c+i*ldc+j] = s
		}
	}
	f.run()
	compare(t, what, f.mem, want)
}

func random(r *rand.Rand, n int) []float32 {
	x := make([]float32, n)
	for i := range x {
		x[i] = float32(r.NormFloat64())
	}
	return x
}
