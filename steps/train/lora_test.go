package train

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/pipe-run/pipe/pipeline"
	"github.com/pipe-run/pipe/steps/internal/decoder"
	"github.com/pipe-run/pipe/steps/internal/lora"
)

// weightsOf trains and returns the adapter's file.
func weightsOf(t *testing.T, in map[string]string, p Params) string {
	t.Helper()
	return newJob(t, in, "adapter").must(t, p)["adapter_model.safetensors"]
}

// TestDropoutInTraining: what is dropped does not depend on the cut into
// microbatches, and it matters.
func TestDropoutInTraining(t *testing.T) {
	in := inputs(t)
	p := loraParams()
	p.BatchSize, p.LoRA.Dropout = 40, 0.5
	losses := func() []updateLine {
		files := newJob(t, in, "adapter").must(t, p)
		if want := fmt.Sprintf(`"lora_dropout": %.1f`, p.LoRA.Dropout); !strings.Contains(files["adapter_config.json"], want) {
			t.Errorf("%s lacks %s", files["adapter_config.json"], want)
		}
		return lines(t, files[logFile])
	}
	whole := losses()
	p.BatchSize, p.GradientAccumulation = 5, 8
	parts := losses()
	p.LoRA.Dropout = 0
	without := losses()
	for i, w := range whole {
		if d := math.Abs(w.Loss-parts[i].Loss) / w.Loss; d > 1e-5 {
			t.Errorf("update %d: loss %g in one microbatch, %g in eight", i+1, w.Loss, parts[i].Loss)
		}
	}
	if last := len(whole) - 1; math.Abs(whole[last].Loss-without[last].Loss) < 1e-3 {
		t.Errorf("dropout does not change the loss %g", whole[last].Loss)
	}
}

// TestLoRAPlus compares the first update with one whose rate is that of B. Adam's
// first step is as long as the rate, and while B is zero A does not move.
func TestLoRAPlus(t *testing.T) {
	in := inputs(t)
	p := loraParams()
	p.MaxUpdates, p.Schedule, p.Warmup.Ratio = 1, "constant", 0
	p.LoRA.PlusRatio = 8
	fast := weightsOf(t, in, p)
	p.LoRA.PlusRatio, p.LearningRate = 0, 8*p.LearningRate
	if fast != weightsOf(t, in, p) {
		t.Error("a ratio of 8 is not a rate of 8 for B")
	}
	p.LearningRate /= 8
	if fast == weightsOf(t, in, p) {
		t.Error("the ratio changes nothing")
	}
}

func TestLoRAMistakes(t *testing.T) {
	for text, want := range map[string]string{
		`"rank": 0`:                               "lora.rank: 0 is below 1",
		`"alpha": 0`:                              "lora.alpha: 0 is not above 0",
		`"rankPattern": {"q_proj": 0}`:            `lora.rankPattern: the rank of "q_proj" is 0`,
		`"alphaPattern": {"q_proj": -1}`:          `lora.alphaPattern: the alpha of "q_proj" is -1`,
		`"dropout": 1`:                            "lora.dropout: 1 is not at least 0 and below 1",
		`"dropout": -0.1`:                         "lora.dropout: -0.1 is not",
		`"loraPlusRatio": -2`:                     "lora.loraPlusRatio: -2 is not above 0",
		`"rankPattern": {"q_prj": 2}`:             `lora.rankPattern: "q_prj" matches no adapted layer (did you mean "q_proj"?)`,
		`"modulesToSave": ["q_proj"]`:             `lora.modulesToSave: "q_proj" is neither "embed_tokens" nor "lm_head"`,
		`"modulesToSave": ["lm_head", "lm_head"]`: "named twice",
		`"trainableTokens": [48]`:                 "lora.trainableTokens: id 48 is outside the model's vocabulary of 48",
		`"trainableTokens": [4, 4]`:               "lora.trainableTokens: id 4 is named twice",
		`"trainableTokens": [4], "modulesToSave": ["embed_tokens"]`: "lora.trainableTokens: modulesToSave trains all",
		`"init": "olora"`:                         `lora.init: "olora" is not default, gaussian or pissa`,
		`"init": "pissa", "dora": true`:           "lora.init: pissa takes a part",
		`"targets": ".*x"`:                        "lora.targets: the regular expression",
		`"targets": ["q_proj"], "exclude": ".*q"`: "lora.exclude: the regular expression",
	} {
		p := loraParams()
		if err := json.Unmarshal([]byte(`{"rank": 4, "alpha": 8, `+text+`}`), p.LoRA); err != nil {
			t.Fatal(err)
		}
		in := inputs(t)
		_, planned := forecastOf(t, in, p)
		for when, err := range map[string]error{"plan": planned, "run": newJob(t, in, "adapter").train(t.Context(), p)} {
			var field *pipeline.FieldError
			if err == nil || !strings.Contains(err.Error(), want) || !errors.As(err, &field) {
				t.Errorf("%s, %s: got %v, want %s", text, when, err, want)
			}
		}
	}
}

// TestDoRATraining: before the first update the adapter changes nothing, then it
// learns, magnitudes too; cutting updates into microbatches changes nothing.
func TestDoRATraining(t *testing.T) {
	in := inputs(t)
	in["validation"] = in["tokens"]
	p := loraParams()
	p.BatchSize, p.LoRA.DoRA = 40, true
	j := newJob(t, in, "adapter")
	files := j.must(t, p)
	if !strings.Contains(files["adapter_config.json"], `"use_dora": true`) {
		t.Errorf("configuration %s", files["adapter_config.json"])
	}
	got := lines(t, files[logFile])
	p.LoRA.DoRA = false
	plain := lines(t, newJob(t, in, "adapter").must(t, p)[logFile])
	if d := math.Abs(got[0].Loss - plain[0].Loss); d > 1e-5 {
		t.Errorf("the first loss %g is not the base's %g", got[0].Loss, plain[0].Loss)
	}
	if last := got[len(got)-1].Loss; last > 0.9*got[0].Loss {
		t.Errorf("loss %g after %g", last, got[0].Loss)
	}
	a, err := lora.Read(j.task.Out["adapter"])
	if err != nil {
		t.Fatal(err)
	}
	before := *a
	if err := before.Measure(t.Context(), mustConfig(t, in["model"]), in["model"], 1); err != nil {
		t.Fatal(err)
	}
	moved := 0
	for _, pair := range before.Pairs {
		for o, m := range pair.Magnitude {
			if math.Abs(float64(m)-math.Sqrt(pair.Squares[o])) > 1e-3 {
				moved++
			}
		}
	}
	if moved < 100 {
		t.Errorf("only %d magnitudes moved", moved)
	}
	p.LoRA.DoRA, p.BatchSize, p.GradientAccumulation = true, 5, 8
	parts := lines(t, newJob(t, in, "adapter").must(t, p)[logFile])
	for i, w := range got {
		if d := math.Abs(w.Loss-parts[i].Loss) / w.Loss; d > 1e-5 {
			t.Errorf("update %d: loss %g in one microbatch, %g in eight", i+1, w.Loss, parts[i].Loss)
		}
	}
}

func mustConfig(t *testing.T, dir string) decoder.Config {
	t.Helper()
	c, err := decoder.ReadConfig(dir)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestTrainedBesideTheAdapter: what is trained whole, or by token, is in the
// adapter, and a model with the adapter has the loss that training measured.
func TestTrainedBesideTheAdapter(t *testing.T) {
	for _, c := range []struct {
		tied    bool
		options string
		extra   int64 // weights
	}{
		{false, `"modulesToSave": ["embed_tokens"]`, 48 * 32},
		{true, `"modulesToSave": ["lm_head"]`, 48 * 32},
		{true, `"modulesToSave": ["lm_head", "embed_tokens"], "dora": true`, 2*48*32 + 2*(3*32+2*16+2*64)},
		{false, `"trainableTokens": [5, "b"], "modulesToSave": ["lm_head"]`, 48*32 + 2*32},
		{true, `"trainableTokens": ["ab", 7, 11]`, 3 * 32},
	} {
		in := map[string]string{"model": tinyModel(t, c.tied), "tokens": tinyTokens(t, 20, true)}
		writeTokenizer(t, in["model"])
		in["validation"] = in["tokens"]
		p := loraParams()
		if err := json.Unmarshal([]byte(`{"rank": 4, "alpha": 8, `+c.options+`}`), p.LoRA); err != nil {
			t.Fatal(err)
		}
		e, err := forecastOf(t, in, p)
		if err != nil {
			t.Fatal(err)
		}
		j := newJob(t, in, "adapter")
		log := j.must(t, p)[logFile]
		a, err := lora.Read(j.task.Out["adapter"])
		if err != nil {
			t.Fatal(err)
		}
		loss, err := lossOf(t, in, a)
		if err != nil {
			t.Fatal(err)
		}
		if n := a.Params(); n != e.Trainable {
			t.Errorf("%s: %d weights, %d foretold", c.options, n, e.Trainable)
		}
		plain := loraParams()
		if e, err = forecastOf(t, in, plain); err != nil || a.Params() != e.Trainable+c.extra {
			t.Errorf("%s: %d weights, want %d more than %d, %v", c.options, a.Params(), c.extra, e.Trainable, err)
		}
		var last validationLine
		for l := range strings.Lines(log) {
			if strings.Contains(l, "validationLoss") {
				if err := json.Unmarshal([]byte(l), &last); err != nil {
					t.Fatal(err)
				}
			}
		}
		if d := math.Abs(loss - last.ValidationLoss); d > 1e-5 {
			t.Errorf("%s: the adapter has the loss %g, training measured %g", c.options, loss, last.ValidationLoss)
		}
		if first := lines(t, log)[0].Loss; loss > first-0.05 {
			t.Errorf("%s: loss %g after %g", c.options, loss, first)
		}
	}
}

// TestInit: a training starts from the base however the adapter begins, what is
// written fits the base, and a training that is cut short goes on to the same.
func TestInit(t *testing.T) {
	in := inputs(t)
	in["validation"] = in["tokens"]
	plain := lines(t, newJob(t, in, "adapter").must(t, loraParams())[logFile])
	for init, ranks := range map[string]int{"gaussian": 4, "pissa": 8} {
		p := loraParams()
		p.LoRA.Init = init
		j := newJob(t, in, "adapter")
		files := j.must(t, p)
		got := lines(t, files[logFile])
		if d := math.Abs(got[0].Loss - plain[0].Loss); d > 1e-4 {
			t.Errorf("%s: the first loss is %g, the base's %g", init, got[0].Loss, plain[0].Loss)
		}
		if got[9].Loss == plain[9].Loss {
			t.Errorf("%s: the last loss is that of the default", init)
		}
		a, err := lora.Read(j.task.Out["adapter"])
		if err != nil {
			t.Fatal(err)
		}
		if a.Config.Rank != ranks {
			t.Errorf("%s: rank %d, want %d", init, a.Config.Rank, ranks)
		}
		loss, err := lossOf(t, in, a)
		if err != nil {
			t.Fatal(err)
		}
		if want := fmt.Sprintf(`"validationLoss":%.5f`, loss); !strings.Contains(files[logFile], want[:len(want)-1]) {
			t.Errorf("%s: the adapter has %s, the log\n%s", init, want, files[logFile])
		}
		cut, stop := context.WithCancel(t.Context())
		k := newJob(t, in, "adapter")
		k.stop = func(f pipeline.Fact) {
			if p, ok := f.(pipeline.Progress); ok && p.Done == 5 {
				stop()
			}
		}
		if err := k.train(cut, p); err == nil {
			t.Fatalf("%s: the training was not cut short", init)
		}
		k.stop = nil
		if k.must(t, p)["adapter_model.safetensors"] != files["adapter_model.safetensors"] {
			t.Errorf("%s: a training in two parts gives another adapter", init)
		}
	}
}

// TestMethodsInBF16: bf16 numerics learn about as f32 do, by every method.
func TestMethodsInBF16(t *testing.T) {
	in := inputs(t)
	for _, options := range []string{`"dropout": 0.1`, `"dora": true`, `"dora": true, "dropout": 0.1`, `"init": "pissa"`,
		`"modulesToSave": ["lm_head", "embed_tokens"]`, `"trainableTokens": [3, 6, 9]`} {
		var last [2]float64
		for i, numerics := range []string{"f32", "bf16"} {
			p := loraParams()
			p.Numerics = numerics
			if err := json.Unmarshal([]byte(`{"rank": 4, "alpha": 8, `+options+`}`), p.LoRA); err != nil {
				t.Fatal(err)
			}
			got := lines(t, newJob(t, in, "adapter").must(t, p)[logFile])
			last[i] = got[len(got)-1].Loss
		}
		if d := math.Abs(last[0]-last[1]) / last[0]; d > 0.02 || last[0] == last[1] {
			t.Errorf("%s: the last loss is %g in bf16, %g in f32", options, last[1], last[0])
		}
	}
}

// lossOf is the loss of a model with an adapter on its validation tokens.
func lossOf(t *testing.T, in map[string]string, a *lora.Adapter) (float64, error) {
	t.Helper()
	m, err := decoder.Load(in["model"], 1, decoder.Infer)
	if err != nil {
		return 0, err
	}
	if err := a.Attach(m, in["model"], 1); err != nil {
		return 0, err
	}
	rows, done, err := openRows(t.Context(), m.Config, in["validation"], "validation", nil)
	if err != nil {
		return 0, err
	}
	defer done()
	var sum float64
	count := 0
	for i := range rows.number {
		b, err := rows.join([]int{i})
		if err != nil {
			return 0, err
		}
		nll, err := m.NewScorer(1).NLL(t.Context(), b)
		if err != nil {
			return 0, err
		}
		for _, v := range nll {
			sum += v
		}
		count += len(nll)
	}
	return sum / float64(count), nil
}
