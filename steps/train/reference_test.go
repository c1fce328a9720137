package train

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"testing"

	"github.com/pipe-run/pipe/steps/internal/dataset"
	"github.com/pipe-run/pipe/steps/internal/decoder"
	"github.com/pipe-run/pipe/steps/internal/quant"
)

// hashed is element i of tensor t in testdata/reference.py.
func hashed(t, i int) float64 {
	h := uint32((i + 7919*t)) * 2654435761
	h = (h ^ h>>15) * 2246822519
	h ^= h >> 13
	return (float64(h)/(1<<32) - 0.5) * 0.5
}

// hashedInputs are the model and rows of testdata/reference.py.
func hashedInputs(t *testing.T) map[string]string {
	t.Helper()
	in := map[string]string{"model": t.TempDir()}
	index := 0
	writeModel(t, in["model"], fmt.Sprintf(tinyConfig, true), func(x decoder.Tensor) []quant.Part {
		data := make([]float32, elements(x.Shape))
		for i := range data {
			v := hashed(index, i)
			if len(x.Shape) == 1 {
				v++
			}
			data[i] = float32(v)
		}
		index++
		return []quant.Part{dense(t, x.Shape, data)}
	})
	var rows []dataset.Row
	for r := range 6 {
		var row dataset.Row
		for p := range 6 + r {
			id := int32((5*r + 3*p) % 48)
			label := int64(id)
			if p < 3 {
				label = dataset.Unsupervised
			}
			row.InputIDs, row.Labels, row.AttentionMask = append(row.InputIDs, id), append(row.Labels, label), append(row.AttentionMask, 1)
		}
		rows = append(rows, row)
	}
	in["tokens"] = writeTokens(t, rows, false)
	return in
}

// TestLossesEqualPyTorch trains as testdata/reference.py does and compares ten
// losses, learning rates and gradient norms.
func TestLossesEqualPyTorch(t *testing.T) {
	raw, err := os.ReadFile("testdata/reference.json")
	if err != nil {
		t.Fatal(err)
	}
	var want struct{ LoRA, Full []updateLine }
	if err := json.Unmarshal(raw, &want); err != nil {
		t.Fatal(err)
	}
	in := hashedInputs(t)
	lora, full := loraParams(), fullParams()
	full.LearningRate = 5e-3
	for name, c := range map[string]struct {
		p    Params
		out  string
		want []updateLine
	}{"lora": {lora, "adapter", want.LoRA}, "full": {full, "model", want.Full}} {
		c.p.WeightDecay, c.p.Warmup = 0.1, Span{Updates: 2}
		got := lines(t, newJob(t, in, c.out).must(t, c.p)[logFile])
		if len(got) != 10 || len(c.want) != 10 {
			t.Fatalf("%s: %d updates, %d in the reference", name, len(got), len(c.want))
		}
		for i, g := range got {
			w := c.want[i]
			if math.Abs(g.Loss-w.Loss) > 2e-5*w.Loss || math.Abs(g.GradientNorm-w.GradientNorm) > 2e-4*w.GradientNorm ||
				math.Abs(g.LearningRate-w.LearningRate) > 1e-12 || g.SupervisedTokens != w.SupervisedTokens {
				t.Errorf("%s: update %d: %+v, PyTorch %+v", name, i+1, g, w)
			}
		}
	}
}
