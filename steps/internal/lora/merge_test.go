package lora

import (
	"context"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/pipe-run/pipe/steps/internal/artifact"
	"github.com/pipe-run/pipe/steps/internal/decoder"
	"github.com/pipe-run/pipe/steps/internal/quant"
	"github.com/pipe-run/pipe/steps/internal/safetensors"
	"github.com/pipe-run/pipe/steps/internal/tensor"
	"github.com/pipe-run/pipe/steps/internal/weights"
)

// merge merges into a new model directory.
func merge(t *testing.T, dir string, c decoder.Config, a *Adapter, opt MergeOptions) string {
	t.Helper()
	w, err := weights.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	out := t.TempDir()
	if err := Merge(context.Background(), c, w, a, out, opt); err != nil {
		t.Fatal(err)
	}
	set := map[string]any{}
	if a.Unties(c) {
		set["tie_word_embeddings"] = false
	}
	if err := artifact.RewriteConfig(dir, out, set); err != nil {
		t.Fatal(err)
	}
	return out
}

func TestMergeEqualsAdapter(t *testing.T) {
	for _, stored := range []tensor.DType{tensor.F32, tensor.BF16} {
		dir, c := model(t, stored)
		a := adapter(t, c)
		with, without := logits(t, dir, a), logits(t, dir, nil)
		merged := logits(t, merge(t, dir, c, a, MergeOptions{DType: tensor.F32, Threads: 2}), nil)
		if d := distance(with, merged); d > 1e-4 {
			t.Errorf("%s: merged logits are off by %g", stored, d)
		}
		if d := distance(with, without); d < 0.1 {
			t.Errorf("%s: the adapter changes logits by only %g", stored, d)
		}
		half := logits(t, merge(t, dir, c, a, MergeOptions{DType: tensor.BF16, Threads: 2}), nil)
		if d := distance(with, half); d > 0.5 {
			t.Errorf("%s: logits merged to BF16 are off by %g", stored, d)
		}
	}
}

func TestZeroAdapterIsTheBase(t *testing.T) {
	dir, c := model(t, tensor.F32)
	a := build(t, c, Spec{Rank: 3, Alpha: 6})
	if !slices.Equal(logits(t, dir, a), logits(t, dir, nil)) {
		t.Error("an adapter with B = 0 changes the logits")
	}
	out := merge(t, dir, c, a, MergeOptions{DType: tensor.F32, Threads: 1})
	got, err := os.ReadFile(filepath.Join(out, weights.SingleFile))
	if err != nil {
		t.Fatal(err)
	}
	want, err := os.ReadFile(filepath.Join(dir, weights.SingleFile))
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(got, want) {
		t.Error("merging an adapter with B = 0 changes the file")
	}
}

// TestMergeRounds merges into the quantized weights, and checks them against
// quantizing first and merging what that holds.
func TestMergeRounds(t *testing.T) {
	dir, c := model(t, tensor.F32)
	a := adapter(t, c, "q_proj")
	round := &artifact.Quantization{Scheme: "nf4", BlockSize: 64, DoubleQuant: true, Skip: []string{"model.layers.1.mlp.up_proj"}}
	out := merge(t, dir, c, a, MergeOptions{DType: tensor.F32, Threads: 1, Round: round})
	before, after := open(t, dir), open(t, out)
	for _, m := range c.Modules() {
		x, y := f32(t, before, m.Path+".weight"), f32(t, after, m.Path+".weight")
		if p, ok := a.Pairs[m.Path]; ok {
			for i, d := range p.Delta(1) {
				y[i] -= d
			}
		}
		var worst float64
		for i := range x {
			worst = max(worst, math.Abs(float64(x[i]-y[i])))
		}
		if skipped := m.Path == "model.layers.1.mlp.up_proj"; skipped != (worst == 0) || worst > 0.3 {
			t.Errorf("%s moved by %g", m.Path, worst)
		}
	}
	if !slices.Equal(f32(t, before, decoder.EmbedName), f32(t, after, decoder.EmbedName)) {
		t.Error("the embedding was rounded")
	}
}

func open(t *testing.T, dir string) *weights.Dir {
	t.Helper()
	w, err := weights.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.Close() })
	return w
}

func f32(t *testing.T, w *weights.Dir, name string) []float32 {
	t.Helper()
	x, err := w.F32(name)
	if err != nil {
		t.Fatal(err)
	}
	return x
}

// TestMergeIntoStored4Bit merges into weights stored in 4 bits, which is the
// same as rounding the dense ones on the way.
func TestMergeIntoStored4Bit(t *testing.T) {
	dir, c := model(t, tensor.F32)
	a := adapter(t, c)
	round := &artifact.Quantization{Scheme: "nf4", BlockSize: 64, DoubleQuant: true}
	opt := MergeOptions{DType: tensor.F32, Threads: 2}
	small := quantized(t, dir, c, round)
	fromSmall := merge(t, small, c, a, opt)
	opt.Round = round
	fromDense := merge(t, dir, c, a, opt)
	got, err := os.ReadFile(filepath.Join(fromSmall, weights.SingleFile))
	if err != nil {
		t.Fatal(err)
	}
	want, err := os.ReadFile(filepath.Join(fromDense, weights.SingleFile))
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(got, want) {
		t.Error("merging into 4-bit weights differs from quantizing, dequantizing and merging")
	}
	if d := distance(logits(t, small, a), logits(t, fromSmall, nil)); d > 1e-4 {
		t.Errorf("merged logits are off by %g", d)
	}
}

// quantized writes the model in dir once more, its linears in 4 bits.
func quantized(t *testing.T, dir string, c decoder.Config, q *artifact.Quantization) string {
	t.Helper()
	w := open(t, dir)
	linear := map[string]bool{}
	for _, m := range c.Modules() {
		linear[m.Path+".weight"] = true
	}
	var specs []safetensors.Spec
	data := map[string][]byte{}
	for _, name := range w.Names() {
		spec, raw, err := w.Stored(name)
		if err != nil {
			t.Fatal(err)
		}
		if !linear[name] {
			specs, data[name] = append(specs, spec), raw
			continue
		}
		n, err := quant.Quantize(1, f32(t, w, name), spec.Shape, quant.Options{Scheme: q.Scheme, BlockSize: q.BlockSize, DoubleQuant: q.DoubleQuant, DType: tensor.F32})
		if err != nil {
			t.Fatal(err)
		}
		parts, err := n.Parts()
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range parts {
			specs = append(specs, safetensors.Spec{Name: name + p.Suffix, DType: p.DType, Shape: p.Shape})
			data[name+p.Suffix] = p.Data
		}
	}
	out := t.TempDir()
	sw, err := safetensors.Create(filepath.Join(out, weights.SingleFile), specs, safetensors.PyTorch())
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range safetensors.Order(specs) {
		if err := sw.Write(s.Name, data[s.Name]); err != nil {
			t.Fatal(err)
		}
	}
	if err := sw.Close(); err != nil {
		t.Fatal(err)
	}
	if err := artifact.RewriteConfig(dir, out, nil); err != nil {
		t.Fatal(err)
	}
	return out
}

// TestTrainingOn4Bit takes a block forward and backward over weights that are
// kept in 4 bits or in BF16: the same bits as over what they unpack to.
func TestTrainingOn4Bit(t *testing.T) {
	dense, c := model(t, tensor.BF16)
	small := quantized(t, dense, c, &artifact.Quantization{Scheme: "nf4", BlockSize: 64, DoubleQuant: true})
	for _, dir := range []string{dense, small} {
		stored, err := decoder.Load(dir, 2, decoder.Train)
		if err != nil {
			t.Fatal(err)
		}
		w := open(t, dir)
		unpacked, err := decoder.FromTensors(c, func(name string) []float32 { return f32(t, w, name) })
		if err != nil {
			t.Fatal(err)
		}
		if got, want := blockGradients(t, stored), blockGradients(t, unpacked); !slices.Equal(got, want) {
			t.Errorf("%s: weights kept as stored give other gradients", dir)
		}
	}
}

// blockGradients returns output and gradients of a block and the loss.
func blockGradients(t *testing.T, m *decoder.Model) []float32 {
	t.Helper()
	b, err := decoder.NewBatch(m.Config, []int32{1, 2, 3, 4, 5}, nil, []int64{1, 2, 3, 4, 5})
	if err != nil {
		t.Fatal(err)
	}
	tr := decoder.NewTraining(m, 5, 2)
	if err := tr.SetBatch(b, 4); err != nil {
		t.Fatal(err)
	}
	n := 5 * m.Hidden
	x, y, loss := make([]float32, n), make([]float32, n), make([]float32, 1)
	tr.Embed(x)
	a := adapter(t, m.Config)
	block := tr.NewBlockOp(0, func(string) (decoder.Adapt, bool) { return decoder.Adapt{Rank: 4, Scale: 2}, true })
	in, grads := [][]float32{x}, [][]float32{make([]float32, n)}
	for i := 0; i < len(block.Inputs()); i += 2 {
		p := a.Pairs[strings.TrimSuffix(block.Inputs()[i].Name, suffixA)]
		in, grads = append(in, p.A, p.B), append(grads, make([]float32, len(p.A)), make([]float32, len(p.B)))
	}
	head, dy := tr.NewLossOp(), [][]float32{make([]float32, n)}
	for _, err := range []error{
		block.Forward(y, in), head.Forward(loss, [][]float32{y}),
		head.Backward(dy, [][]float32{y}, loss, []float32{1}), block.Backward(grads, in, y, dy[0]),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	return slices.Concat(append(grads, y, loss, dy[0])...)
}
