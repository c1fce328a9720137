package train

import (
	"fmt"
	"strings"
	"testing"

	"github.com/pipe-run/pipe/steps/internal/artifact"
	"github.com/pipe-run/pipe/steps/internal/decoder"
	"github.com/pipe-run/pipe/steps/internal/quant"
	"github.com/pipe-run/pipe/steps/internal/tensor"
	"github.com/pipe-run/pipe/steps/internal/weights"
)

// quantized writes model with 4-bit linears, and a twin of float32 weights that
// are what those stand for.
func quantized(t *testing.T, model string) (nf4, twin string) {
	t.Helper()
	nf4, twin = t.TempDir(), t.TempDir()
	w, err := weights.Open(model)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	back := map[string][]float32{}
	config := fmt.Sprintf(tinyConfig, false)
	writeModel(t, nf4, config, func(x decoder.Tensor) []quant.Part {
		data, err := w.F32(x.Name)
		if err != nil {
			t.Fatal(err)
		}
		back[x.Name] = data
		if !strings.HasSuffix(x.Name, "_proj.weight") {
			return []quant.Part{dense(t, x.Shape, data)}
		}
		q, err := quant.Quantize(1, data, x.Shape, quant.Options{Scheme: quant.NF4, BlockSize: 64, DoubleQuant: true, DType: tensor.F32})
		if err != nil {
			t.Fatal(err)
		}
		quant.Dequantize(1, q, data)
		parts, err := q.Parts()
		if err != nil {
			t.Fatal(err)
		}
		return parts
	})
	writeModel(t, twin, config, func(x decoder.Tensor) []quant.Part {
		return []quant.Part{dense(t, x.Shape, back[x.Name])}
	})
	return nf4, twin
}

// TestQLoRAEqualsLoRAOnDequantizedWeights, bit for bit: 4-bit weights are the
// numbers they stand for, unpacked just before use.
func TestQLoRAEqualsLoRAOnDequantizedWeights(t *testing.T) {
	nf4, twin := quantized(t, tinyModel(t, false))
	from := artifact.Provenance{
		Type: "model", Base: strings.Repeat("ab", 32), License: "mit",
		Quantization: &artifact.Quantization{Scheme: "nf4", BlockSize: 64, DoubleQuant: true},
	}
	if err := artifact.Write(nf4, from); err != nil {
		t.Fatal(err)
	}
	tokens := tinyTokens(t, 40, true)
	q := newJob(t, map[string]string{"model": nf4, "tokens": tokens}, "adapter")
	a := q.must(t, loraParams())
	b := newJob(t, map[string]string{"model": twin, "tokens": tokens}, "adapter").must(t, loraParams())
	for _, name := range []string{"adapter_model.safetensors", logFile} {
		if a[name] != b[name] {
			t.Errorf("%s differs", name)
		}
	}
	got, err := artifact.Read(q.task.Out["adapter"])
	if err != nil {
		t.Fatal(err)
	}
	if got.Original != from.Base || got.TrainedOn == nil || got.TrainedOn.Scheme != "nf4" || got.Base == "" || got.License != "mit" {
		t.Errorf("provenance %+v", got)
	}
}

func TestFullTrainingRefusesQuantizedWeights(t *testing.T) {
	nf4, _ := quantized(t, tinyModel(t, false))
	j := newJob(t, map[string]string{"model": nf4, "tokens": tinyTokens(t, 4, false)}, "model")
	if err := j.train(t.Context(), fullParams()); err == nil || !strings.Contains(err.Error(), "the model is quantized") {
		t.Errorf("got %v", err)
	}
}

// TestMethodsOnQuantizedWeights: DoRA's lengths and PiSSA's principal parts are
// those of the weights that 4 bits stand for.
func TestMethodsOnQuantizedWeights(t *testing.T) {
	nf4, twin := quantized(t, tinyModel(t, false))
	tokens := tinyTokens(t, 10, true)
	for name, set := range map[string]func(*LoRA){
		"dora":  func(l *LoRA) { l.DoRA, l.Dropout = true, 0.1 },
		"pissa": func(l *LoRA) { l.Init = pissa },
	} {
		p := loraParams()
		p.MaxUpdates = 4
		set(p.LoRA)
		got := weightsOf(t, map[string]string{"model": nf4, "tokens": tokens}, p)
		if got != weightsOf(t, map[string]string{"model": twin, "tokens": tokens}, p) {
			t.Errorf("%s: another adapter than on the dequantized weights", name)
		}
	}
}
