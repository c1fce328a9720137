package train

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/pipe-run/pipe/pipeline"
	"github.com/pipe-run/pipe/steps/internal/artifact"
	"github.com/pipe-run/pipe/steps/internal/dataset"
	"github.com/pipe-run/pipe/steps/internal/decoder"
	"github.com/pipe-run/pipe/steps/internal/lora"
	"github.com/pipe-run/pipe/steps/internal/quant"
	"github.com/pipe-run/pipe/steps/internal/safetensors"
	"github.com/pipe-run/pipe/steps/internal/tensor"
)

const tinyConfig = `{"architectures":["LlamaForCausalLM"],"model_type":"llama","vocab_size":48,"hidden_size":32,
"intermediate_size":64,"num_hidden_layers":2,"num_attention_heads":4,"num_key_value_heads":2,
"max_position_embeddings":64,"rms_norm_eps":1e-5,"rope_theta":10000,"tie_word_embeddings":%t,
"torch_dtype":"float32","hidden_act":"silu","bos_token_id":1,"eos_token_id":2}`

// tinyModel writes a random model with a configuration of tinyConfig.
func tinyModel(t *testing.T, tied bool) string {
	t.Helper()
	dir := t.TempDir()
	r := rand.New(rand.NewPCG(1, 2))
	writeModel(t, dir, fmt.Sprintf(tinyConfig, tied), func(x decoder.Tensor) []quant.Part {
		data := make([]float32, elements(x.Shape))
		for i := range data {
			data[i] = float32(r.NormFloat64() * 0.15)
			if len(x.Shape) == 1 {
				data[i]++
			}
		}
		return []quant.Part{dense(t, x.Shape, data)}
	})
	return dir
}

// dense is a tensor stored as float32.
func dense(t *testing.T, shape []int, data []float32) quant.Part {
	t.Helper()
	raw := make([]byte, 4*len(data))
	if err := tensor.Encode(raw, tensor.F32, data); err != nil {
		t.Fatal(err)
	}
	return quant.Part{DType: tensor.F32, Shape: shape, Data: raw}
}

// writeModel writes a model of config whose tensors are stored as parts says.
func writeModel(t *testing.T, dir, config string, parts func(decoder.Tensor) []quant.Part) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, "config.json"), []byte(config), 0o644); err != nil {
		t.Fatal(err)
	}
	cfg, err := decoder.ReadConfig(dir)
	if err != nil {
		t.Fatal(err)
	}
	data := map[string][]byte{}
	var specs []safetensors.Spec
	for _, x := range cfg.Tensors() {
		for _, p := range parts(x) {
			specs = append(specs, safetensors.Spec{Name: x.Name + p.Suffix, DType: p.DType, Shape: p.Shape})
			data[x.Name+p.Suffix] = p.Data
		}
	}
	w, err := safetensors.Create(filepath.Join(dir, "model.safetensors"), specs, safetensors.PyTorch())
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range safetensors.Order(specs) {
		if err := w.Write(s.Name, data[s.Name]); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
}

// tinyTokens writes n rows of different lengths that follow a rule: each id is
// the one before it plus three.
func tinyTokens(t *testing.T, n int, packed bool) string {
	t.Helper()
	var rows []dataset.Row
	r := rand.New(rand.NewPCG(3, 4))
	for range n {
		var row dataset.Row
		for range 1 + r.IntN(2) {
			id := int32(r.IntN(48))
			for p := range 5 + r.IntN(9) {
				label := int64(id)
				if p < 3 {
					label = dataset.Unsupervised
				}
				row.InputIDs, row.Labels = append(row.InputIDs, id), append(row.Labels, label)
				row.AttentionMask, row.PositionIDs = append(row.AttentionMask, 1), append(row.PositionIDs, int32(p))
				id = (id + 3) % 48
			}
			if !packed {
				break
			}
		}
		if !packed {
			row.PositionIDs = nil
		}
		rows = append(rows, row)
	}
	return writeTokens(t, rows, packed)
}

func writeTokens(t *testing.T, rows []dataset.Row, packed bool) string {
	t.Helper()
	dir := t.TempDir()
	w, err := dataset.CreateTokens(dir, dataset.TokenOptions{Packed: packed})
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range rows {
		if err := w.Write(row); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return dir
}

// loraParams are the schema's defaults with a short training.
func loraParams() Params {
	return Params{
		Method: "lora", LoRA: &LoRA{Rank: 4, Alpha: 8}, MaxUpdates: 10, BatchSize: 8, GradientAccumulation: 1,
		LearningRate: 1e-2, Schedule: "cosine", Warmup: Warmup{Ratio: 0.1}, Betas: [2]float64{0.9, 0.999},
		Epsilon: 1e-8, MaxGradNorm: 1, Seed: 42, Numerics: "f32",
	}
}

func fullParams() Params {
	p := loraParams()
	p.Method, p.LoRA, p.Init, p.DType, p.WeightDecay = "full", nil, "pretrained", "f32", 0.1
	return p
}

// job is one training in directories of its own.
type job struct {
	task  *pipeline.Task
	facts []pipeline.Fact
	log   bytes.Buffer
	stop  func(pipeline.Fact) // called with every fact
}

func newJob(t *testing.T, in map[string]string, output string) *job {
	j := &job{}
	j.task = &pipeline.Task{
		In: in, Out: map[string]string{output: t.TempDir()}, Tmp: t.TempDir(), State: t.TempDir(), Threads: 2,
		Log: slog.New(slog.NewTextHandler(&j.log, nil)),
		Emit: func(f pipeline.Fact) {
			j.facts = append(j.facts, f)
			if j.stop != nil {
				j.stop(f)
			}
		},
	}
	return j
}

// train runs p through the kind, as the child process does.
func (j *job) train(ctx context.Context, p Params) error {
	raw, err := json.Marshal(paramsJSON(p))
	if err != nil {
		return err
	}
	s, err := Kind.New(raw)
	if err != nil {
		return err
	}
	return s.Run(ctx, j.task)
}

// paramsJSON leaves out what p does not have, as the compiler does.
func paramsJSON(p Params) map[string]any {
	raw, _ := json.Marshal(p)
	m := map[string]any{}
	_ = json.Unmarshal(raw, &m)
	for k, v := range m {
		if v == nil || v == "" || (v == 0.0 && slices.Contains([]string{"epochs", "maxUpdates", "checkpointEvery"}, k)) {
			delete(m, k)
		}
	}
	return m
}

func (j *job) must(t *testing.T, p Params) map[string]string {
	t.Helper()
	if err := j.train(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	return j.files(t)
}

// files returns the content of the output's files by name.
func (j *job) files(t *testing.T) map[string]string {
	t.Helper()
	files := map[string]string{}
	for _, dir := range j.task.Out {
		entries, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			b, err := os.ReadFile(filepath.Join(dir, e.Name()))
			if err != nil {
				t.Fatal(err)
			}
			files[e.Name()] = string(b)
		}
	}
	return files
}

func lines(t *testing.T, jsonl string) (updates []updateLine) {
	t.Helper()
	for l := range strings.Lines(jsonl) {
		var u updateLine
		if err := json.Unmarshal([]byte(l), &u); err != nil {
			t.Fatal(err)
		}
		if strings.Contains(l, `"loss"`) {
			updates = append(updates, u)
		}
	}
	return updates
}

func inputs(t *testing.T) map[string]string {
	return map[string]string{"model": tinyModel(t, false), "tokens": tinyTokens(t, 40, true)}
}

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
	p.LoRA.Targets = Targets{"v_proj", "q_proj"}
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
	rows, done, err := openRows(t.Context(), m.Config, in["tokens"], "tokens")
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

// TestResumeEqualsUninterrupted stops training after random updates, again and
// again, and compares the outputs byte for byte.
func TestResumeEqualsUninterrupted(t *testing.T) {
	for name, p := range map[string]Params{"lora": loraParams(), "full": fullParams()} {
		out := map[string]string{"lora": "adapter", "full": "model"}[name]
		in := inputs(t)
		in["validation"] = tinyTokens(t, 5, false)
		p.MaxUpdates, p.GradientAccumulation, p.BatchSize = 17, 2, 3
		want := newJob(t, in, out).must(t, p)
		if n := strings.Count(want[logFile], "validationLoss"); n != 3 {
			t.Fatalf("%s: %d validations, want 3: %s", name, n, want[logFile])
		}
		r := rand.New(rand.NewPCG(5, 6))
		for round := range 4 {
			j := newJob(t, in, out)
			stops := 0
			for {
				ctx, cancel := context.WithCancel(t.Context())
				left := 1 + r.IntN(8)
				j.stop = func(f pipeline.Fact) {
					if m, ok := f.(pipeline.Metric); ok && (m.Name == "train/loss" || m.Name == "validation/loss") {
						if left--; left == 0 {
							cancel()
						}
					}
				}
				err := j.train(ctx, p)
				cancel()
				if err == nil {
					break
				}
				if !errors.Is(err, context.Canceled) {
					t.Fatal(err)
				}
				stops++
			}
			if got := j.files(t); stops == 0 || !equalFiles(got, want) {
				t.Errorf("%s, round %d: differs after %d interruptions:\n%s\n%s", name, round, stops, got[logFile], want[logFile])
			}
		}
	}
}

func equalFiles(a, b map[string]string) bool {
	if len(a) != len(b) {
		return false
	}
	for name := range a {
		if a[name] != b[name] {
			return false
		}
	}
	return true
}

// TestPeriodicCheckpoint: a kill that leaves no time to save loses no more than
// the updates since the last checkpoint.
func TestPeriodicCheckpoint(t *testing.T) {
	in := inputs(t)
	p := loraParams()
	want := newJob(t, in, "adapter").must(t, p)
	p.CheckpointEvery = 4
	j := newJob(t, in, "adapter")
	state := t.TempDir() // what a kill after update 6 would leave
	j.stop = func(f pipeline.Fact) {
		if u, ok := f.(pipeline.Progress); ok && u.Done == 6 {
			b, err := os.ReadFile(filepath.Join(j.task.State, checkpointFile))
			if err != nil {
				t.Error(err)
			}
			if err := os.WriteFile(filepath.Join(state, checkpointFile), b, 0o644); err != nil {
				t.Error(err)
			}
		}
	}
	if !equalFiles(j.must(t, p), want) {
		t.Error("checkpoints change the result")
	}
	again := newJob(t, in, "adapter")
	again.task.State = state
	if !equalFiles(again.must(t, p), want) {
		t.Error("differs after a resumption")
	}
	if first := again.facts[0].(pipeline.Progress); first.Done != 5 {
		t.Errorf("continued with update %d, want 5", first.Done)
	}
}

// TestDamagedCheckpointIsIgnored flips a bit at many places, cuts the file, and
// leaves one of another training.
func TestDamagedCheckpointIsIgnored(t *testing.T) {
	in := inputs(t)
	p := loraParams()
	p.MaxUpdates = 3
	want := newJob(t, in, "adapter").must(t, p)
	ctx, cancel := context.WithCancel(t.Context())
	j := newJob(t, in, "adapter")
	j.stop = func(pipeline.Fact) { cancel() }
	if err := j.train(ctx, p); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(filepath.Join(j.task.State, checkpointFile))
	if err != nil {
		t.Fatal(err)
	}
	resume := func(name string, content []byte, p Params) {
		j := newJob(t, in, "adapter")
		if err := os.WriteFile(filepath.Join(j.task.State, checkpointFile), content, 0o644); err != nil {
			t.Fatal(err)
		}
		got := j.must(t, p)
		ignored := strings.Contains(j.log.String(), "checkpoint is ignored")
		if ignored != (name != "whole") {
			t.Errorf("%s: log %s", name, j.log.String())
		}
		if p.Seed == 42 && !equalFiles(got, want) {
			t.Errorf("%s: the result differs", name)
		}
	}
	resume("whole", whole, p)
	for at := 0; at < len(whole); at += len(whole)/7 + 1 {
		b := bytes.Clone(whole)
		b[at] ^= 4
		resume(fmt.Sprintf("bit of byte %d", at), b, p)
	}
	for _, n := range []int{0, 10, 31, len(whole) - 1} {
		resume(fmt.Sprintf("cut to %d", n), whole[:n], p)
	}
	p.Seed = 43
	resume("another seed", whole, p)
}

func TestDivergenceIsReported(t *testing.T) {
	p := fullParams()
	p.LearningRate, p.Warmup, p.MaxGradNorm = 1e30, Warmup{}, 0
	err := newJob(t, inputs(t), "model").train(t.Context(), p)
	if err == nil || !strings.Contains(err.Error(), "training diverged: update 2 ") {
		t.Errorf("got %v", err)
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
		`no linear layer is called "k_pro"`: func(in map[string]string, p *Params) { p.LoRA.Targets = Targets{"q_proj", "k_pro"} },
		"lora.rank: 17 is above the width of model.layers.0.self_attn.k_proj, a 16×32 matrix": func(in map[string]string, p *Params) {
			p.LoRA.Rank = 17
		},
		"has no tensor model.layers.2": func(in map[string]string, p *Params) {
			in["model"] = tinyModel(t, false)
			short := strings.Replace(fmt.Sprintf(tinyConfig, false), `"num_hidden_layers":2`, `"num_hidden_layers":3`, 1)
			os.WriteFile(filepath.Join(in["model"], "config.json"), []byte(short), 0o644)
		},
		"made with another tokenizer": func(in map[string]string, p *Params) {
			in["model"] = tinyModel(t, false)
			writeTokenizer(t, in["model"])
			artifact.Write(in["tokens"], artifact.Provenance{Type: "tokens", Tokenizer: "00"})
		},
		"not used by method full":     func(in map[string]string, p *Params) { p.Method, p.Init, p.DType = "full", "random", "f32" },
		"batchSize: 0 is below 1":     func(in map[string]string, p *Params) { p.BatchSize = 0 },
		`numerics: "bf16" is not f32`: func(in map[string]string, p *Params) { p.Numerics = "bf16" },
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

func TestParamsReadWhatTheSchemaGives(t *testing.T) {
	for text, want := range map[string]Params{
		`{"lora":{"rank":8,"alpha":16,"targets":"all-linear"},"warmup":{"ratio":0.03}}`: {LoRA: &LoRA{Rank: 8, Alpha: 16}, Warmup: Warmup{Ratio: 0.03}},
		`{"lora":{"rank":8,"alpha":16,"targets":["q_proj"]},"warmup":12}`:               {LoRA: &LoRA{Rank: 8, Alpha: 16, Targets: Targets{"q_proj"}}, Warmup: Warmup{Updates: 12}},
	} {
		p, err := pipeline.DecodeParams[Params]([]byte(text))
		a, _ := json.Marshal(p)
		b, _ := json.Marshal(want)
		if err != nil || !bytes.Equal(a, b) {
			t.Errorf("%s: %s, want %s, %v", text, a, b, err)
		}
	}
	for _, text := range []string{`{"lora":{"targets":"some"}}`, `{"lora":{"targets":[]}}`, `{"warmup":"x"}`, `{"warmup":{"share":1}}`, `{"sede":1}`} {
		if _, err := pipeline.DecodeParams[Params]([]byte(text)); err == nil {
			t.Errorf("%s is accepted", text)
		}
	}
}

func TestUpdates(t *testing.T) {
	for _, c := range []struct {
		rows, batch, accumulate, epochs, max int
		epoch, total                         int
	}{
		{10, 2, 1, 0, 0, 5, 15},
		{10, 2, 2, 2, 0, 3, 6},
		{10, 2, 2, 2, 5, 3, 5},
		{10, 2, 2, 0, 50, 3, 50},
		{1, 8, 8, 1, 0, 1, 1},
	} {
		p := Params{BatchSize: c.batch, GradientAccumulation: c.accumulate, Epochs: c.epochs, MaxUpdates: c.max}
		if epoch, total := p.updates(c.rows); epoch != c.epoch || total != c.total {
			t.Errorf("%+v: %d updates an epoch, %d in all", c, epoch, total)
		}
	}
	for _, c := range []struct {
		w     Warmup
		total int
		want  int
	}{{Warmup{}, 100, 0}, {Warmup{Updates: 7}, 100, 7}, {Warmup{Ratio: 0.03}, 100, 3}, {Warmup{Ratio: 0.03}, 10, 1}, {Warmup{Ratio: 1}, 10, 10}} {
		if got := c.w.updates(c.total); got != c.want {
			t.Errorf("warm-up %+v of %d: %d, want %d", c.w, c.total, got, c.want)
		}
	}
}

// TestEveryRowOncePerEpoch, in another order in every epoch.
func TestEveryRowOncePerEpoch(t *testing.T) {
	p := &Params{BatchSize: 3, GradientAccumulation: 2, Seed: 1}
	o := newOrder(20, p)
	var epochs [2][]int
	for u := range 8 {
		for _, micro := range o.update(u) {
			if len(micro) > 3 {
				t.Errorf("microbatch of %d rows", len(micro))
			}
			epochs[u/4] = append(epochs[u/4], micro...)
		}
	}
	for i, e := range epochs {
		sorted := slices.Clone(e)
		slices.Sort(sorted)
		if len(slices.Compact(sorted)) != 20 || len(e) != 20 {
			t.Errorf("epoch %d: rows %v", i, e)
		}
	}
	if slices.Equal(epochs[0], epochs[1]) {
		t.Error("the epochs have one order")
	}
}

// oneRow is a document of four tokens that predicts three.
func oneRow() []dataset.Row {
	return []dataset.Row{{
		InputIDs: []int32{1, 2, 3, 4}, AttentionMask: []int8{1, 1, 1, 1}, Labels: []int64{1, 2, 3, 4},
	}}
}
