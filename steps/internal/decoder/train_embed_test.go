package decoder

import (
	"math/rand/v2"
	"slices"
	"testing"
)

// savedOps are the ops of a training of what is not in the blocks, whose blocks
// are frozen.
func savedOps(tr *Training, embed op, loss op) (op, []op, op) {
	var blocks []op
	for i := range tr.m.Layers {
		blocks = append(blocks, tr.NewBlockOp(i, func(string) (Adapt, bool) { return Adapt{}, false }))
	}
	return embed, blocks, loss
}

// TestSavedGradients compares gradients of embeddings and head that are trained
// beside adapters with those of full training.
func TestSavedGradients(t *testing.T) {
	for _, tied := range []bool{false, true} {
		c := small(tied)
		c.EmbedScale = 1.5
		s := randomStore(c, 5)
		if tied { // its own copy, equal at first
			s[HeadName] = s[EmbedName]
		}
		m, err := FromTensors(c, s.get)
		if err != nil {
			t.Fatal(err)
		}
		b := twoDocuments(t, c, 9, 6)
		full := NewTraining(Skeleton(c), 16, 2)
		tr := NewTraining(m, 16, 2)
		for _, x := range []*Training{full, tr} {
			if err := x.SetBatch(b, 10); err != nil {
				t.Fatal(err)
			}
		}
		var blocks []op
		for i := range c.Layers {
			blocks = append(blocks, full.NewFullBlockOp(i))
		}
		want, all := run(t, full, full.NewEmbedOp(), blocks, full.NewFullLossOp(), s)
		e, bl, l := savedOps(tr, tr.NewSavedEmbedOp(), tr.NewSavedLossOp())
		loss, grads := run(t, tr, e, bl, l, s)
		if loss != want {
			t.Errorf("loss %v, want %v", loss, want)
		}
		sum := slices.Clone(grads[EmbedName])
		if tied { // the tied matrix gets both gradients
			for i, v := range grads[HeadName] {
				sum[i] += v
			}
		} else if !slices.Equal(grads[HeadName], all[HeadName]) {
			t.Error("the head's gradient differs from that of full training")
		}
		wide := make([]float64, len(sum))
		for i, v := range all[EmbedName] {
			wide[i] = float64(v)
		}
		if d := difference(sum, wide); d > 1e-6 {
			t.Errorf("tied %t: the embeddings' gradient is off by %g", tied, d)
		}
		checkTokens(t, m, tr, s, sum, want)
	}
}

// checkTokens compares the gradients of some rows with those of the whole matrix.
func checkTokens(t *testing.T, m *Model, tr *Training, s store, whole []float32, want float32) {
	t.Helper()
	ids := []int32{7, 3, 12}
	name, h := m.EmbedPath()+tokenSuffix, m.Hidden
	s[name] = nil
	for _, id := range ids {
		s[name] = append(s[name], s[EmbedName][int(id)*h:][:h]...)
	}
	var loss op = tr.NewLossOp()
	if m.Tied {
		loss = tr.NewTokenLossOp(ids)
	}
	e, bl, l := savedOps(tr, tr.NewTokenEmbedOp(ids), loss)
	got, grads := run(t, tr, e, bl, l, s)
	if d := got - want; d > 1e-6 || d < -1e-6 {
		t.Errorf("loss %v, want %v", got, want)
	}
	for i, id := range ids {
		row := make([]float64, h)
		for j := range row {
			row[j] = float64(whole[int(id)*h+j])
		}
		if d := difference(grads[name][i*h:][:h], row); d > 1e-5 {
			t.Errorf("tied %t: the gradient of row %d is off by %g", m.Tied, id, d)
		}
	}
}

// TestReplace computes with replaced matrices and rows as with a model made of them.
func TestReplace(t *testing.T) {
	r := rand.New(rand.NewPCG(4, 4))
	for _, tied := range []bool{false, true} {
		c := small(tied)
		s := randomStore(c, 6)
		m, err := FromTensors(c, s.get)
		if err != nil {
			t.Fatal(err)
		}
		b := twoDocuments(t, c, 12)
		logits := func(m *Model) []float32 {
			out, err := m.NewScorer(1).Logits(t.Context(), b, []int32{0, 5, 11})
			if err != nil {
				t.Fatal(err)
			}
			return out
		}
		loose := c
		loose.Tied = false
		made := func(embed, head []float32) []float32 {
			o := store{}
			for name, x := range s {
				o[name] = x
			}
			o[EmbedName], o[HeadName] = embed, head
			other, err := FromTensors(loose, o.get)
			if err != nil {
				t.Fatal(err)
			}
			return logits(other)
		}
		before, head := s[EmbedName], s[HeadName]
		if tied {
			head = before
		}
		embed, own := uniform(r, len(before)), uniform(r, len(before))
		ids, rows := []int32{2, 18}, uniform(r, 2*c.Hidden)
		some := slices.Clone(before)
		for i, id := range ids {
			copy(some[int(id)*c.Hidden:], rows[i*c.Hidden:][:c.Hidden])
		}
		follow := head
		if tied {
			follow = some
		}
		for name, k := range map[string]struct {
			s    Saved
			want []float32
		}{
			"nothing":  {Saved{}, logits(m)},
			"embed":    {Saved{Embed: embed}, made(embed, head)},
			"head":     {Saved{Head: own}, made(before, own)},
			"both":     {Saved{Embed: embed, Head: own}, made(embed, own)},
			"tokens":   {Saved{Tokens: ids, Rows: rows}, made(some, follow)},
			"and head": {Saved{Tokens: ids, Rows: rows, Head: own}, made(some, own)},
		} {
			if err := m.Replace(k.s); err != nil {
				t.Fatal(err)
			}
			wide := make([]float64, len(k.want))
			for i, v := range k.want {
				wide[i] = float64(v)
			}
			if d := difference(logits(m), wide); d > 1e-6 {
				t.Errorf("tied %t, %s: logits are off by %g", tied, name, d)
			}
		}
		for _, bad := range []Saved{{Embed: own[1:]}, {Head: own[1:]}, {Tokens: ids, Rows: rows[1:]}, {Tokens: []int32{2, 19}, Rows: rows}} {
			if m.Replace(bad) == nil {
				t.Error("a replacement that does not fit is accepted")
			}
		}
	}
}
