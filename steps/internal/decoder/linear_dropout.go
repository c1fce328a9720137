package decoder

import (
	"math"

	"github.com/pipe-run/pipe/steps/internal/kernel"
	"github.com/pipe-run/pipe/steps/internal/tensor"
)

// dropout hides elements of x from the update of one linear and scales up the
// others, so that their expected sum stays.
type dropout struct {
	key   *kernel.Stream
	drop  uint32  // the share left out, of 65536
	scale float32 // of what stays
	work  *lowWork
}

// newDropout returns the dropout of the linear at path. Its random numbers are
// those of the seed, the path, the update and the token within that.
func newDropout(path string, a Adapt, work *lowWork) *dropout {
	drop := min(math.Floor(float64(a.Dropout*65536)+0.5), 65535)
	return &dropout{
		key: kernel.Rand(a.Seed, "train/lora-dropout/"+path, 0), drop: uint32(drop),
		scale: float32(65536 / (65536 - drop)), work: work,
	}
}

// words is the length of a row of a mask over n elements.
func words(n int) int { return (n + 63) / 64 }

// draw fills l's mask for m rows.
func (d *dropout) draw(threads, m int, l *adapted) {
	w := words(l.in)
	if cap(l.low.mask) < m*w {
		l.low.mask = make([]uint64, m*w)
	}
	l.low.mask = l.low.mask[:m*w]
	tensor.Parallel(threads, m, func(i int) {
		s := d.key.At(d.work.place + uint64(i))
		s.Mask(l.low.mask[i*w:][:w], l.in, d.drop)
	})
}

// apply returns what l's update sees of x [m, in], in scratch.
func (d *dropout) apply(threads, m int, l *adapted, x []float32) []float32 {
	seen, w, n := d.scratch(m, l), words(l.in), l.in
	tensor.Parallel(threads, m, func(i int) {
		kernel.Dropout(seen[i*n:][:n], x[i*n:][:n], l.low.mask[i*w:][:w], d.scale)
	})
	return seen
}

// scratch is room for m rows of l's input.
func (d *dropout) scratch(m int, l *adapted) []float32 {
	d.work.rows = sized(d.work.rows, m*l.in)
	return d.work.rows
}

// backward adds the gradient ds [m, in] of what l's update saw to dx.
func (d *dropout) backward(threads, m int, l *adapted, ds, dx []float32) {
	w, n := words(l.in), l.in
	tensor.Parallel(threads, m, func(i int) {
		kernel.DropoutAdd(dx[i*n:][:n], ds[i*n:][:n], l.low.mask[i*w:][:w], d.scale)
	})
}
