package train

import (
	"context"
	"encoding/binary"
	"errors"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pipe-run/pipe/pipeline"
	"github.com/pipe-run/pipe/steps/internal/decoder"
	"github.com/pipe-run/pipe/steps/internal/quant"
	"github.com/pipe-run/pipe/steps/internal/tensor"
)

// TestGuard: noise, falling losses and steps do not stop a training; losses that
// run away do.
func TestGuard(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	for name, c := range map[string]struct {
		loss func(i int) float64
		want bool
	}{
		"falls":                       {func(i int) float64 { return 4 * math.Exp(-float64(i)/100) }, false},
		"noise of single rows":        {func(i int) float64 { return 2 * r.ExpFloat64() }, false},
		"easy at first":               {func(i int) float64 { return min(0.9, 1e-3*float64(i)) }, false},
		"a step up within the factor": {func(i int) float64 { return map[bool]float64{true: 2, false: 5.5}[i < 50] }, false},
		"runs away at once":           {func(i int) float64 { return 4 + 100*float64(i) }, true},
		"starts badly":                {func(i int) float64 { return 40 * math.Exp(-float64(i)/30) }, false},
		"runs away":                   {func(i int) float64 { return 2 * math.Exp(float64(max(0, i-50))/20) }, true},
		"rises slowly, without end":   {func(i int) float64 { return 1 + float64(i)/50 }, true},
		"runs away from easy losses":  {func(i int) float64 { return 0.01 * math.Exp(float64(i)/20) }, true},
	} {
		g, got := newGuard(nil, 48), false
		for i := range 400 {
			if g.add(c.loss(i)) {
				got = true
				break
			}
		}
		if got != c.want {
			t.Errorf("%s: diverged %v", name, got)
		}
	}
	g := newGuard(&Divergence{Factor: 0, Updates: 2}, 48)
	for i := range 100 {
		if g.add(math.Exp(float64(i))) {
			t.Fatal("factor 0 stopped a training")
		}
	}
}

// TestGuardRemembers: what a resumed training knows is what it would have known.
func TestGuardRemembers(t *testing.T) {
	tr := &trainer{task: &pipeline.Task{Emit: func(pipeline.Fact) {}}}
	a, b := newGuard(&Divergence{Factor: 3, Updates: 5}, 48), newGuard(&Divergence{Factor: 3, Updates: 5}, 48)
	for i := range 23 {
		loss := math.Sqrt(float64(i) + 0.1)
		a.add(loss)
		if err := tr.record(updateLine{Update: i + 1, Loss: loss}, speed{seconds: 1}); err != nil {
			t.Fatal(err)
		}
		if err := tr.line(validationLine{Update: i + 1, ValidationLoss: 77}); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.replay(tr.log); err != nil {
		t.Fatal(err)
	}
	if mean(a.first) != mean(b.first) || mean(a.last) != mean(b.last) || len(a.last) != len(b.last) {
		t.Errorf("%v, replayed %v", a, b)
	}
}

// TestDivergenceKeepsTheCheckpoint: the last one from before stays.
func TestDivergenceKeepsTheCheckpoint(t *testing.T) {
	p := fullParams()
	p.LearningRate, p.Warmup, p.MaxGradNorm, p.CheckpointEvery = 1e30, Span{}, 0, 1
	j := newJob(t, inputs(t), "model")
	err := j.train(t.Context(), p)
	var field *pipeline.FieldError
	if !errors.As(err, &field) || field.Field != "learningRate" {
		t.Errorf("got %v", err)
	}
	if _, err := os.Stat(filepath.Join(j.task.State, checkpointFile)); err != nil {
		t.Error(err)
	}
}

// TestRisingLossIsDivergence: a rate that is too high makes losses without
// bound before it makes numbers that are none.
func TestRisingLossIsDivergence(t *testing.T) {
	p := fullParams()
	p.LearningRate, p.Schedule, p.MaxUpdates = 10, "constant", 100
	err := newJob(t, inputs(t), "model").train(t.Context(), p)
	if err == nil || !strings.Contains(err.Error(), "learningRate: training diverged: up to update 2") {
		t.Errorf("got %v", err)
	}
	p.Divergence = &Divergence{Factor: 0, Updates: 20}
	newJob(t, inputs(t), "model").must(t, p)
}

// TestNumbersThatAreNone: one in any tensor, stored in any way, is named.
func TestNumbersThatAreNone(t *testing.T) {
	for _, c := range []struct {
		tensor string
		value  float32
	}{
		{"model.layers.1.mlp.up_proj.weight", float32(math.NaN())},
		{"model.norm.weight", float32(math.Inf(-1))},
	} {
		in := inputs(t)
		writeModel(t, in["model"], strings.Replace(tinyConfig, "%t", "false", 1), func(x decoder.Tensor) []quant.Part {
			data := make([]float32, elements(x.Shape))
			if x.Name == c.tensor {
				data[5] = c.value
			}
			return []quant.Part{dense(t, x.Shape, data)}
		})
		for name, p := range map[string]Params{"adapter": loraParams(), "model": fullParams()} {
			err := newJob(t, in, name).train(t.Context(), p)
			if err == nil || !strings.Contains(err.Error(), "in.model: element 5 of tensor "+c.tensor+" is not a finite number") {
				t.Errorf("%s: got %v", name, err)
			}
		}
	}
}

// TestOddNumbers puts one that is none at every place among finite ones.
func TestOddNumbers(t *testing.T) {
	for dtype, values := range map[tensor.DType]struct{ finite, odd []uint32 }{
		tensor.F32:  {[]uint32{0, 0x80000000, 0x7f7fffff, 0xff7fffff, 1, 0x3f800000}, []uint32{0x7f800000, 0xff800000, 0x7fc00000, 0xff800001}},
		tensor.BF16: {[]uint32{0, 0x8000, 0x7f7f, 0xff7f, 1, 0x3f80}, []uint32{0x7f80, 0xff80, 0x7fc0, 0xff81}},
		tensor.F16:  {[]uint32{0, 0x8000, 0x7bff, 0xfbff, 1, 0x3c00}, []uint32{0x7c00, 0xfc00, 0x7e00, 0xfc01}},
	} {
		size, form := dtype.Size(), formats[dtype]
		for n := range 20 {
			var b []byte
			put := func(at int, v uint32) { copy(b[at*size:], binary.LittleEndian.AppendUint32(nil, v)[:size]) }
			b = make([]byte, n*size)
			for i := range n {
				put(i, values.finite[i%len(values.finite)])
			}
			if got := form.odd(b, size); got != -1 {
				t.Errorf("%v: of %d finite numbers %d is odd", dtype, n, got)
			}
			for i := n - 1; i >= 0; i-- {
				put(i, values.odd[i%len(values.odd)])
				if got := form.odd(b, size); got != i {
					t.Errorf("%v: number %d of %d is odd, got %d", dtype, i, n, got)
				}
			}
		}
	}
}

func TestCheckStoredStops(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := checkStored(ctx, tinyModel(t, false), 1); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}
