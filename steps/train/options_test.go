package train

import (
	"encoding/json"
	"errors"
	"math"
	"strings"
	"testing"

	"github.com/pipe-run/pipe/pipeline"
	"github.com/pipe-run/pipe/steps/internal/dataset"
	"github.com/pipe-run/pipe/steps/internal/lora"
)

// TestOptionsThatMakeNoSense are refused at their fields, before anything runs.
func TestOptionsThatMakeNoSense(t *testing.T) {
	for want, change := range map[string]func(*Params){
		`schedule: "step" is not`:                         func(p *Params) { p.Schedule = "step" },
		"decay: only the schedule wsd has one":            func(p *Params) { p.Decay = &Span{Updates: 3} },
		"decay.ratio: 2 is not":                           func(p *Params) { p.Schedule, p.Decay = "wsd", &Span{Ratio: 2} },
		"decay: 0 updates are too few":                    func(p *Params) { p.Schedule, p.Decay = "wsd", &Span{} },
		"minLearningRate: 1 is not a share":               func(p *Params) { p.MinLearningRate = 1 },
		"minLearningRate: a constant":                     func(p *Params) { p.Schedule, p.MinLearningRate = "constant", 0.1 },
		`optimizer: "lion" is not`:                        func(p *Params) { p.Optimizer = "lion" },
		"momentum: only the optimizer sgd":                func(p *Params) { p.Momentum = 0.9 },
		"nesterov: only the optimizer sgd":                func(p *Params) { p.Optimizer, p.Nesterov = "adamw8bit", true },
		"nesterov: it needs a momentum":                   func(p *Params) { p.Optimizer, p.Nesterov = "sgd", true },
		"momentum: 1 is not":                              func(p *Params) { p.Optimizer, p.Momentum = "sgd", 1 },
		"betas: the optimizer sgd has none":               func(p *Params) { p.Optimizer, p.Betas[1] = "sgd", 0.95 },
		"epsilon: the optimizer sgd has none":             func(p *Params) { p.Optimizer, p.Epsilon = "sgd", 1e-6 },
		"pagedState: the optimizer sgd without momentum":  func(p *Params) { p.Optimizer, p.PagedState = "sgd", true },
		`keep: "all" is not last or best`:                 func(p *Params) { p.Keep = "all" },
		"earlyStopping.patience: 0 is below 1":            func(p *Params) { p.EarlyStopping = &EarlyStopping{} },
		"earlyStopping.minDelta: -1 is below 0":           func(p *Params) { p.EarlyStopping = &EarlyStopping{Patience: 1, MinDelta: -1} },
		`recompute: "some" is not`:                        func(p *Params) { p.Recompute = "some" },
		"divergence.factor: 0.5 is neither above 1":       func(p *Params) { p.Divergence = &Divergence{Factor: 0.5, Updates: 5} },
		"divergence.updates: 1 is not between 2 and 1000": func(p *Params) { p.Divergence = &Divergence{Factor: 2, Updates: 1} },
		`lora.targets: "(" is no regular expression`:      func(p *Params) { p.LoRA.Targets = lora.Selector{Pattern: "("} },
		`lora.exclude: "a(?=b)" is no regular expression`: func(p *Params) { p.LoRA.Exclude = &lora.Selector{Pattern: "a(?=b)"} },
		`lora.alphaPattern: "(" is no regular expression`: func(p *Params) { p.LoRA.AlphaPattern = map[string]float64{"(": 2} },
		"maxTokensPerBatch: counts cannot be negative":    func(p *Params) { p.MaxTokensPerBatch = -1 },
	} {
		p := loraParams()
		change(&p)
		raw, err := json.Marshal(paramsJSON(p))
		if err != nil {
			t.Fatal(err)
		}
		var field *pipeline.FieldError
		if err := Kind.Vet(raw, nil); !errors.As(err, &field) || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
	raw, err := json.Marshal(paramsJSON(loraParams()))
	if err != nil {
		t.Fatal(err)
	}
	if err := Kind.Vet(raw, nil); err != nil {
		t.Error(err)
	}
}

// TestOptionsThatNeedInputs are refused by the step and by its forecast.
func TestOptionsThatNeedInputs(t *testing.T) {
	for want, change := range map[string]func(*Params){
		"validateEvery: it needs validation tokens":                              func(p *Params) { p.ValidateEvery = 2 },
		"keep: it needs validation tokens":                                       func(p *Params) { p.Keep = keepBest },
		"earlyStopping: it needs validation tokens":                              func(p *Params) { p.EarlyStopping = &EarlyStopping{Patience: 1} },
		"decay: 10 updates do not fit beside a warm-up of 1 in a training of 10": func(p *Params) { p.Schedule, p.Decay = "wsd", &Span{Ratio: 1} },
	} {
		p, in := loraParams(), inputs(t)
		change(&p)
		_, planned := forecastOf(t, in, p)
		for _, err := range []error{planned, newJob(t, in, "adapter").train(t.Context(), p)} {
			var field *pipeline.FieldError
			if !errors.As(err, &field) || !strings.HasPrefix(err.Error(), want) {
				t.Errorf("got %v, want %q", err, want)
			}
		}
	}
}

// TestUnkeyedOptionsChangeNothing: that is why they are not in the key.
func TestUnkeyedOptionsChangeNothing(t *testing.T) {
	for _, optimizer := range []string{"", "adamw8bit"} {
		in := inputs(t)
		in["model"] = widerModel(t)
		p := fullParams()
		p.Optimizer = optimizer
		want := newJob(t, in, "model").must(t, p)
		p.CheckpointEvery, p.PagedState, p.Recompute, p.Divergence = 3, true, "none", &Divergence{Factor: 100, Updates: 2}
		if !equalFiles(newJob(t, in, "model").must(t, p), want) {
			t.Errorf("optimizer %q: the result differs", optimizer)
		}
	}
}

// TestOptimizersLearn, each in its way and with a rate of its own.
func TestOptimizersLearn(t *testing.T) {
	in := inputs(t)
	in["model"] = widerModel(t)
	ends := map[float64]string{}
	for name, change := range map[string]func(*Params){
		"adamw":     func(p *Params) { p.Optimizer = "adamw" },
		"adamw8bit": func(p *Params) { p.Optimizer = "adamw8bit" },
		"sgd":       func(p *Params) { p.Optimizer, p.LearningRate = "sgd", 1 },
		"nesterov":  func(p *Params) { p.Optimizer, p.LearningRate, p.Momentum, p.Nesterov = "sgd", 0.3, 0.9, true },
	} {
		p := fullParams()
		p.MaxUpdates, p.Schedule = 15, "constant"
		change(&p)
		got := lines(t, newJob(t, in, "model").must(t, p)[logFile])
		if last := got[14].Loss; !(last < 0.9*got[0].Loss) || ends[last] != "" {
			t.Errorf("%s: loss from %g to %g, as with %q", name, got[0].Loss, last, ends[last])
		}
		ends[got[14].Loss] = name
	}
}

// TestRatesAreLogged: the schedule asked for is the one that is used.
func TestRatesAreLogged(t *testing.T) {
	p := loraParams()
	p.Schedule, p.Warmup, p.Decay, p.MinLearningRate, p.LearningRate = "wsd", Span{Updates: 2}, &Span{Updates: 4}, 0.5, 1e-3
	got := lines(t, newJob(t, inputs(t), "adapter").must(t, p)[logFile])
	for i, want := range []float64{0, 0.5e-3, 1e-3, 1e-3, 1e-3, 1e-3, 1e-3, 0.875e-3, 0.75e-3, 0.625e-3} {
		if math.Abs(got[i].LearningRate-want) > 1e-12 {
			t.Errorf("update %d: rate %g, want %g", i+1, got[i].LearningRate, want)
		}
	}
}

// TestPackedIsUnpacked: documents of a packed row see nothing of each other, so
// that the losses are those of the documents in rows of their own.
func TestPackedIsUnpacked(t *testing.T) {
	var packed, single []dataset.Row
	var pack dataset.Row
	for d := range int32(9) {
		var row dataset.Row
		for i := range 4 + d%5 {
			id := (7*d + 3*i*i) % 48
			label := int64(id)
			if i < 2 {
				label = dataset.Unsupervised
			}
			row.InputIDs, row.Labels = append(row.InputIDs, id), append(row.Labels, label)
			row.AttentionMask, row.PositionIDs = append(row.AttentionMask, 1), append(row.PositionIDs, i)
		}
		pack.InputIDs, pack.Labels = append(pack.InputIDs, row.InputIDs...), append(pack.Labels, row.Labels...)
		pack.AttentionMask, pack.PositionIDs = append(pack.AttentionMask, row.AttentionMask...), append(pack.PositionIDs, row.PositionIDs...)
		if d%3 == 2 {
			packed, pack = append(packed, pack), dataset.Row{}
		}
		row.PositionIDs = nil
		single = append(single, row)
	}
	model := tinyModel(t, false)
	for name, p := range map[string]Params{"adapter": loraParams(), "model": fullParams()} {
		p.MaxUpdates, p.BatchSize = 8, 9
		a := lines(t, newJob(t, map[string]string{"model": model, "tokens": writeTokens(t, packed, true)}, name).must(t, p)[logFile])
		b := lines(t, newJob(t, map[string]string{"model": model, "tokens": writeTokens(t, single, false)}, name).must(t, p)[logFile])
		for i := range a {
			if math.Abs(a[i].Loss-b[i].Loss) > 1e-6*b[i].Loss || a[i].SupervisedTokens != b[i].SupervisedTokens {
				t.Errorf("%s: update %d has loss %.9g packed and %.9g in rows of their own", name, i+1, a[i].Loss, b[i].Loss)
			}
		}
	}
}
