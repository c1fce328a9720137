package train

import (
	"encoding/json"
	"io/fs"
	"os"
	"strings"
	"testing"

	"github.com/pipe-run/pipe/pipeline"
	"github.com/pipe-run/pipe/steps/internal/decoder"
)

func forecastOf(t *testing.T, in map[string]string, p Params) (*pipeline.Estimate, error) {
	t.Helper()
	raw, err := json.Marshal(paramsJSON(p))
	if err != nil {
		t.Fatal(err)
	}
	q := &pipeline.EstimateRequest{Params: raw, Inputs: map[string]fs.FS{}, Threads: 2}
	for name, dir := range in {
		q.Inputs[name] = os.DirFS(dir)
	}
	return Kind.Estimate(t.Context(), q)
}

// TestEstimateAgreesWithTraining: what can be counted exactly is.
func TestEstimateAgreesWithTraining(t *testing.T) {
	in := inputs(t)
	p := loraParams()
	p.MaxUpdates, p.Epochs = 0, 2
	e, err := forecastOf(t, in, p)
	if err != nil {
		t.Fatal(err)
	}
	j := newJob(t, in, "adapter")
	got := lines(t, j.must(t, p)[logFile])
	if e.Updates != int64(len(got)) {
		t.Errorf("%d updates foretold, %d performed", e.Updates, len(got))
	}
	// Per layer q and o are 32×32, k and v 16×32, gate, up and down 64×32; the
	// embedding and the head 48×32, five norms 32.
	if want := int64(2*(2*32*32+2*16*32+3*64*32) + 2*48*32 + 5*32); e.Parameters != want {
		t.Errorf("%d parameters, want %d", e.Parameters, want)
	}
	if want := int64(4 * 2 * (2*(32+32) + 2*(16+32) + 3*(64+32))); e.Trainable != want {
		t.Errorf("%d trainable, want %d", e.Trainable, want)
	}
	if e.Memory < process || e.Memory > process+(8<<20) || !(e.Seconds > 0) {
		t.Errorf("estimate %+v", e)
	}
}

// TestEstimateCountsProducts compares the FLOPs with a count by hand for one
// document of four tokens, three of them supervised.
func TestEstimateCountsProducts(t *testing.T) {
	in := map[string]string{"model": tinyModel(t, true), "tokens": writeTokens(t, oneRow(), false)}
	linear, head, attention, down := 2.0*(2*32*32+2*16*32+3*64*32), 48.0*32, 2.0*16*32, 2.0*64*32
	adapter := 4.0 * 2 * (2*(32+32) + 2*(16+32) + 3*(64+32))
	for name, c := range map[string]struct {
		p    Params
		want float64
	}{
		// forward, again without down, gradients of inputs; adapter twice forward and four ways back
		"lora": {loraParams(), 4*2*(3*linear-down) + 3*2*2*head + 9*attention + 4*8*adapter},
		// the same and the gradients of matrices
		"full": {fullParams(), 4*2*(4*linear-down) + 3*3*2*head + 9*attention},
		// nothing again
		"kept": {loraParams(), 4*2*2*linear + 3*2*2*head + 7*attention + 4*6*adapter},
	} {
		c.p.MaxUpdates, c.p.Epochs, c.p.Recompute = 0, 1, "all"
		if name == "kept" {
			c.p.Recompute = "none"
		}
		e, err := forecastOf(t, in, c.p)
		if err != nil {
			t.Fatal(err)
		}
		if e.FLOPs != c.want {
			t.Errorf("%s: %g FLOPs, want %g", name, e.FLOPs, c.want)
		}
		held := in
		held["validation"] = in["tokens"]
		if v, err := forecastOf(t, held, c.p); err != nil || v.FLOPs <= e.FLOPs {
			t.Errorf("%s: validation costs nothing: %+v, %v", name, v, err)
		}
		delete(held, "validation")
	}
}

// TestEstimateOfMemory: what an option saves or costs is foretold.
func TestEstimateOfMemory(t *testing.T) {
	in := inputs(t)
	p := fullParams()
	p.Recompute = "all"
	base, err := forecastOf(t, in, p)
	if err != nil {
		t.Fatal(err)
	}
	cfg, err := decoder.ReadConfig(in["model"])
	if err != nil {
		t.Fatal(err)
	}
	rows, err := rowsOf(t.Context(), cfg, os.DirFS(in["tokens"]))
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		change func(*Params)
		want   int64
	}{
		"sgd":       {func(p *Params) { p.Optimizer = "sgd" }, -8 * cfg.Params()},
		"momentum":  {func(p *Params) { p.Optimizer, p.Momentum = "sgd", 0.5 }, -4 * cfg.Params()},
		"adamw8bit": {func(p *Params) { p.Optimizer = "adamw8bit" }, -6 * cfg.Params()},
		"kept":      {func(p *Params) { p.Recompute = "none" }, 2 * valueBytes(cfg, rows.capacity(&p))},
	} {
		q := p
		c.change(&q)
		e, err := forecastOf(t, in, q)
		if err != nil {
			t.Fatal(err)
		}
		if got := e.Memory - base.Memory; got != c.want {
			t.Errorf("%s: %d bytes more, want %d", name, got, c.want)
		}
	}
}

func TestEstimateBlamesTheParameter(t *testing.T) {
	p := loraParams()
	p.LoRA.Targets.Names = []string{"no_proj"}
	if _, err := forecastOf(t, inputs(t), p); err == nil || !strings.Contains(err.Error(), `lora.targets: no linear layer is called "no_proj"`) {
		t.Errorf("got %v", err)
	}
}
