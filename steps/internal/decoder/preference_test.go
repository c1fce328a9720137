package decoder

import (
	"math"
	"testing"
)

// pairBatch is two pairs of documents, of which parts are supervised.
func pairBatch(t *testing.T) *Batch {
	t.Helper()
	var ids, positions []int32
	var labels []int64
	for doc, n := range []int{5, 4, 6, 3} {
		for i := range n {
			ids = append(ids, int32((3*doc+5*i+1)%19))
			positions = append(positions, int32(i))
			label := int64(ids[len(ids)-1])
			if i < 2 {
				label = Ignore
			}
			labels = append(labels, label)
		}
	}
	b, err := NewBatch(small(true), ids, positions, labels)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func objectives() map[string]Preference {
	return map[string]Preference{
		"dpo":          &DPO{Beta: 0.3, Reference: []float64{-7, -6, -12, -2}},
		"dpo smoothed": &DPO{Beta: 0.3, Smoothing: 0.2, Reference: []float64{-7, -6, -12, -2}},
		"orpo":         &ORPO{Lambda: 0.4},
	}
}

// TestPreferenceSlopes compares the derivatives that objectives give with
// differences of their losses.
func TestPreferenceSlopes(t *testing.T) {
	b := pairBatch(t)
	for name, o := range objectives() {
		if err := o.Check(b); err != nil {
			t.Fatal(err)
		}
		nll, weights, ignored := make([]float64, len(b.Rows)), make([]float64, len(b.Rows)), make([]float64, len(b.Rows))
		for i := range nll {
			nll[i] = 0.3 + 0.35*float64(i%4)
		}
		o.Loss(b, nll, weights)
		const h = 1e-6
		for i := range nll {
			at := nll[i]
			nll[i] = at + h
			up := o.Loss(b, nll, ignored)
			nll[i] = at - h
			down := o.Loss(b, nll, ignored)
			nll[i] = at
			if want := (up - down) / (2 * h); math.Abs(weights[i]-want) > 1e-7 {
				t.Errorf("%s: derivative by row %d is %g, differences say %g", name, i, weights[i], want)
			}
		}
		if n, _, _ := o.Found(); n != 2 {
			t.Errorf("%s: found %d pairs", name, n)
		}
	}
}

// TestDPOByHand: at the reference the loss is log 2 a pair, and a better answer
// that became likelier lowers it.
func TestDPOByHand(t *testing.T) {
	b := pairBatch(t)
	nll, weights := make([]float64, len(b.Rows)), make([]float64, len(b.Rows))
	for i := range nll {
		nll[i] = 2
	}
	d := &DPO{Beta: 0.1, Reference: Likelihoods(b, nll)}
	if got := d.Loss(b, nll, weights); math.Abs(got-2*math.Ln2) > 1e-12 {
		t.Errorf("loss at the reference is %g", got)
	}
	if weights[0] != 0.05 || weights[3] != -0.05 { // β·σ(0)
		t.Errorf("weights %v", weights)
	}
	nll[0] = 1
	want := math.Ln2 + math.Log1p(math.Exp(-0.1))
	if got := d.Loss(b, nll, weights); math.Abs(got-want) > 1e-12 {
		t.Errorf("loss %g, want %g", got, want)
	}
	if pairs, won, margin := d.Found(); pairs != 2 || won != 1 || math.Abs(margin-0.1) > 1e-12 {
		t.Errorf("found %d, %d, %g", pairs, won, margin)
	}
}

// TestPreferenceCertain: answers that the model is certain of, or gives no
// chance, leave everything finite.
func TestPreferenceCertain(t *testing.T) {
	b := pairBatch(t)
	for name, o := range objectives() {
		for _, v := range []float64{0, 1e-9, 1e4} {
			nll, weights := make([]float64, len(b.Rows)), make([]float64, len(b.Rows))
			for i := range nll {
				nll[i] = v
			}
			loss := o.Loss(b, nll, weights)
			for i, x := range append(weights, loss) {
				if math.IsNaN(x) || math.IsInf(x, 0) {
					t.Errorf("%s: value %d is %g at nll %g", name, i, x, v)
				}
			}
		}
	}
}

// TestPreferenceGradients compares the gradients of training for a preference
// with differences of the naive model's loss.
func TestPreferenceGradients(t *testing.T) {
	c := small(true)
	for name, o := range objectives() {
		s := randomStore(c, 2)
		b := pairBatch(t)
		tr := NewTraining(Skeleton(c), 20, 2)
		tr.Aim(o)
		if err := tr.SetBatch(b, 2); err != nil {
			t.Fatal(err)
		}
		blocks := []op{tr.NewFullBlockOp(0), tr.NewFullBlockOp(1)}
		got, grads := run(t, tr, tr.NewEmbedOp(), blocks, tr.NewFullLossOp(), s)
		nv := naive{c, s.double(), 0}
		ignored := make([]float64, len(b.Rows))
		loss := func() float64 { return o.Loss(b, nv.nll(b), ignored) / 2 }
		if want := loss(); math.Abs(float64(got)-want) > 1e-5*math.Abs(want) {
			t.Errorf("%s: loss %g, want %g", name, got, want)
		}
		for tensor, g := range grads {
			for i := 0; i < len(g); i += 41 {
				at := nv.w[tensor][i]
				nv.w[tensor][i] = at + 1e-5
				up := loss()
				nv.w[tensor][i] = at - 1e-5
				down := loss()
				nv.w[tensor][i] = at
				if want := (up - down) / 2e-5; math.Abs(float64(g[i])-want) > 1e-4*(math.Abs(want)+0.1) {
					t.Errorf("%s: gradient %d of %s is %g, differences say %g", name, i, tensor, g[i], want)
				}
			}
		}
	}
}

// TestPreferenceChecks: what is no pair is said.
func TestPreferenceChecks(t *testing.T) {
	c := small(true)
	odd, err := NewBatch(c, []int32{1, 2, 3}, nil, []int64{Ignore, 2, 3})
	if err != nil {
		t.Fatal(err)
	}
	silent, err := NewBatch(c, []int32{1, 2, 3, 4}, []int32{0, 1, 0, 1}, []int64{Ignore, 2, Ignore, Ignore})
	if err != nil {
		t.Fatal(err)
	}
	for name, o := range objectives() {
		if o.Check(odd) == nil || o.Check(silent) == nil {
			t.Errorf("%s: what is no pair is taken for one", name)
		}
	}
}
