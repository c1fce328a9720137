package decoder

import (
	"context"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// variants are tiny configurations of the shapes that the families have, and
// one of everything else at once. Widths differ.
func variants() map[string]Config {
	norms := func(slots ...int) (on [numNorms]bool) {
		on[NormAttn], on[NormMLP] = true, true
		for _, s := range slots {
			on[s] = true
		}
		return on
	}
	llama, mistral := small(false), small(true)
	mistral.Family, mistral.Windows = "mistral", []int{5, 5}
	qwen2 := small(true)
	qwen2.Family, qwen2.Bias = "qwen2", [numProj]bool{projQ: true, projK: true, projV: true}
	qwen3 := small(false)
	qwen3.Family, qwen3.Norms, qwen3.HeadDim = "qwen3", norms(NormQ, NormK), 6
	gemma := small(true)
	gemma.Family, gemma.Norm, gemma.Act, gemma.EmbedScale, gemma.KVHeads = "gemma", RMSPlusOne, GELUTanh, math.Sqrt(12), 1
	gemma2 := gemma
	gemma2.Family, gemma2.KVHeads, gemma2.Norms = "gemma2", 3, norms(NormAttnOut, NormMLPOut)
	gemma2.AttnCap, gemma2.LogitCap, gemma2.AttnScale, gemma2.Windows = 2, 3, 0.7, []int{4, 0}
	gemma3 := gemma
	gemma3.Family, gemma3.Norms = "gemma3_text", norms(NormQ, NormK, NormAttnOut, NormMLPOut)
	gemma3.LocalTheta, gemma3.Windows = 100, []int{4, 0}
	gpt2 := small(true)
	gpt2.Family, gpt2.Norm, gpt2.Act, gpt2.Gated, gpt2.KVHeads = "gpt2", LayerNorm, GELUTanh, false, 6
	gpt2.FusedQKV, gpt2.LearnedPositions = true, true
	gpt2.Bias = [numProj]bool{projQ: true, projO: true, projUp: true, projDown: true}
	odd := qwen3
	odd.Family, odd.Norm, odd.Act, odd.Norms = "gemma3_text", LayerNorm, GELU, norms(NormQ, NormK, NormAttnOut, NormMLPOut)
	odd.Bias = [numProj]bool{true, true, true, true, true, true, true}
	plain := gpt2
	plain.Act, plain.Norms, plain.KVHeads = SiLU, norms(NormAttnOut), 2
	plain.Family, plain.Norm = "gpt2", RMS
	return map[string]Config{
		"llama": llama, "mistral": mistral, "qwen2": qwen2, "qwen3": qwen3, "gemma": gemma,
		"gemma2": gemma2, "gemma3": gemma3, "gpt2": gpt2, "odd": odd, "plain": plain,
	}
}

// variantStore holds random weights: those of norms around 1, or 0 where 1 is
// added, biases around 0.
func variantStore(c Config, seed uint64) store {
	s := randomStore(c, seed)
	for _, t := range c.Tensors() {
		if len(t.Shape) > 1 {
			continue
		}
		shift := float32(0)
		if c.Norm == RMSPlusOne || t.Name[len(t.Name)-5:] == ".bias" {
			shift = -1
		}
		for i := range s[t.Name] {
			s[t.Name][i] += shift
		}
	}
	return s
}

func TestVariantsAreTheNaive(t *testing.T) {
	for name, c := range variants() {
		t.Run(name, func(t *testing.T) {
			s := variantStore(c, 7)
			m, err := FromTensors(c, s.get)
			if err != nil {
				t.Fatal(err)
			}
			ids := randomIDs(30)
			b, err := NewBatch(c, ids, nil, nil)
			if err != nil {
				t.Fatal(err)
			}
			rows := []int32{0, 3, 29}
			scored, err := m.NewScorer(2).Logits(context.Background(), b, rows)
			if err != nil {
				t.Fatal(err)
			}
			want := nvLogits(naive{c, s.double(), 0}, ids, rows)
			if d := difference(scored, want); d > 1e-5 {
				t.Errorf("logits are off by %.2g of the largest", d)
			}
			session := m.NewSession(2)
			for i, id := range ids {
				got, err := session.Read(context.Background(), []int32{id})
				if err != nil {
					t.Fatal(err)
				}
				if at := slices.Index(rows, int32(i)); at >= 0 && !slices.Equal(got, scored[at*c.VocabSize:][:c.VocabSize]) {
					t.Errorf("logits after token %d differ when read token by token", i)
				}
			}
		})
	}
}

func nvLogits(nv naive, ids []int32, rows []int32) (want []float64) {
	all := nv.document(ids)
	for _, r := range rows {
		want = append(want, all[r]...)
	}
	return want
}

// TestVariantGradients compares every gradient of full training and of LoRA with
// finite differences, and recomputing with keeping, to the bit.
func TestVariantGradients(t *testing.T) {
	every := 101
	if testing.Short() {
		every = 1009
	}
	for name, c := range variants() {
		t.Run(name, func(t *testing.T) {
			s := variantStore(c, 8)
			b := twoDocuments(t, c, 9, 6)
			var first store
			for _, keep := range []int{0, 1} {
				tr := NewTraining(Skeleton(c), 16, 2)
				tr.Keep(keep)
				grads := fullGradients(t, tr, b, s)
				if first == nil {
					first = grads
					checkGradients(t, naive{c, s.double(), 0}, b, 10, grads, every)
				}
				sameGradients(t, keep, first, grads)
			}
		})
		t.Run(name+"/lora", func(t *testing.T) {
			s := variantStore(c, 9)
			m, err := FromTensors(c, s.get)
			if err != nil {
				t.Fatal(err)
			}
			b := twoDocuments(t, c, 9, 6)
			var first store
			for _, keep := range []int{0, 1} {
				tr := NewTraining(m, 20, 2)
				tr.Keep(keep)
				grads := loraGradients(t, tr, b, s)
				if first == nil {
					first = grads
					checkGradients(t, naive{c, s.double(), 0.5}, b, 17, grads, every)
				}
				sameGradients(t, keep, first, grads)
			}
		})
	}
}

func fullGradients(t *testing.T, tr *Training, b *Batch, s store) store {
	t.Helper()
	if err := tr.SetBatch(b, 10); err != nil {
		t.Fatal(err)
	}
	var blocks []op
	for i := range tr.m.Layers {
		blocks = append(blocks, tr.NewFullBlockOp(i))
	}
	_, grads := run(t, tr, tr.NewEmbedOp(), blocks, tr.NewFullLossOp(), s)
	if len(grads) != len(tr.m.Tensors()) {
		t.Fatalf("%d gradients, want %d", len(grads), len(tr.m.Tensors()))
	}
	return grads
}

func loraGradients(t *testing.T, tr *Training, b *Batch, s store) store {
	t.Helper()
	if err := tr.SetBatch(b, 17); err != nil {
		t.Fatal(err)
	}
	var blocks []op
	for i := range tr.m.Layers {
		o := tr.NewBlockOp(i, func(string) (Adapt, bool) { return Adapt{Rank: 3, Scale: 0.5}, true })
		s.fill(rand.New(rand.NewPCG(uint64(i), 3)), o.Inputs(), 0, 0.3)
		blocks = append(blocks, o)
	}
	_, grads := run(t, tr, nil, blocks, tr.NewLossOp(), s)
	return grads
}

func sameGradients(t *testing.T, keep int, want, got store) {
	t.Helper()
	for name := range want {
		if !slices.Equal(got[name], want[name]) {
			t.Errorf("%s: gradient differs when %d layers keep their values", name, keep)
		}
	}
}

// TestWindowsAcrossTiles has windows and documents that cross tiles of queries
// and the multiples at which keys begin.
func TestWindowsAcrossTiles(t *testing.T) {
	c := variants()["gemma2"]
	c.Windows = []int{70, 300}
	s := variantStore(c, 10)
	m, err := FromTensors(c, s.get)
	if err != nil {
		t.Fatal(err)
	}
	ids := randomIDs(cacheStep + 200)
	b, err := NewBatch(c, ids, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	rows := []int32{63, 64, 95, 96, 299, 300, 330, 455}
	want, err := m.NewScorer(2).Logits(context.Background(), b, rows)
	if err != nil {
		t.Fatal(err)
	}
	if d := difference(want, nvLogits(naive{c, s.double(), 0}, ids, rows)); d > 1e-5 {
		t.Errorf("logits are off by %.2g of the largest", d)
	}
	for _, piece := range []int{1, 65} {
		session := m.NewSession(1)
		for lo := 0; lo < len(ids); lo += piece {
			hi := min(len(ids), lo+piece)
			got, err := session.Read(context.Background(), ids[lo:hi])
			if err != nil {
				t.Fatal(err)
			}
			if i := slices.Index(rows, int32(hi-1)); i >= 0 && !slices.Equal(got, want[i*c.VocabSize:][:c.VocabSize]) {
				t.Errorf("pieces of %d: logits after token %d differ from scoring the whole text", piece, hi-1)
			}
		}
	}
	long := twoDocuments(t, c, 330, 1, 90)
	tr := NewTraining(Skeleton(c), 430, 2)
	tr.s.attn.part = 100
	grads := fullGradients(t, tr, long, s)
	if testing.Short() {
		return // thousands of tokens in plain float64
	}
	checkGradients(t, naive{c, s.double(), 0}, long, 10, grads, 2003)
}
