package train

import (
	"time"

	"github.com/pipe-run/pipe/steps/internal/decoder"
	"github.com/pipe-run/pipe/steps/internal/tensor"
)

const (
	// efficiency is the part of the rate of its largest products that a whole
	// training reaches, as measured on models of 135 million parameters.
	efficiency = 0.75
	// rateRows is how many rows the products that are measured have.
	rateRows = 512
	// rateTime is how long they are measured.
	rateTime = 60 * time.Millisecond
)

// peakPause is how long a training runs before this machine's peak is measured
// for it.
const peakPause = time.Second

// peak returns the FLOP/s that this machine reaches on large products, beside
// which a training is watched; 0 while that is not worth measuring. It is at
// least what the training itself reaches: others may have been busy when it was
// measured.
func (tr *trainer) peak(reached float64) float64 {
	if tr.rate == 0 && !tr.begun.IsZero() && time.Since(tr.begun) > peakPause {
		tr.rate = peakRate(tr.plan.spec, tr.p, tr.task.Threads)
	}
	if tr.rate > 0 {
		tr.rate = max(tr.rate, reached)
	}
	return tr.rate
}

// needed returns the FLOPs that a batch's part of an update takes.
func (tr *trainer) needed(b *decoder.Batch) float64 {
	flops := tr.cost.FLOPs(0, len(b.Rows))
	for _, s := range b.Spans {
		flops += tr.cost.FLOPs(s.End-s.Start, 0)
	}
	return flops
}

// peakRate measures the FLOP/s of this machine on the product of a model's
// widest matrix, in the numerics and with the threads of a training.
func peakRate(s decoder.Spec, p Params, threads int) float64 {
	out, in := min(s.Intermediate, 4096), min(s.Hidden, 4096)
	x, w, y := make([]float32, rateRows*in), make([]float32, out*in), make([]float32, rateRows*out)
	for i := range x {
		x[i] = float32(i%7) - 3
	}
	for i := range w {
		w[i] = float32(i%5) - 2
	}
	product := func() {
		if p.Numerics == "bf16" {
			tensor.GemmBF16NT(max(1, threads), rateRows, out, in, x, w, y, false)
			return
		}
		tensor.GemmNT(max(1, threads), rateRows, out, in, x, w, y, false)
	}
	product()
	best := time.Duration(1<<63 - 1)
	for start := time.Now(); time.Since(start) < rateTime; {
		from := time.Now()
		product()
		best = min(best, time.Since(from))
	}
	return 2 * rateRows * float64(out) * float64(in) / max(best.Seconds(), 1e-9)
}
