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

// gemmShapes are rows × outputs × inputs: those of the roofline notes and of
// SmolLM2-135M's linear layers.
var gemmShapes = [][3]int{{512, 2048, 2048}, {512, 576, 576}, {512, 1536, 576}, {512, 576, 1536}, {512, 192, 576}}

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
	var results []Result
	for _, threads := range []int{1, runtime.NumCPU()} {
		for _, how := range []string{"packed", "use"} {
			for _, s := range gemmShapes {
				results = append(results, l.gemm(ours, theirs, peerErr, how, threads, s))
			}
		}
	}
	return results
}

func (l *lab) gemm(ours, theirs *server, peerErr error, how string, threads int, s [3]int) Result {
	r := Result{
		Name: fmt.Sprintf("gemm/f32/%dx%dx%d", s[0], s[1], s[2]), Unit: "GFLOP/s", Better: "higher",
		Reference: "openblas", Budget: 0.95, BudgetOn: "ratio",
	}
	if how == "use" {
		r.Name, r.Budget = r.Name+"/packed-at-use", 0.85
	}
	if threads > 1 {
		r.Name += fmt.Sprintf("/%d-threads", threads)
	}
	ask := fmt.Sprintf("%s %d %d %d %d", how, threads, s[0], s[1], s[2])
	work := 2 * float64(s[0]) * float64(s[1]) * float64(s[2]) / 1e9
	if peerErr != nil {
		if t, err := l.alone(func() (float64, error) { return ours.ask(ask) }); err == nil {
			r.Value = work / t
		}
		r.Note = fmt.Sprintf("%.4g GFLOP/s; %v", r.Value, peerErr)
		return r
	}
	a, b, ratio, err := l.pair(
		func() (float64, error) { return ours.ask(ask) },
		func() (float64, error) { return theirs.ask(ask) },
	)
	if err != nil {
		r.Note = err.Error()
		return r
	}
	r.Value, r.ReferenceValue, r.Ratio = work/a, work/b, 1/ratio
	return r
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
