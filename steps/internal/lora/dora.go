package lora

import (
	"context"
	"fmt"
	"math"

	"github.com/pipe-run/pipe/steps/internal/decoder"
	"github.com/pipe-run/pipe/steps/internal/kernel"
	"github.com/pipe-run/pipe/steps/internal/tensor"
	"github.com/pipe-run/pipe/steps/internal/weights"
)

// suffixM is the name of DoRA's magnitudes, and suffixMOld that of old versions
// of PEFT.
const (
	suffixM    = ".lora_magnitude_vector"
	suffixMOld = ".lora_magnitude_vector.weight"
)

// Attach makes a model that was loaded from dir compute with the adapter, whose
// weights stay as they are from now on.
func (a *Adapter) Attach(m *decoder.Model, dir string, threads int) error {
	if err := a.Check(m.Config); err != nil {
		return err
	}
	if a.Config.DoRA {
		if err := a.fix(m.Config, dir, threads); err != nil {
			return err
		}
	}
	if err := m.Replace(a.Saved); err != nil {
		return err
	}
	return m.Attach(a.Lookup)
}

// fix computes the factors on the rows of W + s·B·A that give them their
// magnitudes, from the weights in dir.
func (a *Adapter) fix(c decoder.Config, dir string, threads int) error {
	return a.eachWeight(context.Background(), c, dir, func(path string, w []float32) error {
		p := a.Pairs[path]
		p.gain = p.normalise(threads, w)
		a.Pairs[path] = p
		return nil
	})
}

// Measure notes the lengths of the rows of the weights in dir, which training
// with DoRA needs.
func (a *Adapter) Measure(ctx context.Context, c decoder.Config, dir string, threads int) error {
	return a.eachWeight(ctx, c, dir, func(path string, w []float32) error {
		p := a.Pairs[path]
		p.Squares = make([]float64, p.Out)
		tensor.Parallel(threads, p.Out, func(o int) { p.Squares[o] = kernel.SumSquares(w[o*p.In:][:p.In]) })
		a.Pairs[path] = p
		return nil
	})
}

// eachWeight calls f with the weight [Out, In] of every adapted module, from the
// model directory dir, in order, until ctx ends.
func (a *Adapter) eachWeight(ctx context.Context, c decoder.Config, dir string, f func(path string, w []float32) error) error {
	d, err := weights.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	files, err := c.Oriented(d)
	if err != nil {
		return err
	}
	for _, m := range c.Modules() {
		p, ok := a.Pairs[m.Path]
		if !ok {
			continue
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		w, err := files.F32(m.Tensor)
		if err != nil {
			return err
		}
		if len(w) != p.Out*p.In {
			return fmt.Errorf("tensor %s has %d elements, want [%d, %d]", m.Tensor, len(w), p.Out, p.In)
		}
		if err := f(m.Path, w); err != nil {
			return err
		}
	}
	return nil
}

// normalise turns w [Out, In] into V = w + s·B·A and returns the factors on the
// rows of V that give them the lengths Magnitude. A row of zeros gets 1.
func (p Pair) normalise(threads int, w []float32) []float32 {
	for i, d := range p.Delta(threads) {
		w[i] += d
	}
	gain := make([]float32, p.Out)
	tensor.Parallel(threads, p.Out, func(o int) {
		gain[o] = 1
		if square := kernel.SumSquares(w[o*p.In:][:p.In]); square > 0 {
			gain[o] = float32(float64(p.Magnitude[o]) / math.Sqrt(square))
		}
	})
	return gain
}

// addTo turns w [Out, In] into the merged weight.
func (p Pair) addTo(threads int, w []float32) {
	if p.Magnitude == nil {
		for i, d := range p.Delta(threads) {
			w[i] += d
		}
		return
	}
	gain := p.normalise(threads, w)
	tensor.Parallel(threads, p.Out, func(o int) { kernel.Scale(w[o*p.In:][:p.In], gain[o]) })
}

// StartMagnitudes sets the magnitudes to the lengths of the rows of the weights
// that Measure saw, so that with B = 0 nothing changes.
func (a *Adapter) StartMagnitudes() {
	for _, p := range a.Pairs {
		for o := range p.Magnitude {
			p.Magnitude[o] = float32(math.Sqrt(p.Squares[o]))
		}
	}
}
