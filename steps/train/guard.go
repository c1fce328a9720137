package train

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"path/filepath"
	"slices"

	"github.com/pipe-run/pipe/pipeline"
	"github.com/pipe-run/pipe/steps/internal/kernel"
	"github.com/pipe-run/pipe/steps/internal/safetensors"
	"github.com/pipe-run/pipe/steps/internal/tensor"
)

// maxGuarded bounds the updates over which a guard takes means.
const maxGuarded = 1000

// A guard finds a training that diverges: the mean loss of the last so many
// updates rises, the later half of them being above the earlier half, and is
// factor times
//
//   - the mean of the first so many, or 1 nat if that is less; or
//   - the loss of a uniform guess, or the first loss if that is more: a training
//     that runs away at once has no better beginning.
//
// Small batches make losses jump and easy data begins with losses near 0, so
// neither a single loss nor a ratio of small ones says anything.
type guard struct {
	limit       Divergence
	guess       float64 // loss of a uniform guess
	first, last []float64
	seen        int
}

func newGuard(d *Divergence, vocabulary int) *guard {
	g := &guard{limit: Divergence{Factor: 3, Updates: 20}, guess: kernel.Log64(float64(vocabulary))}
	if d != nil {
		g.limit = *d
	}
	return g
}

// add takes the loss of the next update and says that training diverges.
func (g *guard) add(loss float64) bool {
	n := g.limit.Updates
	g.seen++
	if len(g.first) < n {
		g.first = append(g.first, loss)
	}
	if len(g.last) == n {
		g.last = append(g.last[:0], g.last[1:]...)
	}
	g.last = append(g.last, loss)
	return g.limit.Factor > 0 && len(g.last) == n && mean(g.last) > float64(g.limit.Factor*g.usual()) &&
		mean(g.last[n/2:]) > mean(g.last[:n/2])
}

// usual is the loss that is no sign of trouble.
func (g *guard) usual() float64 {
	usual := max(g.guess, g.first[0])
	if g.seen >= 2*g.limit.Updates {
		usual = min(usual, max(1, mean(g.first)))
	}
	return usual
}

// replay takes the losses that a log of updates holds.
func (g *guard) replay(log []byte) error {
	g.first, g.last, g.seen = nil, nil, 0
	for line := range slices.Values(splitLines(log)) {
		var l struct {
			Loss *float64 `json:"loss"`
		}
		if err := json.Unmarshal(line, &l); err != nil {
			return errDamaged
		}
		if l.Loss != nil {
			g.add(*l.Loss)
		}
	}
	return nil
}

func mean(x []float64) float64 {
	var s float64
	for _, v := range x {
		s += v
	}
	return s / float64(len(x))
}

func finite(x float64) bool { return !math.IsNaN(x) && !math.IsInf(x, 0) }

// diverged blames the learning rate.
func diverged(format string, args ...any) error {
	return &pipeline.FieldError{
		Field: "learningRate", Err: fmt.Errorf("training diverged: "+format, args...),
		Hint: "a lower one or a longer warmup may help",
	}
}

// checkStored looks for numbers that are none, or infinite, in the stored
// weights of a model, scales of quantized ones among them, and names the first.
func checkStored(ctx context.Context, dir string, threads int) error {
	paths, err := filepath.Glob(filepath.Join(dir, "*.safetensors"))
	if err != nil {
		return err
	}
	for _, path := range paths {
		f, err := safetensors.Open(path)
		if err != nil {
			return fmt.Errorf("reading the model: %w", err)
		}
		err = checkFile(ctx, f, threads)
		f.Close()
		if err != nil {
			return err
		}
	}
	return nil
}

func checkFile(ctx context.Context, f *safetensors.File, threads int) error {
	tensors := f.Tensors()
	errs := make([]error, len(tensors))
	tensor.Parallel(threads, len(tensors), func(i int) {
		if ctx.Err() == nil {
			errs[i] = checkTensor(f, tensors[i])
		}
	})
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return ctx.Err()
}

// A format of floating-point numbers is where they have their exponents and
// signs, in 8 bytes of them.
type format struct{ exponents, signs uint64 }

var formats = map[tensor.DType]format{
	tensor.F32:  {0x7f800000_7f800000, 0x80000000_80000000},
	tensor.BF16: {0x7f80_7f80_7f80_7f80, 0x8000_8000_8000_8000},
	tensor.F16:  {0x7c00_7c00_7c00_7c00, 0x8000_8000_8000_8000},
}

func checkTensor(f *safetensors.File, t safetensors.Tensor) error {
	form, ok := formats[t.DType]
	if !ok {
		return nil
	}
	buf := make([]byte, min(t.Bytes(), 1<<20))
	for at := int64(0); at < t.Bytes(); at += int64(len(buf)) {
		buf = buf[:min(int64(len(buf)), t.Bytes()-at)]
		if err := f.ReadAt(t, buf, at); err != nil {
			return fmt.Errorf("reading the model: %w", err)
		}
		if i := form.odd(buf, t.DType.Size()); i >= 0 {
			return &pipeline.FieldError{
				Field: "in.model", Err: fmt.Errorf("element %d of tensor %s is not a finite number", at/int64(t.DType.Size())+int64(i), t.Name),
				Hint: "the model is damaged or diverged when it was trained",
			}
		}
	}
	return nil
}

// odd returns the first of the little-endian numbers of size bytes in b that is
// infinite or no number: its exponent is all ones. It returns −1 if there is none.
func (f format) odd(b []byte, size int) int {
	i := 0
	for ; i+8 <= len(b) && f.finite(binary.LittleEndian.Uint64(b[i:])); i += 8 {
	}
	for ; i+size <= len(b); i += size {
		var word [8]byte
		copy(word[:], b[i:i+size])
		if !f.finite(binary.LittleEndian.Uint64(word[:])) {
			return i / size
		}
	}
	return -1
}

// finite says that all numbers in 8 bytes are. What an exponent lacks of all ones
// is 0 in none of them then, and adding all but the sign bit carries into it.
func (f format) finite(x uint64) bool {
	missing := x&f.exponents ^ f.exponents
	return (missing+^f.signs)&f.signs == f.signs
}

// checkTrained looks for the same in what training is to begin with.
func (tr *trainer) checkTrained() error {
	for i, x := range tr.net.params {
		for j, v := range x {
			if !finite(float64(v)) {
				return fmt.Errorf("element %d of tensor %s is %g before training", j, tr.net.names[i], v)
			}
		}
	}
	return nil
}
