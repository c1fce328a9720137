package decoder

import (
	"context"
	"encoding/json"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/pipe-run/pipe/steps/internal/safetensors"
	"github.com/pipe-run/pipe/steps/internal/tensor"
	"github.com/pipe-run/pipe/steps/internal/weights"
)

// familyGolden is what interop/golden/families.py stored beside a model: the
// answers of transformers, PEFT and torch.
type familyGolden struct {
	Documents [][]int32  `json:"documents"`
	Ignored   int        `json:"ignored"`
	Rank      int        `json:"rank"`
	Alpha     float32    `json:"alpha"`
	Greedy    []int32    `json:"greedy"`
	Full      *gradNorms `json:"full"`
	LoRA      *gradNorms `json:"lora"`
}

// gradNorms are a mean loss and the norm of every gradient.
type gradNorms struct {
	Loss  float64            `json:"loss"`
	Norms map[string]float64 `json:"norms"`
}

// eachFamily runs test on every golden model.
func eachFamily(t *testing.T, test func(t *testing.T, dir string, g familyGolden)) {
	dirs, err := filepath.Glob("testdata/families/*")
	if err != nil || len(dirs) < 18 {
		t.Fatalf("%d models, %v", len(dirs), err)
	}
	for _, dir := range dirs {
		t.Run(filepath.Base(dir), func(t *testing.T) {
			raw, err := os.ReadFile(filepath.Join(dir, "golden.json"))
			if err != nil {
				t.Fatal(err)
			}
			var g familyGolden
			if err := json.Unmarshal(raw, &g); err != nil {
				t.Fatal(err)
			}
			test(t, dir, g)
		})
	}
}

// packed is all documents as one batch, and how many tokens it supervises.
func (g familyGolden) packed(t *testing.T, c Config) (*Batch, int) {
	t.Helper()
	var ids, pos []int32
	var labels []int64
	for _, doc := range g.Documents {
		for i, id := range doc {
			ids, pos = append(ids, id), append(pos, int32(i))
			if i < g.Ignored {
				labels = append(labels, Ignore)
			} else {
				labels = append(labels, int64(id))
			}
		}
	}
	b, err := NewBatch(c, ids, pos, labels)
	if err != nil {
		t.Fatal(err)
	}
	return b, len(b.Rows)
}

// goldenLogits reads those of every token of every document.
func goldenLogits(t *testing.T, dir string) []float32 {
	t.Helper()
	f, err := safetensors.Open(filepath.Join(dir, "logits.safetensors"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	entry, _ := f.Tensor("logits")
	raw, err := f.Read(entry)
	if err != nil {
		t.Fatal(err)
	}
	x := make([]float32, entry.Elements())
	if err := tensor.Decode(x, entry.DType, raw); err != nil {
		t.Fatal(err)
	}
	return x
}

func loadFamily(t *testing.T, dir string, use Use) *Model {
	t.Helper()
	m, err := Load(dir, 2, use)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// worst is the largest difference between two slices of one length.
func worst(a, b []float32) (d float64) {
	for i, v := range a {
		if diff := math.Abs(float64(v) - float64(b[i])); !(diff <= d) {
			d = diff
		}
	}
	return d
}

func TestFamilyLogits(t *testing.T) {
	eachFamily(t, func(t *testing.T, dir string, g familyGolden) {
		want := goldenLogits(t, dir)
		for _, use := range []Use{Infer, Train} {
			m := loadFamily(t, dir, use)
			b, _ := g.packed(t, m.Config)
			rows := make([]int32, len(b.IDs))
			for i := range rows {
				rows[i] = int32(i)
			}
			got, err := m.NewScorer(2).Logits(context.Background(), b, rows)
			if err != nil {
				t.Fatal(err)
			}
			if len(got) != len(want) {
				t.Fatalf("%d logits, want %d", len(got), len(want))
			}
			if d := worst(got, want); !(d <= 1e-4) {
				t.Errorf("logits are off by %.1e", d)
			}
		}
	})
}

// TestFamilyBF16 computes linears in bf16: near the same logits, for inference
// and for training, wherever linears are stored transposed or in 4 bits.
func TestFamilyBF16(t *testing.T) {
	eachFamily(t, func(t *testing.T, dir string, g familyGolden) {
		want := goldenLogits(t, dir)
		var size float64
		for _, v := range want {
			size = max(size, math.Abs(float64(v)))
		}
		for _, use := range []Use{Infer, Train} {
			m, err := LoadIn(dir, 2, use, BF16)
			if err != nil {
				t.Fatal(err)
			}
			b, _ := g.packed(t, m.Config)
			rows := make([]int32, len(b.IDs))
			for i := range rows {
				rows[i] = int32(i)
			}
			got, err := m.NewScorer(2).Logits(context.Background(), b, rows)
			if err != nil {
				t.Fatal(err)
			}
			if d := worst(got, want); !(d > 1e-4*size && d < 0.05*size) {
				t.Errorf("logits of up to %.3g are off by %.1e", size, d)
			}
		}
	})
}

// TestFamilyGeneration compares reading token by token through the cache with
// transformers, and with scoring at once.
func TestFamilyGeneration(t *testing.T) {
	eachFamily(t, func(t *testing.T, dir string, g familyGolden) {
		m := loadFamily(t, dir, Infer)
		ids, err := m.NewSession(2).Complete(context.Background(), g.Documents[1], Limits{MaxNewTokens: len(g.Greedy)})
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(ids, g.Greedy) {
			t.Errorf("ids %v, want %v", ids, g.Greedy)
		}
		doc, s, v := g.Documents[0], m.NewSession(1), m.VocabSize
		want := goldenLogits(t, dir)
		for i, from := range []int{0, 3, 4, 5, 11} { // chunks of several lengths
			to := []int{3, 4, 5, 11, len(doc)}[i]
			logits, err := s.Read(context.Background(), doc[from:to])
			if err != nil {
				t.Fatal(err)
			}
			if d := worst(logits, want[(to-1)*v:to*v]); !(d <= 1e-4) {
				t.Errorf("after %d tokens logits are off by %.1e", to, d)
			}
		}
	})
}

// TestFamilyLoRA compares the loss and the gradient of every LoRA matrix on
// every linear with PEFT.
func TestFamilyLoRA(t *testing.T) {
	eachFamily(t, func(t *testing.T, dir string, g familyGolden) {
		if g.LoRA == nil {
			t.Skip("the peer cannot differentiate this model")
		}
		m := loadFamily(t, dir, Train)
		b, count := g.packed(t, m.Config)
		tr := NewTraining(m, len(b.IDs)+3, 2)
		params := store{}
		for k, name := range slices.Sorted(maps.Keys(g.LoRA.Norms)) {
			params[name] = loraFormula(k, m.Config, name, g.Rank)
		}
		adapt := func(string) (Adapt, bool) {
			return Adapt{Rank: g.Rank, Scale: g.Alpha / float32(g.Rank)}, true
		}
		var blocks []op
		for i := range m.Layers {
			blocks = append(blocks, tr.NewBlockOp(i, adapt))
		}
		if err := tr.SetBatch(b, float64(count)); err != nil {
			t.Fatal(err)
		}
		loss, grads := run(t, tr, nil, blocks, tr.NewLossOp(), params)
		compareNorms(t, g.LoRA, float64(loss), grads)
	})
}

// loraFormula is lora of interop/golden/families.py.
func loraFormula(k int, c Config, name string, rank int) []float32 {
	n := 0
	for _, m := range c.Modules() {
		switch name {
		case m.Path + ".lora_A.weight":
			n = rank * m.In
		case m.Path + ".lora_B.weight":
			n = m.Out * rank
		}
	}
	x := make([]float32, n)
	for i := range x {
		x[i] = float32(float64(float64((i*7919+(k+1)*104729)%2003)/2003*0.6) - 0.3)
	}
	return x
}

// TestFamilyFull compares the loss and the gradient of every weight with torch.
func TestFamilyFull(t *testing.T) {
	eachFamily(t, func(t *testing.T, dir string, g familyGolden) {
		if g.Full == nil {
			t.Skip("the peer cannot differentiate this model")
		}
		c, params := readFamily(t, dir)
		b, count := g.packed(t, c)
		tr := NewTraining(Skeleton(c), len(b.IDs), 2)
		var blocks []op
		for i := range c.Layers {
			blocks = append(blocks, tr.NewFullBlockOp(i))
		}
		if err := tr.SetBatch(b, float64(count)); err != nil {
			t.Fatal(err)
		}
		loss, grads := run(t, tr, tr.NewEmbedOp(), blocks, tr.NewFullLossOp(), params)
		if c.bare {
			for _, name := range slices.Collect(maps.Keys(g.Full.Norms)) {
				g.Full.Norms[strings.TrimPrefix(name, c.family().names.base)] = g.Full.Norms[name]
				delete(g.Full.Norms, name)
			}
		}
		compareNorms(t, g.Full, float64(loss), grads)
	})
}

// readFamily reads every tensor of a golden model, linears as [Out, In].
func readFamily(t *testing.T, dir string) (Config, store) {
	t.Helper()
	c, err := ReadConfig(dir)
	if err != nil {
		t.Fatal(err)
	}
	w, err := weights.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	files, err := c.Oriented(w)
	if err != nil {
		t.Fatal(err)
	}
	params := store{}
	for _, x := range c.Tensors() {
		if params[x.Name], err = files.F32(x.Name); err != nil {
			t.Fatal(err)
		}
	}
	return c, params
}

// compareNorms wants a loss and norms within 1e-4 relative. A gradient that
// vanishes in exact arithmetic, such as that of a bias on keys, is only noise.
func compareNorms(t *testing.T, want *gradNorms, loss float64, grads store) {
	t.Helper()
	if math.Abs(loss-want.Loss) > 1e-4*want.Loss {
		t.Errorf("loss %v, want %v", loss, want.Loss)
	}
	if len(grads) != len(want.Norms) {
		t.Errorf("%d gradients, want %d", len(grads), len(want.Norms))
	}
	for _, name := range slices.Sorted(maps.Keys(want.Norms)) {
		var sum float64
		for _, v := range grads[name] {
			sum += float64(v) * float64(v)
		}
		if got, exact := math.Sqrt(sum), want.Norms[name]; !(math.Abs(got-exact) <= 1e-4*exact+1e-6) {
			t.Errorf("%s: gradient has norm %v, want %v", name, got, exact)
		}
	}
}
