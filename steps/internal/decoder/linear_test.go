package decoder

import (
	"math"
	"math/rand/v2"
	"testing"
)

// uniform returns n numbers in [-1, 1).
func uniform(r *rand.Rand, n int) []float32 {
	x := make([]float32, n)
	for i := range x {
		x[i] = 2*r.Float32() - 1
	}
	return x
}

// reference is an adapted linear in float64: y = x·Wᵀ + b + s·(x·Aᵀ)·Bᵀ.
func reference(l *adapted, m int, x []float32) []float64 {
	w := l.base.(raw).w
	y := make([]float64, m*l.out)
	for t := range m {
		for o := range l.out {
			var sum float64
			if l.bias != nil {
				sum = float64(l.bias[o])
			}
			for i := range l.in {
				v := float64(w[o*l.in+i])
				for k := range l.lora.Rank {
					v += float64(l.lora.Scale) * float64(l.lora.B[o*l.lora.Rank+k]) * float64(l.lora.A[k*l.in+i])
				}
				sum += v * float64(x[t*l.in+i])
			}
			y[t*l.out+o] = sum
		}
	}
	return y
}

// difference is the largest distance of two vectors over the largest element.
func difference(got []float32, want []float64) float64 {
	var worst, size float64
	for i := range want {
		worst = max(worst, math.Abs(float64(got[i])-want[i]))
		size = max(size, math.Abs(want[i]))
	}
	return worst / size
}

// TestLinearsTogether computes three linears of one input, one of them plain,
// with biases, and takes their gradients back.
func TestLinearsTogether(t *testing.T) {
	const m, in = 7, 12
	r := rand.New(rand.NewPCG(3, 3))
	x := uniform(r, m*in)
	var lins []*adapted
	var ys, dys [][]float32
	for i, out := range []int{10, 70, 5} {
		l := &adapted{base: raw{out, in, uniform(r, out*in)}, bias: uniform(r, out), out: out, in: in, dbias: make([]float32, out)}
		if i != 1 {
			l.lora = LoRA{A: uniform(r, 3*in), B: uniform(r, out*3), Rank: 3, Scale: 2}
			l.da, l.db = make([]float32, 3*in), make([]float32, out*3)
		}
		lins = append(lins, l)
		ys, dys = append(ys, make([]float32, m*out)), append(dys, uniform(r, m*out))
	}
	forwardAll(2, m, x, lins, ys)
	for i, l := range lins {
		if d := difference(ys[i], reference(l, m, x)); d > 1e-6 {
			t.Errorf("linear %d: output off by %g", i, d)
		}
	}
	before := uniform(r, m*in)
	dx := append([]float32(nil), before...)
	backwardAll(2, m, x, lins, dys, dx, true)
	checkInput(t, m, lins, dys, before, dx)
	for i, l := range lins {
		want := make([]float64, l.out)
		for j := range dys[i] {
			want[j%l.out] += float64(dys[i][j])
		}
		if d := difference(l.dbias, want); d > 1e-6 {
			t.Errorf("linear %d: gradient of the bias off by %g", i, d)
		}
	}
}

// checkInput compares dx with before plus the sum of dy·(W + s·B·A).
func checkInput(t *testing.T, m int, lins []*adapted, dys [][]float32, before, dx []float32) {
	t.Helper()
	want := make([]float64, len(dx))
	for i := range want {
		want[i] = float64(before[i])
	}
	for k, l := range lins {
		unit := make([]float32, l.in*l.in)
		for i := range l.in {
			unit[i*l.in+i] = 1
		}
		bias := l.bias
		l.bias = nil
		columns := reference(l, l.in, unit) // column i of the whole matrix
		l.bias = bias
		for row := range m {
			for i := range l.in {
				for o := range l.out {
					want[row*l.in+i] += float64(dys[k][row*l.out+o]) * columns[i*l.out+o]
				}
			}
		}
	}
	if d := difference(dx, want); d > 1e-6 {
		t.Errorf("gradient of the input off by %g", d)
	}
}
