package train

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"strings"
	"testing"

	"github.com/pipe-run/pipe/pipeline"
	"github.com/pipe-run/pipe/steps/internal/artifact"
	"github.com/pipe-run/pipe/steps/internal/decoder"
	"github.com/pipe-run/pipe/steps/internal/token"
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
	if e.Memory < process || e.Memory > process+(32<<20) || !(e.Seconds > 0) {
		t.Errorf("estimate %+v", e)
	}
}

// TestEstimateCountsProducts compares the FLOPs with a count by hand for one
// document of four tokens, three of them supervised, of a model of two layers.
func TestEstimateCountsProducts(t *testing.T) {
	in := map[string]string{"model": tinyModel(t, true), "tokens": writeTokens(t, oneRow(), false)}
	inner, head, attention := 2*32*32+2*16*32+3*64*32.0, 48.0*32, 2.0*16*32*2
	for name, c := range map[string]struct {
		p    Params
		want float64
	}{
		// forward, gradients of inputs and of matrices; scores and values, and five products back
		"full": {fullParams(), 2*4*2*3*inner + 3*2*3*head + 2*7*attention/2},
		// and the first of two layers again, but for its last matrix
		"again": {fullParams(), 2*4*(2*3*inner+inner-64*32) + 3*2*3*head + (7+9)*attention/2},
	} {
		c.p.MaxUpdates, c.p.Epochs, c.p.Recompute = 0, 1, "none"
		if name == "again" {
			c.p.Recompute = "all"
		}
		e, err := forecastOf(t, in, c.p)
		if err != nil {
			t.Fatal(err)
		}
		if e.FLOPs != c.want {
			t.Errorf("%s: %g FLOPs, want %g", name, e.FLOPs, c.want)
		}
		held := map[string]string{"model": in["model"], "tokens": in["tokens"], "validation": in["tokens"]}
		if v, err := forecastOf(t, held, c.p); err != nil || v.FLOPs <= e.FLOPs {
			t.Errorf("%s: validation costs nothing: %+v, %v", name, v, err)
		}
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
	for name, c := range map[string]struct {
		change func(*Params)
		want   int64
	}{
		"sgd":       {func(p *Params) { p.Optimizer = "sgd" }, -8 * cfg.Params()},
		"momentum":  {func(p *Params) { p.Optimizer, p.Momentum = "sgd", 0.5 }, -4 * cfg.Params()},
		"adamw8bit": {func(p *Params) { p.Optimizer = "adamw8bit" }, -6 * cfg.Params()},
		"paged":     {func(p *Params) { p.PagedState = true }, -8 * cfg.Params()},
		"pieces":    {func(p *Params) { p.GradientAccumulation = 2 }, 4 * cfg.Params()},
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
	kept := p
	kept.Recompute = "none"
	if e, err := forecastOf(t, in, kept); err != nil || e.Memory <= base.Memory {
		t.Errorf("keeping activations costs nothing: %+v, %v", e, err)
	}
}

// TestFits: what the machine has no memory for is refused, naming what would
// need less.
func TestFits(t *testing.T) {
	in := inputs(t)
	cfg, err := decoder.ReadConfig(in["model"])
	if err != nil {
		t.Fatal(err)
	}
	rows, err := rowsOf(t.Context(), cfg, os.DirFS(in["tokens"]), nil)
	if err != nil {
		t.Fatal(err)
	}
	p := fullParams()
	p.BatchSize = 8
	for _, how := range []string{"", "none"} {
		p.Recompute = how
		f, err := newForecast(cfg, p, 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		f.about(rows, nil, 2)
		if err := f.fits(1 << 40); err != nil {
			t.Error(err)
		}
		if err := f.fits(-1); err != nil {
			t.Errorf("where nobody says how much there is: %v", err)
		}
		var field *pipeline.FieldError
		want := map[string]string{"": "batchSize", "none": "recompute"}[how]
		if err := f.fits(10 << 20); !errors.As(err, &field) || field.Field != want || !strings.Contains(field.Hint, `method: "lora"`) {
			t.Errorf("recompute %q: %v", how, err)
		}
	}
	f, err := newForecast(cfg, loraParams(), 100<<30)
	if err != nil {
		t.Fatal(err)
	}
	f.about(rows, nil, 2)
	var field *pipeline.FieldError
	if err := f.fits(24 << 30); !errors.As(err, &field) || !strings.Contains(field.Hint, "a quantized model (") {
		t.Errorf("a large model: %v", err)
	}
}

func TestEstimateBlamesTheParameter(t *testing.T) {
	p := loraParams()
	p.LoRA.Targets.Names = []string{"no_proj"}
	if _, err := forecastOf(t, inputs(t), p); err == nil || !strings.Contains(err.Error(), `lora.targets: no linear layer is called "no_proj"`) {
		t.Errorf("got %v", err)
	}
}

// TestPlanKnowsTheTokenizer: tokens of another one, and pieces that it has not,
// are refused before anything runs.
func TestPlanKnowsTheTokenizer(t *testing.T) {
	in, p := inputs(t), loraParams()
	p.LoRA.TrainableTokens = []Token{{Piece: "ab"}}
	check := func(name, field, want string) {
		t.Helper()
		_, err := forecastOf(t, in, p)
		var at *pipeline.FieldError
		if field == "" {
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
			return
		}
		if !errors.As(err, &at) || at.Field != field || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q at %s", name, err, want, field)
		}
	}
	check("no tokenizer", "lora.trainableTokens", "the model has no tokenizer")
	writeTokenizer(t, in["model"])
	check("a piece", "", "")
	p.LoRA.TrainableTokens = []Token{{Piece: "ab"}, {ID: 2}}
	check("twice", "lora.trainableTokens", "id 2 is named twice")
	p.LoRA.TrainableTokens = []Token{{Piece: "abc"}}
	check("no piece", "lora.trainableTokens", `"abc" is no token of the model's tokenizer`)
	p.LoRA.TrainableTokens = nil
	tok, err := token.Load(in["model"])
	if err != nil {
		t.Fatal(err)
	}
	in["validation"] = tinyTokens(t, 3, true)
	for _, name := range []string{"tokens", "validation"} {
		for digest, field := range map[string]string{tok.Digest(): "", "00": "in." + name, "": ""} {
			if err := artifact.Write(in[name], artifact.Provenance{Type: pipeline.TypeTokens, Tokenizer: digest}); err != nil {
				t.Fatal(err)
			}
			check(name+" of "+digest, field, "made with another tokenizer than the model's")
		}
		if err := artifact.Write(in[name], artifact.Provenance{Type: pipeline.TypeTokens}); err != nil {
			t.Fatal(err)
		}
	}
}
