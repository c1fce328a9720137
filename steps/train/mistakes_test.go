package train

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pipe-run/pipe/steps/internal/artifact"
	"github.com/pipe-run/pipe/steps/internal/dataset"
)

func TestDivergenceIsReported(t *testing.T) {
	p := fullParams()
	p.LearningRate, p.Warmup, p.MaxGradNorm = 1e30, Span{}, 0
	err := newJob(t, inputs(t), "model").train(t.Context(), p)
	if err == nil || !strings.Contains(err.Error(), "training diverged: update 2 ") {
		t.Errorf("got %v", err)
	}
}

func TestRowsWithoutSupervisionAreLeftOut(t *testing.T) {
	rows := []dataset.Row{
		{InputIDs: []int32{1, 2, 3}, AttentionMask: []int8{1, 1, 1}, Labels: []int64{-100, -100, -100}},
		{InputIDs: []int32{1, 4, 3, 0}, AttentionMask: []int8{1, 1, 1, 0}, Labels: []int64{-100, 4, 3, 0}}, // padded
		{InputIDs: []int32{5}, AttentionMask: []int8{1}, Labels: []int64{5}},                               // nothing before it predicts it
		{},
	}
	in := map[string]string{"model": tinyModel(t, false), "tokens": writeTokens(t, rows, false)}
	j := newJob(t, in, "adapter")
	got := lines(t, j.must(t, loraParams())[logFile])
	if got[0].SupervisedTokens != 2 || got[0].Epoch != 1 {
		t.Errorf("first update %+v", got[0])
	}
	if !strings.Contains(j.log.String(), "3 rows hold no supervised token") {
		t.Errorf("log %s", j.log.String())
	}
}

func TestMistakes(t *testing.T) {
	row := func(ids []int32, labels []int64) dataset.Row {
		r := dataset.Row{InputIDs: ids, Labels: labels}
		for range ids {
			r.AttentionMask = append(r.AttentionMask, 1)
		}
		return r
	}
	long := row(make([]int32, 65), make([]int64, 65))
	for want, mistake := range map[string]func(in map[string]string, p *Params){
		"none of 1 rows holds a supervised token": func(in map[string]string, p *Params) {
			in["tokens"] = writeTokens(t, []dataset.Row{row([]int32{1, 2}, []int64{-100, -100})}, false)
		},
		"outside the model's vocabulary of 48": func(in map[string]string, p *Params) {
			in["tokens"] = writeTokens(t, []dataset.Row{row([]int32{1, 48}, []int64{-100, 1})}, false)
		},
		"beyond the model's 64 positions": func(in map[string]string, p *Params) {
			in["tokens"] = writeTokens(t, []dataset.Row{long}, false)
		},
		"reading validation: none of 0 rows": func(in map[string]string, p *Params) {
			in["validation"] = writeTokens(t, nil, false)
		},
		"zero between tokens": func(in map[string]string, p *Params) {
			r := row([]int32{1, 2, 3}, []int64{-100, 2, 3})
			r.AttentionMask[1] = 0
			in["tokens"] = writeTokens(t, []dataset.Row{r}, false)
		},
		`no linear layer is called "k_pro"`: func(in map[string]string, p *Params) { p.LoRA.Targets.Names = []string{"q_proj", "k_pro"} },
		"lora.rank: 17 is above the width of model.layers.0.self_attn.k_proj, a 16×32 matrix": func(in map[string]string, p *Params) {
			p.LoRA.Rank = 17
		},
		"has no tensor model.layers.2": func(in map[string]string, p *Params) {
			in["model"] = tinyModel(t, false)
			short := strings.Replace(fmt.Sprintf(tinyConfig, false), `"num_hidden_layers":2`, `"num_hidden_layers":3`, 1)
			os.WriteFile(filepath.Join(in["model"], "config.json"), []byte(short), 0o644)
		},
		"in.tokens: made with another tokenizer than the model's: its digest is 00, the model's ": func(in map[string]string, p *Params) {
			in["model"] = tinyModel(t, false)
			writeTokenizer(t, in["model"])
			artifact.Write(in["tokens"], artifact.Provenance{Type: "tokens", Tokenizer: "00"})
		},
		"not used by method full":            func(in map[string]string, p *Params) { p.Method, p.Init, p.DType = "full", "random", "f32" },
		"batchSize: 0 is below 1":            func(in map[string]string, p *Params) { p.BatchSize = 0 },
		`numerics: "f16" is not f32 or bf16`: func(in map[string]string, p *Params) { p.Numerics = "f16" },
	} {
		in, p := inputs(t), loraParams()
		mistake(in, &p)
		if err := newJob(t, in, "adapter").train(t.Context(), p); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}

// writeTokenizer gives a model a byte-level tokenizer of four pieces.
func writeTokenizer(t *testing.T, dir string) {
	t.Helper()
	text := `{"version":"1.0","added_tokens":[],"normalizer":null,
"pre_tokenizer":{"type":"ByteLevel","add_prefix_space":false,"trim_offsets":true,"use_regex":true},
"post_processor":null,"decoder":{"type":"ByteLevel","add_prefix_space":true,"trim_offsets":true,"use_regex":true},
"model":{"type":"BPE","dropout":null,"unk_token":null,"continuing_subword_prefix":null,"end_of_word_suffix":null,
"fuse_unk":false,"byte_fallback":false,"vocab":{"a":0,"b":1,"ab":2,"c":3},"merges":["a b"]}}`
	if err := os.WriteFile(filepath.Join(dir, "tokenizer.json"), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// TestLossWeights: equal weights change nothing, since the loss is divided by their
// sum; a token of weight 0 is as if it were not supervised.
func TestLossWeights(t *testing.T) {
	losses := func(weight func(i int) float32, label func(i int) bool) (all []float64) {
		rows := oneRow()
		for r := range rows {
			for i := range rows[r].Labels {
				if !label(i) {
					rows[r].Labels[i] = dataset.Unsupervised
				}
				if weight != nil {
					rows[r].LossWeights = append(rows[r].LossWeights, weight(i))
				}
			}
		}
		in := inputs(t)
		in["tokens"] = writeTokens(t, rows, rows[0].PositionIDs != nil)
		for _, line := range lines(t, newJob(t, in, "adapter").must(t, loraParams())["training.jsonl"]) {
			all = append(all, line.Loss)
		}
		return all
	}
	always := func(int) bool { return true }
	odd := func(i int) bool { return i%2 == 1 }
	plain := losses(nil, always)
	for i, l := range losses(func(int) float32 { return 0.5 }, always) {
		if math.Abs(l-plain[i]) > 1e-5 {
			t.Errorf("update %d: loss %v with equal weights, %v without", i, l, plain[i])
		}
	}
	some := losses(nil, odd)
	for i, l := range losses(func(i int) float32 { return float32(i % 2) }, always) {
		if math.Abs(l-some[i]) > 1e-5 {
			t.Errorf("update %d: loss %v with weights of 0, %v unsupervised", i, l, some[i])
		}
	}
	if math.Abs(some[0]-plain[0]) < 1e-4 {
		t.Error("the weights make no difference")
	}
}
