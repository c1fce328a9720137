package train

import (
	"testing"
	"time"

	"github.com/pipe-run/pipe/pipeline"
	"github.com/pipe-run/pipe/steps/internal/decoder"
)

// TestMFU: once a training has run for a while it is watched beside this
// machine's peak; the share of a part of it is the part of its FLOPs.
func TestMFU(t *testing.T) {
	cfg, err := decoder.ReadConfig(tinyModel(t, true))
	if err != nil {
		t.Fatal(err)
	}
	j := newJob(t, nil, "adapter")
	tr := &trainer{p: loraParams(), task: j.task, plan: &forecast{spec: decoder.Spec{Config: cfg}}, begun: time.Now(), total: 2}
	line := updateLine{Update: 1, Loss: 1, GradientNorm: 1, LearningRate: 1}
	shares := func() (all []float64) {
		for _, f := range j.facts {
			if m, ok := f.(pipeline.Metric); ok && m.Name == "train/mfu" {
				all = append(all, m.Value)
			}
		}
		return all
	}
	if err := tr.record(line, speed{seconds: 1, tokens: 1, flops: 1}); err != nil || len(shares()) > 0 {
		t.Errorf("watched from the beginning: %v, %v", shares(), err)
	}
	tr.begun = tr.begun.Add(-time.Minute)
	if err := tr.record(line, speed{seconds: 2, tokens: 1, flops: 1}); err != nil {
		t.Fatal(err)
	}
	if got := shares(); len(got) != 1 || tr.rate < 1e6 || got[0] != 0.5/tr.rate {
		t.Errorf("shares %v of %g FLOP/s", got, tr.rate)
	}
}

// TestNeeded: what is computed again is not needed, and documents count for
// themselves.
func TestNeeded(t *testing.T) {
	cfg, err := decoder.ReadConfig(tinyModel(t, true))
	if err != nil {
		t.Fatal(err)
	}
	tr := &trainer{cost: decoder.Spec{Config: cfg, Keep: cfg.Layers}.UpdateCost()}
	b, err := decoder.NewBatch(cfg, []int32{1, 2, 3, 4}, []int32{0, 1, 0, 1}, []int64{-100, 2, -100, -100})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := tr.needed(b), 2*tr.cost.FLOPs(2, 0)+tr.cost.FLOPs(0, 1); got != want {
		t.Errorf("%g FLOPs, want %g", got, want)
	}
}
