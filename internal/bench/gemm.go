package main

import (
	_ "embed"
	"errors"
	"fmt"
	"os/exec"
	"runtime"
)

//go:embed peer/openblas.c
var openblasSource string

// gemmModels are the linear layers of a model as outputs × inputs: of q and o,
// k and v, gate and up, down. The head follows.
var gemmModels = [][5][2]int{
	{{576, 576}, {192, 576}, {1536, 576}, {576, 1536}, {49152, 576}},        // SmolLM2-135M
	{{896, 896}, {128, 896}, {4864, 896}, {896, 4864}, {151936, 896}},       // Qwen2.5-0.5B
	{{2048, 2048}, {512, 2048}, {8192, 2048}, {2048, 8192}, {128256, 2048}}, // Llama-3.2-1B
}

const (
	gemmRounds = 5   // the group has many lines
	mostWork   = 5e9 // multiplications of a product of 4096 rows, so that the group ends in two minutes
	headRows   = 64
)

// A gemmCase is one shape and the ways to multiply it: see gemmbench.
type gemmCase struct {
	m, n, k int
	ways    []string
}

// gemmCases are the products of training the models: 512 and 4096 rows of
// their linear layers, a few rows of the head, and what a LoRA of rank 16 or 8
// adds.
func gemmCases() []gemmCase {
	var cases []gemmCase
	for _, model := range gemmModels {
		for _, m := range []int{512, 4096} {
			for _, s := range model[:4] {
				c := gemmCase{m, s[0], s[1], []string{"packed", "use"}}
				if m == 512 {
					c.ways = append(c.ways, "bf16")
				} else if m*s[0]*s[1] > mostWork {
					continue
				}
				cases = append(cases, c)
			}
		}
		cases = append(cases, gemmCase{headRows, model[4][0], model[4][1], []string{"packed", "use"}})
	}
	for _, s := range [][2]int{{576, 16}, {1536, 8}, {2048, 16}} { // inputs or outputs, rank
		cases = append(cases,
			gemmCase{4096, s[1], s[0], []string{"use"}},
			gemmCase{s[1], s[0], 4096, []string{"tn"}},
			gemmCase{s[0], s[1], 4096, []string{"tn"}},
		)
	}
	return cases
}

// gemms measures float32 products beside OpenBLAS (Debian: libopenblas-dev).
func gemms(l *lab) []Result {
	ours, err := l.gemmProgram()
	if err != nil {
		return []Result{missing("gemm/f32", "GFLOP/s", "higher", "openblas", err)}
	}
	defer ours.close()
	theirs, peerErr := l.openblas()
	if peerErr == nil {
		defer theirs.close()
	}
	results := []Result{l.gemmPeak(ours, 1), l.gemmPeak(ours, runtime.NumCPU())}
	for _, c := range gemmCases() {
		results = append(results, l.gemm(ours, theirs, peerErr, c)...)
	}
	return results
}

// gemmPeak is the rate of a loop of nothing but fused multiply-adds.
func (l *lab) gemmPeak(ours *server, threads int) Result {
	r := Result{Name: "gemm/peak/f32" + onThreads(threads), Unit: "GFLOP/s", Better: "higher"}
	t, err := l.alone(func() (float64, error) { return ours.ask(fmt.Sprintf("peak %d 0 0 0", threads)) })
	if err != nil {
		r.Note = err.Error()
		return r
	}
	r.Value = 1 / t
	return r
}

func onThreads(n int) string {
	if n == 1 {
		return ""
	}
	return fmt.Sprintf("/%d-threads", n)
}

// A gemmLine is one way on some threads, with the seconds of each round.
type gemmLine struct {
	way     string // "peer" for OpenBLAS
	threads int
	seconds []float64
}

// gemm measures one shape in all its ways, on one thread and on all, in turns
// with OpenBLAS.
func (l *lab) gemm(ours, theirs *server, peerErr error, c gemmCase) []Result {
	ways := append([]string{"peer"}, c.ways...)
	var lines []*gemmLine
	for _, n := range []int{1, runtime.NumCPU()} {
		for _, way := range ways {
			lines = append(lines, &gemmLine{way: way, threads: n})
		}
	}
	for i := range min(l.rounds, gemmRounds) + 1 {
		for _, at := range lines {
			program, way := ours, at.way
			if way == "peer" {
				program, way = theirs, c.ways[0]
			}
			if program == nil {
				continue
			}
			t, err := program.ask(fmt.Sprintf("%s %d %d %d %d", way, at.threads, c.m, c.n, c.k))
			if err != nil {
				return []Result{missing(c.name(at.way, at.threads), "GFLOP/s", "higher", "openblas", err)}
			}
			if i > 0 {
				at.seconds = append(at.seconds, t)
			}
		}
	}
	var results []Result
	for i, at := range lines {
		if at.way != "peer" {
			results = append(results, c.result(at, lines[i/len(ways)*len(ways)], peerErr))
		}
	}
	return append(results, c.scaling(lines[1], lines[len(ways)+1]))
}

// result is a line of the table. Without a peer it says the figure in a note.
func (c gemmCase) result(at, peer *gemmLine, peerErr error) Result {
	r := Result{
		Name: c.name(at.way, at.threads), Unit: "GFLOP/s", Better: "higher",
		Reference: "openblas", Budget: 0.85, BudgetOn: "ratio",
	}
	if at.way == "packed" {
		r.Budget = 0.95
	}
	work := 2 * float64(c.m) * float64(c.n) * float64(c.k) / 1e9
	r.Value = work / median(at.seconds)
	if peerErr != nil {
		r.Note = fmt.Sprintf("%.4g GFLOP/s; %v", r.Value, peerErr)
		return r
	}
	r.ReferenceValue, r.Ratio = work/median(peer.seconds), median(ratios(peer.seconds, at.seconds))
	return r
}

// scaling is how many times faster all threads are than one.
func (c gemmCase) scaling(one, all *gemmLine) Result {
	return Result{
		Name: c.name(one.way, 1) + "/scaling", Value: median(ratios(one.seconds, all.seconds)),
		Unit: fmt.Sprintf("× on %d threads", all.threads), Better: "higher",
		Budget: 0.925 * float64(all.threads), BudgetOn: "value",
	}
}

// name is the public name of a line.
func (c gemmCase) name(way string, threads int) string {
	kind := "f32"
	if way == "tn" {
		kind = "f32-tn"
	}
	name := fmt.Sprintf("gemm/%s/%dx%dx%d", kind, c.m, c.n, c.k)
	switch way {
	case "use":
		name += "/packed-at-use"
	case "bf16":
		name += "/bf16-at-use"
	}
	return name + onThreads(threads)
}

// ratios divides round by round.
func ratios(a, b []float64) []float64 {
	v := make([]float64, len(a))
	for i := range a {
		v[i] = a[i] / b[i]
	}
	return v
}

func (l *lab) gemmProgram() (*server, error) {
	bin := l.path("gemmbench")
	if err := build(bin, "./steps/internal/tensor/gemmbench"); err != nil {
		return nil, err
	}
	return serve(bin)
}

// openblas compiles the peer.
func (l *lab) openblas() (*server, error) {
	if err := absent("gcc"); err != nil {
		return nil, err
	}
	if err := l.write("openblas.c", openblasSource); err != nil {
		return nil, err
	}
	bin := l.path("openblas")
	out, err := exec.Command("gcc", "-O2", "-o", bin, l.path("openblas.c"), "-lopenblas").CombinedOutput()
	if err != nil {
		return nil, errors.New("OpenBLAS cannot be linked (Debian: apt-get install libopenblas-dev): " + firstLine(out))
	}
	return serve(bin)
}

func firstLine(b []byte) string {
	for i, c := range b {
		if c == '\n' {
			return string(b[:i])
		}
	}
	return string(b)
}
