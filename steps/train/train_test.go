package train

import (
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pipe-run/pipe/steps/internal/artifact"
	"github.com/pipe-run/pipe/steps/internal/decoder"
	"github.com/pipe-run/pipe/steps/internal/lora"
	"github.com/pipe-run/pipe/steps/steptest"
)

func TestLossFalls(t *testing.T) {
	for name, p := range map[string]Params{"lora": loraParams(), "full": fullParams()} {
		for _, tied := range []bool{false, true} {
			in := map[string]string{"model": tinyModel(t, tied), "tokens": tinyTokens(t, 40, false)}
			j := newJob(t, in, map[string]string{"lora": "adapter", "full": "model"}[name])
			p.MaxUpdates = 10
			got := lines(t, j.must(t, p)[logFile])
			if len(got) != 10 || got[9].Update != 10 || got[9].Epoch != 2 {
				t.Fatalf("%s: lines %+v", name, got)
			}
			first, last := got[0].Loss, got[9].Loss
			if !(last < 0.9*first) || math.Abs(first-math.Log(48)) > 1.5 {
				t.Errorf("%s, tied %v: loss went from %g to %g", name, tied, first, last)
			}
		}
	}
}

func TestOutputIsAdapterWithProvenance(t *testing.T) {
	j := newJob(t, inputs(t), "adapter")
	p := loraParams()
	p.MaxUpdates = 2
	p.LoRA.Targets.Names = []string{"v_proj", "q_proj"}
	files := j.must(t, p)
	want := []string{"README.md", "adapter_config.json", "adapter_model.safetensors", "pipe.json", "training.jsonl"}
	for _, name := range want {
		if files[name] == "" {
			t.Errorf("no %s", name)
		}
	}
	if len(files) != len(want) {
		t.Errorf("files %v", files)
	}
	a, err := lora.Read(j.task.Out["adapter"])
	if err != nil {
		t.Fatal(err)
	}
	if m := a.Modules(); len(m) != 4 || m[0] != "model.layers.0.self_attn.q_proj" {
		t.Errorf("modules %v", m)
	}
	from, err := artifact.Read(j.task.Out["adapter"])
	if err != nil {
		t.Fatal(err)
	}
	base, err := artifact.Digest(j.task.In["model"])
	if err != nil || from.Type != "adapter" || from.Base != base {
		t.Errorf("provenance %+v, base %s, %v", from, base, err)
	}
}

func TestFullModelIsReadBack(t *testing.T) {
	for _, dtype := range []string{"f32", "bf16"} {
		j := newJob(t, map[string]string{"model": tinyModel(t, true), "tokens": tinyTokens(t, 16, false)}, "model")
		p := fullParams()
		p.MaxUpdates, p.DType = 2, dtype
		files := j.must(t, p)
		torch := map[string]string{"f32": "float32", "bf16": "bfloat16"}[dtype]
		if !strings.Contains(files["config.json"], `"torch_dtype": "`+torch+`"`) {
			t.Errorf("config.json: %s", files["config.json"])
		}
		m, err := decoder.Load(j.task.Out["model"], 1, decoder.Infer)
		if err != nil {
			t.Fatal(err)
		}
		if m.VocabSize != 48 {
			t.Errorf("vocabulary of %d", m.VocabSize)
		}
	}
}

func TestF16HasARange(t *testing.T) {
	if !fitsF16([]float32{65504, -65519}) || fitsF16([]float32{0, 65520}) || fitsF16([]float32{-1e6}) {
		t.Error("f16 ends where a number would be rounded to 65536")
	}
}

// TestAdapterStartsAtBase: with B = 0 the first loss is that of the base model.
func TestAdapterStartsAtBase(t *testing.T) {
	in := inputs(t)
	p := loraParams()
	p.MaxUpdates, p.BatchSize = 1, 40
	got := lines(t, newJob(t, in, "adapter").must(t, p)[logFile])[0]

	m, err := decoder.Load(in["model"], 1, decoder.Infer)
	if err != nil {
		t.Fatal(err)
	}
	rows, done, err := openRows(t.Context(), m.Config, in["tokens"], "tokens", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer done()
	sum, count := 0.0, 0
	for i := range rows.number {
		b, err := rows.join([]int{i})
		if err != nil {
			t.Fatal(err)
		}
		nll, err := m.NewScorer(1).NLL(t.Context(), b)
		if err != nil {
			t.Fatal(err)
		}
		for _, x := range nll {
			sum += x
		}
		count += len(nll)
	}
	if want := sum / float64(count); math.Abs(got.Loss-want) > 1e-6 || got.SupervisedTokens != count {
		t.Errorf("loss %g over %d tokens, the base has %g over %d", got.Loss, got.SupervisedTokens, want, count)
	}
}

// TestAccumulationIsBatching: how an update is cut into microbatches changes
// nothing but rounding, and that only where gradients of microbatches are added.
func TestAccumulationIsBatching(t *testing.T) {
	for name, p := range map[string]Params{"lora": loraParams(), "full": fullParams()} {
		in := inputs(t)
		p.MaxUpdates = 6
		var want []updateLine
		for _, cut := range [][2]int{{8, 1}, {4, 2}, {1, 8}} {
			p.BatchSize, p.GradientAccumulation = cut[0], cut[1]
			j := newJob(t, in, map[string]string{"lora": "adapter", "full": "model"}[name])
			got := lines(t, j.must(t, p)[logFile])
			if want == nil {
				want = got
			}
			for i := range got {
				if math.Abs(got[i].Loss-want[i].Loss) > 1e-6*want[i].Loss || got[i].SupervisedTokens != want[i].SupervisedTokens {
					t.Errorf("%s %d×%d: update %d has loss %.9g, uncut %.9g", name, cut[0], cut[1], i+1, got[i].Loss, want[i].Loss)
				}
			}
		}
	}
}

// TestSuite: equal bytes elsewhere and with other threads, stopped when told to.
func TestSuite(t *testing.T) {
	for name, p := range map[string]Params{"lora": loraParams(), "full": fullParams()} {
		raw, err := json.Marshal(paramsJSON(p))
		if err != nil {
			t.Fatal(err)
		}
		out := map[string]string{"lora": "adapter", "full": "model"}[name]
		steptest.Run(t, steptest.Case{Kind: Kind, Params: string(raw), In: inputs(t), Out: []string{out}})
	}
}

func TestThreadsChangeNothing(t *testing.T) {
	for name, p := range map[string]Params{"lora": loraParams(), "full": fullParams()} {
		in := inputs(t)
		var want map[string]string
		for _, threads := range []int{1, 2, 3} {
			j := newJob(t, in, map[string]string{"lora": "adapter", "full": "model"}[name])
			j.task.Threads = threads
			got := j.must(t, p)
			if want == nil {
				want = got
			}
			for file := range want {
				if got[file] != want[file] {
					t.Errorf("%s: %s differs with %d threads", name, file, threads)
				}
			}
		}
	}
}

func TestRandomWeightsNeedNoWeights(t *testing.T) {
	in := inputs(t)
	if err := os.Remove(filepath.Join(in["model"], "model.safetensors")); err != nil {
		t.Fatal(err)
	}
	p := fullParams()
	p.Init = "random"
	got := lines(t, newJob(t, in, "model").must(t, p)[logFile])
	if first := got[0].Loss; math.Abs(first-math.Log(48)) > 0.1 {
		t.Errorf("first loss %g, of a model that knows nothing %g", first, math.Log(48))
	}
}
