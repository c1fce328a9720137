package train

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"testing"

	"github.com/pipe-run/pipe/pipeline"
	"github.com/pipe-run/pipe/steps/internal/dataset"
	"github.com/pipe-run/pipe/steps/internal/decoder"
	"github.com/pipe-run/pipe/steps/internal/quant"
	"github.com/pipe-run/pipe/steps/internal/tensor"
)

// TestMain lets the test binary train in a process of its own, whose memory can
// be measured: see TestMemoryIsForetold.
func TestMain(m *testing.M) {
	if dir := os.Getenv("PIPE_TEST_TRAIN"); dir != "" {
		if err := trainAlone(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// trainAlone trains as dir/params.json says, on dir/model and dir/tokens, as
// the child of a run does, and prints what
// bytes it has resident before, and the peak of them.
func trainAlone(dir string) error {
	debug.SetGCPercent(20) // as pipeline/run has it for kinds that foretell their memory
	raw, err := os.ReadFile(filepath.Join(dir, "params.json"))
	if err != nil {
		return err
	}
	s, err := Kind.New(raw)
	if err != nil {
		return err
	}
	task := &pipeline.Task{
		In: map[string]string{}, Out: map[string]string{}, Tmp: filepath.Join(dir, "tmp"), State: filepath.Join(dir, "state"),
		Threads: 2, Log: slog.New(slog.NewTextHandler(io.Discard, nil)), Emit: func(pipeline.Fact) {},
	}
	for _, name := range []string{"model", "tokens", "validation"} {
		if _, err := os.Stat(filepath.Join(dir, name)); err == nil {
			task.In[name] = filepath.Join(dir, name)
		}
	}
	for _, d := range []string{task.Tmp, task.State, filepath.Join(dir, "adapter"), filepath.Join(dir, "out")} {
		if err := os.MkdirAll(d, 0o777); err != nil {
			return err
		}
	}
	task.Out["adapter"], task.Out["model"] = filepath.Join(dir, "adapter"), filepath.Join(dir, "out")
	if err := printStatus("VmRSS:"); err != nil {
		return err
	}
	if err := s.Run(context.Background(), task); err != nil {
		return err
	}
	return printStatus("VmHWM:")
}

// printStatus prints a size of this process in bytes.
func printStatus(name string) error {
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return err
	}
	for line := range strings.Lines(string(text)) {
		if v, ok := strings.CutPrefix(line, name); ok {
			kib, err := strconv.Atoi(strings.TrimSuffix(strings.TrimSpace(v), " kB"))
			fmt.Println(kib << 10)
			return err
		}
	}
	return fmt.Errorf("the kernel does not say")
}

// middling is a configuration whose training takes some hundred megabytes.
const middling = `{"architectures":["LlamaForCausalLM"],"model_type":"llama","vocab_size":8192,"hidden_size":256,
"intermediate_size":768,"num_hidden_layers":8,"num_attention_heads":8,"num_key_value_heads":4,
"max_position_embeddings":512,"rms_norm_eps":1e-5,"rope_theta":10000,"tie_word_embeddings":true,
"torch_dtype":"float32","hidden_act":"silu","bos_token_id":1,"eos_token_id":2}`

// middlingInputs writes a model, stored as scheme says, and rows for it.
func middlingInputs(t *testing.T, scheme string, rows, length int) map[string]string {
	t.Helper()
	in := map[string]string{"model": t.TempDir()}
	r := rand.New(rand.NewPCG(5, 8))
	writeModel(t, in["model"], middling, func(x decoder.Tensor) []quant.Part {
		data := make([]float32, elements(x.Shape))
		for i := range data {
			data[i] = float32(r.NormFloat64() * 0.02)
			if len(x.Shape) == 1 {
				data[i] = 1
			}
		}
		if scheme == "nf4" && strings.HasSuffix(x.Name, "_proj.weight") {
			q, err := quant.Quantize(1, data, x.Shape, quant.Options{Scheme: quant.NF4, BlockSize: 64, DoubleQuant: true, DType: tensor.F32})
			if err != nil {
				t.Fatal(err)
			}
			parts, err := q.Parts()
			if err != nil {
				t.Fatal(err)
			}
			return parts
		}
		return []quant.Part{dense(t, x.Shape, data)}
	})
	var list []dataset.Row
	for range rows {
		var row dataset.Row
		for i := range length {
			id := int32(r.IntN(8192))
			label := int64(id)
			if i < length/2 {
				label = dataset.Unsupervised
			}
			row.InputIDs, row.Labels = append(row.InputIDs, id), append(row.Labels, label)
			row.AttentionMask = append(row.AttentionMask, 1)
		}
		list = append(list, row)
	}
	in["tokens"] = writeTokens(t, list, false)
	return in
}

// TestMemoryIsForetold: the plan's peak of memory is within a tenth of that of
// a process that trains.
func TestMemoryIsForetold(t *testing.T) {
	if runtime.GOOS != "linux" || testing.Short() {
		t.Skip("trains in processes of their own, whose peak Linux tells")
	}
	dense, nf4 := middlingInputs(t, "f32", 16, 256), middlingInputs(t, "nf4", 16, 256)
	for name, c := range map[string]struct {
		in     map[string]string
		change func(*Params)
	}{
		"lora, all again":    {dense, func(p *Params) { p.Recompute = "all" }},
		"lora, nothing":      {dense, func(p *Params) { p.Recompute = "none" }},
		"nf4, small batches": {nf4, func(p *Params) { p.BatchSize, p.GradientAccumulation, p.Recompute = 2, 4, "all" }},
		"full":               {dense, func(p *Params) { *p = fullParams(); p.Recompute = "all" }},
		"full, 8 bits":       {dense, func(p *Params) { *p = fullParams(); p.Optimizer = "adamw8bit"; p.Recompute = "none" }},
		"pissa":              {dense, func(p *Params) { p.LoRA.Init, p.LoRA.Rank, p.Recompute = pissa, 64, "all" }},
		"dora, bf16":         {dense, func(p *Params) { p.LoRA.DoRA, p.Numerics = true, "bf16" }},
	} {
		p := loraParams()
		p.LoRA.Rank = 16
		c.change(&p)
		p.MaxUpdates = 2
		e, err := forecastOf(t, c.in, p)
		if err != nil {
			t.Fatal(err)
		}
		base, got := peakOf(t, c.in, p)
		foretold := e.Memory - process + base // this is another program than pipe
		ratio := float64(foretold) / float64(got)
		t.Logf("%s: %d MB foretold, %d MB seen, %d MB before", name, foretold>>20, got>>20, base>>20)
		if ratio < 0.9 || ratio > 1.1 {
			t.Errorf("%s: %.3g times what was seen", name, ratio)
		}
	}
}

// peakOf trains in a process of its own and returns the bytes that it has
// resident before, and its peak of them.
func peakOf(t *testing.T, in map[string]string, p Params) (before, peak int64) {
	t.Helper()
	dir := t.TempDir()
	raw, err := json.Marshal(paramsJSON(p))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "params.json"), raw, 0o666); err != nil {
		t.Fatal(err)
	}
	for name, path := range in {
		if err := os.Symlink(path, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), "PIPE_TEST_TRAIN="+dir)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := fmt.Sscan(string(out), &before, &peak); err != nil {
		t.Fatal(err)
	}
	return before, peak
}
