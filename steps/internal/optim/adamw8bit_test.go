package optim

import (
	"math"
	"runtime"
	"slices"
	"testing"
)

// TestDynamicMap compares values with those that bitsandbytes' create_dynamic_map
// prints, and the order, ends and mirror image of all of them.
func TestDynamicMap(t *testing.T) {
	for _, c := range []struct {
		signed bool
		want   map[int]float64
	}{
		{true, map[int]float64{0: -0.9930, 1: -0.9789, 120: -8.875e-05, 126: -5.5e-7, 127: 0, 128: 5.5e-7, 129: 3.25e-6, 130: 7.75e-6, 131: 2.125e-5, 254: 0.9930, 255: 1}},
		{false, map[int]float64{0: 0, 1: 3.25e-7, 2: 7.75e-7, 3: 2.125e-6, 4: 4.375e-6, 253: 0.9895, 254: 0.9965, 255: 1}},
	} {
		d := newDynamicMap(c.signed)
		for i, want := range c.want {
			if got := float64(d.values[i]); math.Abs(got-want) > 1e-4*math.Abs(want) {
				t.Errorf("signed %v: value %d is %g, want %g", c.signed, i, got, want)
			}
		}
		if !slices.IsSorted(d.values[:]) || d.values[d.zero] != 0 {
			t.Errorf("signed %v: values %v", c.signed, d.values)
		}
		for i, v := range d.values {
			got := d.unsigned(v)
			if c.signed {
				got = d.signed(v)
			}
			if got != uint8(i) {
				t.Errorf("signed %v: value %g has code %d, want %d", c.signed, v, got, i)
			}
		}
	}
}

// TestCodeIsTheNearest asks about every float32 that ends or begins a cell or a
// code, and those beside it.
func TestCodeIsTheNearest(t *testing.T) {
	for _, signed := range []bool{true, false} {
		d := newDynamicMap(signed)
		var ask []uint32
		for c := range cells {
			ask = append(ask, lowest(c))
		}
		ask = append(ask, d.ends[d.zero:255]...)
		for _, bits := range slices.Clone(ask) {
			ask = append(ask, bits+1, bits-min(bits, 1))
		}
		for _, bits := range ask {
			x, best := float64(math.Float32frombits(bits)), 0
			for c, v := range d.values {
				if math.Abs(float64(v)-x) < math.Abs(float64(d.values[best])-x)*(1-1e-7) {
					best = c
				}
			}
			got := d.nearest(bits)
			if got != d.search(bits) || math.Abs(float64(int(got)-best)) > 1 ||
				math.Abs(float64(d.values[got])-x) > math.Abs(float64(d.values[best])-x)*(1+1e-4) { // ends are rounded
				t.Errorf("signed %v: %g has code %d, the nearest is %d", signed, x, got, best)
			}
		}
	}
	d := newDynamicMap(false)
	if d.unsigned(0) != 0 || d.unsigned(1e-30) != 1 {
		t.Error("a second moment that is not 0 became 0")
	}
	if s := newDynamicMap(true); s.signed(-1) != 0 || s.signed(1) != 255 || s.signed(float32(math.Copysign(0, -1))) != s.zero {
		t.Error("the ends or the middle of the signed map")
	}
}

// TestAdamW8TracksAdamW descends a noisy quadratic bowl with both: the way is
// the same within a few percent, and so is the end.
func TestAdamW8TracksAdamW(t *testing.T) {
	const n = 3 * small
	cfg := AdamWConfig{Beta1: 0.9, Beta2: 0.999, Epsilon: 1e-8}
	run := func(o Optimizer) (p [][]float32, loss []float64) {
		p = random(1, n)
		curve, target := random(2, n)[0], random(3, n)[0]
		for u := range 300 {
			noise := random(uint64(100+u), n)
			sum := 0.0
			for i, x := range p[0] {
				c := math.Exp2(float64(2 * curve[i])) // of very different sizes
				d := float64(x - target[i])
				sum += c * d * d / 2
				noise[0][i] = float32(c*d + 0.1*float64(noise[0][i]))
			}
			loss = append(loss, sum/n)
			o.Update(2, 0.01, p, noise)
		}
		return p, loss
	}
	p, a := run(must(NewAdamW(cfg, Layout{Sizes: []int{n}})))
	q, b := run(must(NewAdamW8(cfg, Layout{Sizes: []int{n}})))
	for u := range a {
		if math.Abs(a[u]-b[u]) > 0.05*a[u]+0.005*a[0] {
			t.Fatalf("update %d: loss %g with 8 bits, %g with 32", u, b[u], a[u])
		}
	}
	var far, way float64
	start := random(1, n)[0]
	for i := range p[0] {
		far += math.Pow(float64(p[0][i]-q[0][i]), 2)
		way += math.Pow(float64(p[0][i]-start[i]), 2)
	}
	if r := math.Sqrt(far / way); !(r > 0 && r < 0.1) {
		t.Errorf("the parameters end %.4f of the way apart", r)
	}
}

// TestAdamW8IsSmall: two bytes an element and two scales a block.
func TestAdamW8IsSmall(t *testing.T) {
	const n = 1 << 22
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	o := must(NewAdamW8(AdamWConfig{}, Layout{Sizes: []int{n}}))
	runtime.GC()
	runtime.ReadMemStats(&after)
	if got := int64(after.HeapAlloc) - int64(before.HeapAlloc); got > 2*n+2*4*n/block+1<<17 {
		t.Errorf("the state of %d elements takes %d bytes", n, got)
	}
	runtime.KeepAlive(o)
}
