package lora

import (
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/pipe-run/pipe/steps/internal/decoder"
	"github.com/pipe-run/pipe/steps/internal/tensor"
)

// golden is what PEFT and torch compute for an adapter; see interop/golden/lora.py.
type golden struct {
	Model  string
	Logits [][]float64 // of the last tokens of the first document
	Loss   float64
	Norms  map[string]float64 // of the gradients, by tensor
}

// documents are those of the goldens.
func documents(vocab int) [][]int32 {
	var list [][]int32
	for d, n := range []int{21, 6} {
		var ids []int32
		for i := range n {
			ids = append(ids, int32((7+13*i*i+29*d+5*i)%vocab))
		}
		list = append(list, ids)
	}
	return list
}

// TestPEFT computes with adapters that PEFT wrote, one per method: logits, with
// the adapter and merged, the loss and every gradient.
func TestPEFT(t *testing.T) {
	dirs, err := filepath.Glob("testdata/peft/*")
	if err != nil || len(dirs) < 6 {
		t.Fatalf("%d adapters, %v", len(dirs), err)
	}
	for _, dir := range dirs {
		t.Run(filepath.Base(dir), func(t *testing.T) {
			var want golden
			text, err := os.ReadFile(filepath.Join(dir, "golden.json"))
			if err == nil {
				err = json.Unmarshal(text, &want)
			}
			if err != nil {
				t.Fatal(err)
			}
			base := filepath.Join("../decoder/testdata/families", want.Model)
			a, err := Read(dir)
			if err != nil {
				t.Fatal(err)
			}
			m, err := decoder.Load(base, 1, decoder.Infer)
			if err != nil {
				t.Fatal(err)
			}
			if err := a.Attach(m, base, 1); err != nil {
				t.Fatal(err)
			}
			checkLogits(t, m, want)
			merged, err := decoder.Load(merge(t, base, m.Config, a, MergeOptions{DType: tensor.F32, Threads: 1}), 1, decoder.Infer)
			if err != nil {
				t.Fatal(err)
			}
			checkLogits(t, merged, want)
			checkTraining(t, dir, base, want)
		})
	}
}

func checkLogits(t *testing.T, m *decoder.Model, want golden) {
	t.Helper()
	ids := documents(m.VocabSize)[0]
	b, err := decoder.NewBatch(m.Config, ids, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	var rows []int32
	for i := range want.Logits {
		rows = append(rows, int32(len(ids)-len(want.Logits)+i))
	}
	got, err := m.NewScorer(1).Logits(t.Context(), b, rows)
	if err != nil {
		t.Fatal(err)
	}
	for i, w := range slices.Concat(want.Logits...) {
		if d := math.Abs(float64(got[i]) - w); !(d <= 1e-4*max(1, math.Abs(w))) {
			t.Fatalf("logit %d is %v, PEFT's %v", i, got[i], w)
		}
	}
}

// checkTraining compares the loss and the gradients of all that is trained.
func checkTraining(t *testing.T, dir, base string, want golden) {
	t.Helper()
	a, err := Read(dir)
	if err != nil {
		t.Fatal(err)
	}
	m, err := decoder.Load(base, 1, decoder.Train)
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Check(m.Config); err != nil {
		t.Fatal(err)
	}
	if a.Config.DoRA {
		if err := a.Measure(t.Context(), m.Config, base, 1); err != nil {
			t.Fatal(err)
		}
	}
	checkPass(t, a, m, want)
}

// checkPass takes the documents forward and backward through m with a.
func checkPass(t *testing.T, a *Adapter, m *decoder.Model, want golden) {
	t.Helper()
	var ids, positions []int32
	var labels []int64
	count := 0
	for _, doc := range documents(m.VocabSize) {
		for i, id := range doc {
			label := int64(decoder.Ignore)
			if i >= 4 {
				label, count = int64(id), count+1
			}
			ids, positions, labels = append(ids, id), append(positions, int32(i)), append(labels, label)
		}
	}
	b, err := decoder.NewBatch(m.Config, ids, positions, labels)
	if err != nil {
		t.Fatal(err)
	}
	tr := decoder.NewTraining(m, len(ids), 2)
	if err := tr.SetBatch(b, float64(count)); err != nil {
		t.Fatal(err)
	}
	loss, norms := a.pass(t, m.Config, tr, len(ids))
	if math.Abs(loss-want.Loss) > 1e-4*want.Loss {
		t.Errorf("loss %v, PEFT's %v", loss, want.Loss)
	}
	for name, w := range want.Norms {
		if got := norms[name]; !(math.Abs(got-w) <= 1e-4*w+1e-7) {
			t.Errorf("gradient of %s has norm %v, PEFT's %v", name, got, w)
		}
		delete(norms, name)
	}
	if len(norms) > 0 {
		t.Errorf("gradients that PEFT does not have: %v", sortedKeys(norms))
	}
}

// get is the trained tensor that an op calls name.
func (a *Adapter) get(t *testing.T, name string) []float32 {
	t.Helper()
	x := a.Trained(name)
	if x == nil {
		t.Fatalf("the adapter has no %s", name)
	}
	return x
}

// trainOp is what decoder's ops have in common.
type trainOp interface {
	Inputs() []decoder.Tensor
	Forward(out []float32, in [][]float32) error
	Backward(grads, in [][]float32, out, gradOut []float32) error
}

// pass goes forward and backward once and returns the loss and the norm of the
// gradient of every trained tensor.
func (a *Adapter) pass(t *testing.T, c decoder.Config, tr *decoder.Training, tokens int) (float64, map[string]float64) {
	t.Helper()
	ops := []trainOp{frozenEmbeddings{tr}}
	switch {
	case a.Saved.Embed != nil:
		ops[0] = tr.NewSavedEmbedOp()
	case a.Saved.Tokens != nil:
		ops[0] = tr.NewTokenEmbedOp(a.Saved.Tokens)
	}
	for i := range c.Layers {
		ops = append(ops, tr.NewBlockOp(i, a.Adapt))
	}
	switch {
	case a.Saved.Head != nil:
		ops = append(ops, tr.NewSavedLossOp())
	case a.Saved.Tokens != nil && c.Tied:
		ops = append(ops, tr.NewTokenLossOp(a.Saved.Tokens))
	default:
		ops = append(ops, tr.NewLossOp())
	}
	n := len(ops)
	xs := make([][]float32, n+1)
	in, grads := make([][][]float32, n), make([][][]float32, n)
	for i, o := range ops {
		xs[i+1] = make([]float32, tokens*c.Hidden)
		if i > 0 {
			in[i] = [][]float32{xs[i]}
			grads[i] = [][]float32{make([]float32, len(xs[i]))}
		}
		for _, p := range o.Inputs() {
			x := a.get(t, p.Name)
			in[i], grads[i] = append(in[i], x), append(grads[i], make([]float32, len(x)))
		}
		if err := o.Forward(xs[i+1], in[i]); err != nil {
			t.Fatal(err)
		}
	}
	loss, dy := xs[n][0], []float32{1}
	all := map[string][]float32{} // the tied matrix gets two
	for i := n - 1; i >= 0; i-- {
		if err := ops[i].Backward(grads[i], in[i], xs[i+1], dy); err != nil {
			t.Fatal(err)
		}
		for j, p := range ops[i].Inputs() {
			g := grads[i][j+min(i, 1)]
			for k, v := range all[p.Name] {
				g[k] += v
			}
			all[p.Name] = g
		}
		if i > 0 {
			dy = grads[i][0]
		}
	}
	norms := map[string]float64{}
	for name, g := range all {
		var sum float64
		for _, v := range g {
			sum += float64(v) * float64(v)
		}
		norms[name] = math.Sqrt(sum)
	}
	return float64(loss), norms
}

// frozenEmbeddings is the op of embeddings that are not trained.
type frozenEmbeddings struct{ tr *decoder.Training }

func (frozenEmbeddings) Inputs() []decoder.Tensor { return nil }

func (f frozenEmbeddings) Forward(out []float32, _ [][]float32) error {
	f.tr.Embed(out)
	return nil
}

func (frozenEmbeddings) Backward(_, _ [][]float32, _, _ []float32) error { return nil }
