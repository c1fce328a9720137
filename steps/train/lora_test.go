package train

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/pipe-run/pipe/pipeline"
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
