package quantize

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/pipe-run/pipe/pipeline"
	"github.com/pipe-run/pipe/steps/internal/artifact"
	"github.com/pipe-run/pipe/steps/internal/dataset"
	"github.com/pipe-run/pipe/steps/internal/decoder"
	"github.com/pipe-run/pipe/steps/internal/quant"
	"github.com/pipe-run/pipe/steps/internal/tensor"
	"github.com/pipe-run/pipe/steps/internal/tiny"
	"github.com/pipe-run/pipe/steps/internal/token"
)

// tinyTokens writes five rows of twelve tokens, the last two of each padding.
func tinyTokens(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	w, err := dataset.CreateTokens(dir, dataset.TokenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 5 {
		var r dataset.Row
		for j := range 12 {
			r.InputIDs = append(r.InputIDs, int32((7*i+5*j)%48))
			r.Labels = append(r.Labels, int64(dataset.Unsupervised))
			r.AttentionMask = append(r.AttentionMask, 1)
		}
		r.AttentionMask[10], r.AttentionMask[11] = 0, 0
		if err := w.Write(r); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return dir
}

// dynamic quantizes a model with nf4 and returns what it chose.
func dynamic(t *testing.T, model string, threads int, d Dynamic) (string, dynamicSummary, error) {
	t.Helper()
	p := nf4
	p.Dynamic = &d
	out, _, err := doWith(t, map[string]string{"model": model, "calibration": tinyTokens(t)}, threads, p)
	if err != nil {
		return "", dynamicSummary{}, err
	}
	var s summary
	readJSON(t, filepath.Join(out, ReportFile), &s)
	return out, *s.Dynamic, nil
}

func TestDynamic(t *testing.T) {
	for _, stored := range []tensor.DType{tensor.F32, tensor.BF16, tensor.F16} {
		model := modelOf(t, wideConfig(), stored)
		out, s, err := dynamic(t, model, 2, Dynamic{Keep: Keep{Ratio: 0.9}, Tokens: 35})
		if err != nil {
			t.Fatal(err)
		}
		if s.Rows != 4 || s.Tokens != 35 || s.Used > s.Budget || len(s.Layers) != 14 {
			t.Errorf("%s: %+v", stored, s)
		}
		checkOrder(t, s)
		checkKept(t, model, out, stored, s)
		if _, err := decoder.Load(out, 2, decoder.Train); err != nil {
			t.Errorf("%s: the decoder refuses the result: %v", stored, err)
		}
	}
}

// checkOrder holds the choice to its definition.
func checkOrder(t *testing.T, s dynamicSummary) {
	t.Helper()
	used, worst := int64(0), math.Inf(1)
	for _, l := range s.Layers {
		per := l.Error / float64(l.Extra)
		if per > worst || l.Error < 0.02 || l.Error > 0.3 {
			t.Errorf("%+v comes after one of %v per byte", l, worst)
		}
		worst = per
		if fits := used+l.Extra <= s.Budget; fits != l.Kept {
			t.Errorf("%+v with %d of %d bytes spent", l, used, s.Budget)
		}
		if l.Kept {
			used += l.Extra
		}
	}
	if used != s.Used || used == 0 {
		t.Errorf("%d bytes spent, the report says %d", used, s.Used)
	}
}

// checkKept compares the weights of all linears, and what describes them, with the choice.
func checkKept(t *testing.T, model, out string, stored tensor.DType, s dynamicSummary) {
	t.Helper()
	was, is := open(t, model), open(t, out)
	skip := []string{"lm_head"}
	for _, l := range s.Layers {
		dtype, err := is.DType(l.Name + ".weight")
		if err != nil {
			t.Fatal(err)
		}
		if !l.Kept {
			if dtype != "NF4" {
				t.Errorf("%s is %s", l.Name, dtype)
			}
			continue
		}
		skip = append(skip, l.Name)
		a, _ := was.F32(l.Name + ".weight")
		b, _ := is.F32(l.Name + ".weight")
		if dtype != string(stored) || !reflect.DeepEqual(a, b) {
			t.Errorf("%s of %s is %s, or changed", l.Name, stored, dtype)
		}
	}
	slices.Sort(skip)
	from, err := artifact.Read(out)
	if err != nil || !slices.Equal(from.Quantization.Skip, skip) {
		t.Errorf("provenance %+v, %v, want skip %v", from.Quantization, err, skip)
	}
	var config struct {
		Quantization struct {
			Skip []string `json:"llm_int8_skip_modules"`
		} `json:"quantization_config"`
	}
	readJSON(t, filepath.Join(out, "config.json"), &config)
	if !slices.Equal(config.Quantization.Skip, skip) {
		t.Errorf("llm_int8_skip_modules %v, want %v", config.Quantization.Skip, skip)
	}
}

// TestOutputErrorIsMeasured compares the error of a layer whose input is known,
// the first query projection, with its definition.
func TestOutputErrorIsMeasured(t *testing.T) {
	model := modelOf(t, wideConfig(), tensor.F32)
	_, s, err := dynamic(t, model, 1, Dynamic{Keep: Keep{Ratio: 0.5}, Tokens: 1})
	if err != nil {
		t.Fatal(err)
	}
	w := open(t, model)
	const name = "model.layers.0.self_attn.q_proj"
	embed, _ := w.F32("model.embed_tokens.weight")
	norm, _ := w.F32("model.layers.0.input_layernorm.weight")
	q, _ := w.F32(name + ".weight")
	few, err := quant.Quantize(1, q, []int{32, 32}, nf4.options(tensor.F32))
	if err != nil {
		t.Fatal(err)
	}
	back := make([]float32, len(q))
	quant.Dequantize(1, few, back)
	var errors, outputs float64
	for o := range 32 {
		var e, y float64
		for i := range 32 {
			x := float64(embed[i]) * float64(norm[i]) // of token 0; its root mean square divides out
			e += (float64(back[32*o+i]) - float64(q[32*o+i])) * x
			y += float64(q[32*o+i]) * x
		}
		errors, outputs = errors+e*e, outputs+y*y
	}
	i := slices.IndexFunc(s.Layers, func(l layerError) bool { return l.Name == name })
	if got, want := s.Layers[i].Error, math.Sqrt(errors/outputs); math.Abs(got-want) > 1e-5*want {
		t.Errorf("error %v, want %v", got, want)
	}
}

func TestDynamicMistakes(t *testing.T) {
	model := modelOf(t, wideConfig(), tensor.BF16)
	var field *pipeline.FieldError
	for name, d := range map[string]struct {
		Dynamic
		field, want string
	}{
		"little": {Dynamic{Keep: Keep{Bytes: 100}, Tokens: 9}, "dynamic.keep", "room for no layer: model.layers.0.self_attn.k_proj takes 756 more"},
		"all":    {Dynamic{Keep: Keep{Bytes: 1 << 30}, Tokens: 9}, "dynamic.keep", "nothing would be quantized"},
		"ratio":  {Dynamic{Keep: Keep{Ratio: 7}, Tokens: 9}, "dynamic.keep", "nothing would be quantized"},
	} {
		if _, _, err := dynamic(t, model, 1, d.Dynamic); !errors.As(err, &field) || field.Field != d.field || !strings.Contains(err.Error(), d.want) {
			t.Errorf("%s: error %v, want one with %q", name, err, d.want)
		}
	}
	p := nf4
	if _, _, err := doWith(t, map[string]string{"model": model, "calibration": tinyTokens(t)}, 1, p); !errors.As(err, &field) || field.Field != "in.calibration" {
		t.Errorf("calibration without dynamic: %v", err)
	}
	p.Dynamic = &Dynamic{Keep: Keep{Ratio: 0.5}, Tokens: 9}
	if _, _, err := do(t, model, 1, p); !errors.As(err, &field) || field.Field != "dynamic" {
		t.Errorf("dynamic without calibration: %v", err)
	}
	small := modelOf(t, strings.Replace(wideConfig(), `"vocab_size":48`, `"vocab_size":20`, 1), tensor.BF16)
	if _, _, err := dynamic(t, small, 1, Dynamic{Keep: Keep{Ratio: 0.5}, Tokens: 99}); !errors.As(err, &field) || field.Field != "in.calibration" || !strings.Contains(err.Error(), "outside the model's vocabulary") {
		t.Errorf("ids that the model has not: %v", err)
	}
}

func TestDynamicEstimate(t *testing.T) {
	model, tokens := modelOf(t, wideConfig(), tensor.BF16), tinyTokens(t)
	request := &pipeline.EstimateRequest{
		Params: json.RawMessage(chosen), Threads: 2,
		Inputs: map[string]fs.FS{"model": os.DirFS(model), "calibration": os.DirFS(tokens)},
	}
	e, err := Kind.Estimate(context.Background(), request)
	if err != nil {
		t.Fatal(err)
	}
	if want := 4 * 40 * float64(2*(2*1024+2*512+3*96*32)); e.Tokens != 40 || e.FLOPs != want || e.Seconds <= 0 {
		t.Errorf("%+v, want 40 tokens and %v FLOPs", e, want)
	}
	request.Params = json.RawMessage(strings.Replace(chosen, "0.9", "0.001", 1))
	var field *pipeline.FieldError
	if _, err := Kind.Estimate(context.Background(), request); !errors.As(err, &field) || field.Field != "dynamic.keep" {
		t.Errorf("a budget for no layer: %v", err)
	}
}

// TestCalibrationOfAnotherTokenizer is refused, by the plan too.
func TestCalibrationOfAnotherTokenizer(t *testing.T) {
	model, tokens := modelOf(t, wideConfig(), tensor.BF16), tinyTokens(t)
	tok := tiny.Model(t, 1)
	raw, err := os.ReadFile(filepath.Join(tok, "tokenizer.json"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(model, "tokenizer.json"), raw, 0o644); err != nil {
		t.Fatal(err)
	}
	own, err := token.Load(model)
	if err != nil {
		t.Fatal(err)
	}
	p, err := pipeline.DecodeParams[Params](json.RawMessage(chosen))
	if err != nil {
		t.Fatal(err)
	}
	for digest, refused := range map[string]bool{"": false, own.Digest(): false, "00": true} {
		if err := artifact.Write(tokens, artifact.Provenance{Type: pipeline.TypeTokens, Tokenizer: digest}); err != nil {
			t.Fatal(err)
		}
		_, _, ran := doWith(t, map[string]string{"model": model, "calibration": tokens}, 1, p)
		_, planned := Kind.Estimate(context.Background(), &pipeline.EstimateRequest{
			Params: json.RawMessage(chosen), Threads: 1,
			Inputs: map[string]fs.FS{"model": os.DirFS(model), "calibration": os.DirFS(tokens)},
		})
		for _, err := range []error{ran, planned} {
			var field *pipeline.FieldError
			if !refused && err != nil || refused && (!errors.As(err, &field) || field.Field != "in.calibration") {
				t.Errorf("tokenizer %q: %v", digest, err)
			}
		}
	}
}

func TestKeepJSON(t *testing.T) {
	for text, want := range map[string]Keep{`1000`: {Bytes: 1000}, `{"ratio":0.25}`: {Ratio: 0.25}} {
		var k Keep
		if err := json.Unmarshal([]byte(text), &k); err != nil || k != want {
			t.Errorf("%s is %+v, %v", text, k, err)
		}
	}
	for _, text := range []string{`"x"`, `{}`, `{"bytes":1}`, `0.5`} {
		var k Keep
		if err := json.Unmarshal([]byte(text), &k); err == nil {
			t.Errorf("%s is accepted as %+v", text, k)
		}
	}
}
