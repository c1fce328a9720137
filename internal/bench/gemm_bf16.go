package main

import (
	"fmt"
	"runtime"
)

// bf16Shapes are rows × outputs × inputs: of the roofline notes, of
// SmolLM2-135M's linear layers, and of a few rows of one.
var bf16Shapes = [][3]int{{512, 2048, 2048}, {512, 576, 576}, {512, 1536, 576}, {512, 576, 1536}, {4096, 576, 1536}, {16, 2048, 2048}}

// bf16Large says whether a product on AMX should reach its budget.
func bf16Large(s [3]int) bool { return s[0] >= 512 && s[1]*s[2] >= 2048*2048 }

// bf16s measures products in bf16 beside those of the same shape in float32,
// packed beforehand or at use as they are,
// and the instruction peak of AMX where there is one. Without AMX the same bits
// are computed by vector instructions for float32, so the goal there is the
// speed of float32.
func bf16s(l *lab) []Result {
	missed := func(err error) []Result { return []Result{missing("gemm/bf16", "GFLOP/s", "higher", "f32", err)} }
	bin := l.path("bf16bench")
	if err := build(bin, "./steps/internal/tensor/bf16bench"); err != nil {
		return missed(err)
	}
	program, err := serve(bin)
	if err != nil {
		return missed(err)
	}
	defer program.close()
	var results []Result
	amx := false
	for _, threads := range []int{1, runtime.NumCPU()} {
		peak, err := l.alone(func() (float64, error) { return program.ask(fmt.Sprintf("peak %d 0 0 0", threads)) })
		if err != nil {
			return missed(err)
		}
		r := Result{Name: "gemm/peak/amx" + onThreads(threads), Unit: "GFLOP/s", Better: "higher"}
		if amx = peak > 0; amx {
			r.Value = 1 / peak
		} else {
			r.Note = "this processor has no AMX: bf16 runs on vectors of float32"
		}
		results = append(results, r)
		for _, s := range bf16Shapes {
			for _, how := range []string{"packed", "use", "stored"} {
				results = append(results, l.bf16(program, how, threads, s, amx))
			}
		}
	}
	return results
}

// bf16 measures one shape in one way, in turns with float32.
func (l *lab) bf16(program *server, how string, threads int, s [3]int, amx bool) Result {
	r := Result{
		Name: fmt.Sprintf("gemm/bf16/%dx%dx%d", s[0], s[1], s[2]), Unit: "GFLOP/s", Better: "higher", Reference: "f32",
	}
	reference := "f32"
	if how != "packed" {
		reference = "f32use"
		r.Name += map[string]string{"use": "/packed-at-use", "stored": "/bf16-at-use"}[how]
	}
	r.Name += onThreads(threads)
	if amx && threads == 1 && how == "packed" && bf16Large(s) {
		r.Budget, r.BudgetOn = 1000, "value"
	}
	ask := func(how string) func() (float64, error) {
		return func() (float64, error) {
			return program.ask(fmt.Sprintf("%s %d %d %d %d", how, threads, s[0], s[1], s[2]))
		}
	}
	a, b, ratio, err := l.pair(ask(how), ask(reference))
	if err != nil {
		r.Note = err.Error()
		return r
	}
	work := 2 * float64(s[0]) * float64(s[1]) * float64(s[2]) / 1e9
	r.Value, r.ReferenceValue, r.Ratio = work/a, work/b, 1/ratio
	return r
}
