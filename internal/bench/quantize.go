package main

import "fmt"

// The work of quantbench: bytes of the float32 matrix that is quantized and
// unpacked, and multiply-adds, counted twice, of the product.
const (
	quantBytes = 4 * 2048 * 2048
	quantFLOPs = 2 * 512 * 1536 * 576
)

// quantizes measures weights of few bits on one thread: how fast they are made
// and unpacked, beside copying as many float32, and how fast 512 rows are
// multiplied with them, beside a float32 matrix laid out at use as they are.
func quantizes(l *lab) []Result {
	bin := l.path("quantbench")
	if err := build(bin, "./steps/internal/quant/quantbench"); err != nil {
		return []Result{missing("quantize/nf4", "GB/s", "higher", "copying", err)}
	}
	s, err := serve(bin)
	if err != nil {
		return []Result{missing("quantize/nf4", "GB/s", "higher", "copying", err)}
	}
	defer s.close()
	var results []Result
	for _, scheme := range []string{"nf4", "fp4", "q8_0"} {
		results = append(results,
			l.quantize(s, "quantize "+scheme, "copy", Result{Name: "quantize/" + scheme, Unit: "GB/s", Reference: "copying", Budget: 1, BudgetOn: "value"}, quantBytes),
			l.quantize(s, "unpack "+scheme, "copy", Result{Name: "quantize/" + scheme + "/unpack", Unit: "GB/s", Reference: "copying"}, quantBytes),
			l.quantize(s, "gemm "+scheme, "gemm f32", Result{Name: "quantize/" + scheme + "/gemm-512x1536x576", Unit: "GFLOP/s", Reference: "float32 laid out at use", Budget: 0.85, BudgetOn: "ratio"}, quantFLOPs),
		)
	}
	return results
}

// quantize fills in the rate of some work and that of its reference.
func (l *lab) quantize(s *server, work, reference string, r Result, amount float64) Result {
	r.Better = "higher"
	ours, theirs, ratio, err := l.pair(func() (float64, error) { return s.ask(work) }, func() (float64, error) { return s.ask(reference) })
	if err != nil {
		r.Note = fmt.Sprint(err)
		return r
	}
	r.Value, r.ReferenceValue, r.Ratio = amount/ours/1e9, amount/theirs/1e9, 1/ratio
	return r
}
