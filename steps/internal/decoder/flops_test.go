package decoder

import (
	"math"
	"testing"
)

// counted is a linear that counts what it computes.
type counted struct {
	Linear
	weights int
	flops   *float64
}

func (c counted) Forward(threads, m int, x, y []float32, add bool) {
	*c.flops += 2 * float64(m) * float64(c.weights)
	c.Linear.Forward(threads, m, x, y, add)
}

func (c counted) Backward(threads, m int, dy, dx []float32, add bool) {
	*c.flops += 2 * float64(m) * float64(c.weights)
	c.Linear.Backward(threads, m, dy, dx, add)
}

// TestFLOPs compares the forecast of the products with frozen matrices with those
// that a training executes. Those of the adapters, of vanishing rank, and of
// attention are taken off the forecast by their formulas.
func TestFLOPs(t *testing.T) {
	for name, c := range variants() {
		for keep := range 3 {
			c.Layers = 3
			if c.Windows != nil {
				c.Windows = append(c.Windows[:2:2], 0)
			}
			params := variantStore(c, 4)
			m, err := FromTensors(c, params.get)
			if err != nil {
				t.Fatal(err)
			}
			var got float64
			m.head = counted{m.head, c.VocabSize * c.Hidden, &got}
			for i := range m.blocks {
				for p, l := range m.blocks[i].lin {
					if l != nil {
						out, in := c.projShape(p)
						m.blocks[i].lin[p] = counted{l, out * in, &got}
					}
				}
			}
			b := twoDocuments(t, c, 30, 20)
			tr := NewTraining(m, 50, 1)
			tr.Keep(keep)
			loraGradients(t, tr, b, params)

			s := Spec{Config: c, Keep: keep, Adapt: func(string) (Adapt, bool) { return Adapt{Rank: 3}, true }}
			frozen := s
			frozen.Adapt = func(string) (Adapt, bool) { return Adapt{}, false }
			supervised := len(b.Rows)
			want := frozen.UpdateCost().FLOPs(30, supervised) + frozen.UpdateCost().FLOPs(20, 0)
			for layer := range c.Layers {
				passes := 7.0
				if layer < c.Layers-1-keep {
					passes += 2
				}
				r := reach{window: c.window(layer)}
				want -= passes * (tr.s.attn.square(r, 30) + tr.s.attn.square(r, 20))
			}
			for _, p := range []int{projQ, projK, projV} { // here the first layer's x has a gradient, too
				if c.hasProj(p) {
					out, in := c.projShape(p)
					want += 2 * 50 * float64(out*in)
				}
			}
			if math.Abs(got-want) > 1e-9*want {
				t.Errorf("%s, keep %d: %g operations with matrices, forecast %g", name, keep, got, want)
			}
			if all := s.UpdateCost().FLOPs(30, 5); all <= frozen.UpdateCost().FLOPs(30, 5) || s.LossCost().FLOPs(30, 5) >= all {
				t.Errorf("%s: adapters cost nothing, or a loss more than an update", name)
			}
		}
	}
}
