package decoder

import (
	"math"
	"math/rand/v2"
	"slices"
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

// adaptedPair is a linear that is trained as a says, with values for A and B and
// room for all gradients.
func adaptedPair(r *rand.Rand, a Adapt, out, in int, work *lowWork) *adapted {
	l := &adapted{base: raw{out, in, uniform(r, out*in)}, bias: uniform(r, out), out: out, in: in}
	var params, grads [][]float32
	for _, t := range l.adapt("model.layers.0.mlp.up_proj", a, new(low), work) {
		n := 1
		for _, d := range t.Shape {
			n *= d
		}
		params, grads = append(params, uniform(r, n)), append(grads, make([]float32, n))
	}
	l.bind(params, grads)
	return l
}

// TestDropout compares a linear under dropout with one without that sees what
// dropout leaves of x, and with central differences.
func TestDropout(t *testing.T) {
	const m, in, out = 9, 70, 6
	r := rand.New(rand.NewPCG(5, 5))
	work := lowWork{place: 3<<32 | 17}
	l := adaptedPair(r, Adapt{Rank: 2, Scale: 1.5, Dropout: 0.25, Seed: 4}, out, in, &work)
	x, dy, y, dx := uniform(r, m*in), uniform(r, m*out), make([]float32, m*out), make([]float32, m*in)
	forwardAll(2, m, x, []*adapted{l}, [][]float32{y})
	seen := append([]float32(nil), l.drop.apply(1, m, l, x)...)
	gone := 0
	for i := range x {
		if seen[i] == 0 {
			gone++
		} else if want := x[i] / 0.75; math.Abs(float64(seen[i]-want)) > 1e-6 {
			t.Fatalf("element %d: %v became %v", i, x[i], seen[i])
		}
	}
	if share := float64(gone) / float64(len(x)); share < 0.2 || share > 0.3 {
		t.Errorf("%v of x are left out, want 0.25", share)
	}
	// y = x·Wᵀ + b + s·seen·Aᵀ·Bᵀ
	plain, update := *l, *l
	plain.lora, update.bias, update.base = LoRA{}, nil, raw{out, in, make([]float32, out*in)}
	want := reference(&plain, m, x)
	for i, v := range reference(&update, m, seen) {
		want[i] += v
	}
	if d := difference(y, want); d > 1e-6 {
		t.Errorf("output is off by %g", d)
	}
	backwardAll(2, m, x, []*adapted{l}, [][]float32{dy}, dx, false)
	loss := func() (sum float64) {
		forwardAll(1, m, x, []*adapted{l}, [][]float32{y})
		for i := range y {
			sum += float64(y[i]) * float64(dy[i])
		}
		return sum
	}
	checkDifferences(t, loss, map[string][2][]float32{"x": {x, dx}, "A": {l.lora.A, l.da}, "B": {l.lora.B, l.db}})
}

// checkDifferences compares gradients with central differences of loss, which
// is linear in each element.
func checkDifferences(t *testing.T, loss func() float64, pairs map[string][2][]float32) {
	t.Helper()
	const step = 0.25
	for name, p := range pairs {
		want := make([]float64, len(p[0]))
		for i, v := range p[0] {
			p[0][i] = v + step
			up := loss()
			p[0][i] = v - step
			want[i] = (up - loss()) / (2 * step)
			p[0][i] = v
		}
		if d := difference(p[1], want); d > 1e-5 {
			t.Errorf("gradient of %s is off by %g", name, d)
		}
	}
}

// TestDropoutDependsOnPlaceAlone: threads and the cut into microbatches do not
// matter; the update, the token, the layer and the seed do.
func TestDropoutDependsOnPlaceAlone(t *testing.T) {
	const m, in = 8, 100
	ones := make([]float32, m*in)
	for i := range ones {
		ones[i] = 1
	}
	var work lowWork
	tr := &Training{}
	draw := func(path string, seed uint64, threads, update, before, rows int) []float32 {
		tr.Place(update, before)
		work.place = tr.work.place
		l := &adapted{in: in, out: 3}
		l.adapt(path, Adapt{Rank: 1, Dropout: 0.5, Seed: seed}, new(low), &work)
		l.drop.draw(threads, rows, l)
		return append([]float32(nil), l.drop.apply(threads, rows, l, ones[:rows*in])...)
	}
	all := draw("a", 1, 1, 4, 10, m)
	if got := draw("a", 1, 3, 4, 10, m); !slices.Equal(got, all) {
		t.Error("three threads drop other elements than one")
	}
	if got := draw("a", 1, 1, 4, 15, 3); !slices.Equal(got, all[5*in:]) {
		t.Error("the second part of an update drops other elements than the whole does")
	}
	for name, got := range map[string][]float32{
		"update": draw("a", 1, 1, 5, 10, m), "token": draw("a", 1, 1, 4, 11, m),
		"layer": draw("b", 1, 1, 4, 10, m), "seed": draw("a", 2, 1, 4, 10, m),
	} {
		if slices.Equal(got, all) {
			t.Errorf("another %s drops the same elements", name)
		}
	}
}

// squares are the squared lengths of the rows of w [out, in].
func squares(w []float32, out, in int) []float64 {
	list := make([]float64, out)
	for o := range list {
		for _, v := range w[o*in:][:in] {
			list[o] += float64(v) * float64(v)
		}
	}
	return list
}

// doraReference is a linear with DoRA in float64 that sees seen beside x; n are
// the row lengths to divide by, nil for those of V.
func doraReference(l *adapted, m int, x, seen []float32, n []float64) (y, lengths []float64) {
	plain, whole := *l, *l
	plain.lora, plain.bias, whole.bias = LoRA{}, nil, nil
	unit := make([]float32, l.in*l.in)
	for i := range l.in {
		unit[i*l.in+i] = 1
	}
	v := reference(&whole, l.in, unit) // column i of V
	lengths = make([]float64, l.out)
	for i, e := range v {
		lengths[i%l.out] += e * e
	}
	for o := range lengths {
		lengths[o] = math.Sqrt(lengths[o])
	}
	if n == nil {
		n = lengths
	}
	hidden := make([]float32, len(x))
	for i := range x {
		hidden[i] = x[i] - seen[i]
	}
	y = reference(&plain, m, hidden)
	for i, u := range reference(&whole, m, seen) {
		o := i % l.out
		y[i] += float64(l.lora.DoRA.Magnitude[o])/n[o]*u + float64(l.bias[o])
	}
	return y, lengths
}

// TestDoRA checks outputs, and gradients while the lengths of rows are held.
func TestDoRA(t *testing.T) {
	const m, in, out = 6, 70, 9
	for _, share := range []float64{0, 0.25} {
		r := rand.New(rand.NewPCG(6, 6))
		var work lowWork
		w := uniform(r, out*in)
		l := adaptedPair(r, Adapt{Rank: 3, Scale: 0.7, Dropout: share, Squares: squares(w, out, in)}, out, in, &work)
		l.base = raw{out, in, w}
		x, dy, y, dx := uniform(r, m*in), uniform(r, m*out), make([]float32, m*out), make([]float32, m*in)
		forwardAll(2, m, x, []*adapted{l}, [][]float32{y})
		see := func() []float32 { return append([]float32(nil), l.seen(1, m, x)...) }
		want, lengths := doraReference(l, m, x, see(), nil)
		if d := difference(y, want); d > 1e-6 {
			t.Errorf("dropout %g: output is off by %g", share, d)
		}
		backwardAll(2, m, x, []*adapted{l}, [][]float32{dy}, dx, false)
		loss := func() (sum float64) {
			y, _ := doraReference(l, m, x, see(), lengths)
			for i, v := range y {
				sum += v * float64(dy[i])
			}
			return sum
		}
		checkDifferences(t, loss, map[string][2][]float32{
			"x": {x, dx}, "A": {l.lora.A, l.da}, "B": {l.lora.B, l.db}, "m": {l.lora.DoRA.Magnitude, l.dm},
		})
		// A pass whose output nobody needs leaves the same for the backward pass.
		again := *l
		again.low = new(low)
		again.da, again.db, again.dm = make([]float32, len(l.da)), make([]float32, len(l.db)), make([]float32, len(l.dm))
		dx2 := make([]float32, len(dx))
		again.reduce(1, m, x)
		backwardAll(1, m, x, []*adapted{&again}, [][]float32{dy}, dx2, false)
		if !slices.Equal(dx, dx2) || !slices.Equal(l.da, again.da) || !slices.Equal(l.db, again.db) || !slices.Equal(l.dm, again.dm) {
			t.Errorf("dropout %g: gradients depend on whether the output was computed", share)
		}
	}
}

// TestDoRAWithoutTraining: the pass that keeps nothing gives the same output,
// with the gain given and without; rows of zeros stay as they are.
func TestDoRAWithoutTraining(t *testing.T) {
	const m, in, out = 5, 20, 4
	r := rand.New(rand.NewPCG(8, 8))
	w := uniform(r, out*in)
	clear(w[:in])
	work := lowWork{}
	l := adaptedPair(r, Adapt{Rank: 2, Scale: 1, Squares: squares(w, out, in)}, out, in, &work)
	l.base = raw{out, in, w}
	clear(l.lora.B[:2])
	x, y, bare := uniform(r, m*in), make([]float32, m*out), make([]float32, m*out)
	l.forward(1, m, x, y)
	if y[0] != l.bias[0] {
		t.Errorf("a row of zeros gives %v, want its bias %v", y[0], l.bias[0])
	}
	gain := append([]float32(nil), l.low.dora.gain...)
	for _, given := range [][]float32{nil, gain} {
		plain := &adapted{base: l.base, bias: l.bias, out: out, in: in, lora: l.lora}
		d := *l.lora.DoRA
		d.Gain = given
		plain.lora.DoRA = &d
		plain.forward(2, m, x, bare)
		want := make([]float64, len(y))
		for i, v := range y {
			want[i] = float64(v)
		}
		if d := difference(bare, want); d > 1e-6 {
			t.Errorf("output is off by %g", d)
		}
	}
}

// TestFusedIsTheSame compares linears whose products share what they can with
// the plain sequence of products, to the bit.
func TestFusedIsTheSame(t *testing.T) {
	for _, num := range []Numerics{F32, BF16} {
		checkFused(t, num)
	}
}

func checkFused(t *testing.T, num Numerics) {
	t.Helper()
	const m, in = 37, 70
	r := rand.New(rand.NewPCG(11, 11))
	x, before := uniform(r, m*in), uniform(r, m*in)
	var work lowWork
	var lins, plain []*adapted
	var ys, dys, want [][]float32
	for i, out := range []int{33, 65, 7} {
		l := adaptedPair(r, Adapt{Rank: 3 + i, Scale: 0.3}, out, in, &work)
		l.num, l.base = num, num.linear(l.base)
		if i == 1 {
			l.lora = LoRA{}
		}
		lins = append(lins, l)
		p := *l
		p.low = new(low)
		p.da, p.db = make([]float32, len(l.da)), make([]float32, len(l.db))
		plain = append(plain, &p)
		ys, want, dys = append(ys, make([]float32, m*out)), append(want, make([]float32, m*out)), append(dys, uniform(r, m*out))
	}
	forwardAll(2, m, x, lins, ys)
	dx, dxWant := slices.Clone(before), slices.Clone(before)
	backwardAll(2, m, x, lins, dys, dx, true)
	for i, p := range plain {
		if !lins[i].fuses() {
			t.Fatalf("linear %d does not fuse", i)
		}
		p.plainForward(1, m, x, want[i])
		if !slices.Equal(ys[i], want[i]) {
			t.Errorf("linear %d: another output", i)
		}
		p.plainBackward(1, m, x, dys[i], dxWant, true)
		if !slices.Equal(lins[i].da, p.da) || !slices.Equal(lins[i].db, p.db) {
			t.Errorf("linear %d: another gradient of A or B", i)
		}
	}
	if !slices.Equal(dx, dxWant) {
		t.Error("another gradient of x")
	}
}
