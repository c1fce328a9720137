package autograd

import (
	"context"
	"errors"
	"fmt"
	"math"
	"runtime"
	"slices"
	"strings"
	"testing"

	G "gorgonia.org/gorgonia"
)

// network is loss(h2 · silu(h1) · h1) with h1 = x·Wᵀ and h2 = h1·Vᵀ: the value
// h1 has three users and the input W two (it is squared into the loss, too).
type network struct {
	x, w, v []float32
}

func newNetwork() *network { return &network{random(1, 5*4), random(2, 4*4), random(3, 4*4)} }

func (n *network) build(t *testing.T) (*Builder, *Program, *Value) {
	t.Helper()
	b := New()
	x, w, v := b.Input("x", []int{5, 4}, n.x), b.Input("w", []int{4, 4}, n.w), b.Input("v", []int{4, 4}, n.v)
	h1 := b.Apply(linear{"h1"}, x, w)
	h2 := b.Apply(linear{"h2"}, h1, v)
	y := b.Apply(mul{"y"}, h2, b.Apply(&silu{id: "s"}, h1), h1)
	z := b.Apply(linear{"z"}, y, w)
	loss := b.Apply(mean{}, z)
	p, err := b.Compile(loss, w, v, x)
	if err != nil {
		t.Fatal(err)
	}
	return b, p, loss
}

func (n *network) run(t *testing.T) (float64, [][]float32) {
	t.Helper()
	_, p, loss := n.build(t)
	defer p.Close()
	if err := p.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	return float64(p.Value(loss)[0]), [][]float32{p.Grad(0), p.Grad(1), p.Grad(2)}
}

// primitives computes the same by gorgonia's own primitives.
func (n *network) primitives(t *testing.T) (float64, [][]float32) {
	t.Helper()
	g := G.NewGraph()
	in := func(name string, r, c int, d []float32) *G.Node {
		return G.NewMatrix(g, G.Float32, G.WithShape(r, c), G.WithName(name), G.WithValue(dense([]int{r, c}, d)))
	}
	x, w, v := in("x", 5, 4, n.x), in("w", 4, 4, n.w), in("v", 4, 4, n.v)
	must := G.Must
	h1 := must(G.Mul(x, must(G.Transpose(w, 1, 0))))
	h2 := must(G.Mul(h1, must(G.Transpose(v, 1, 0))))
	s := must(G.HadamardProd(h1, must(G.Sigmoid(h1))))
	y := must(G.HadamardProd(must(G.HadamardProd(h2, s)), h1))
	z := must(G.Mul(y, must(G.Transpose(w, 1, 0))))
	loss := must(G.Mul(must(G.Mean(must(G.Square(z)))), G.NewConstant(float32(0.5))))
	grads, err := G.Grad(loss, w, v, x)
	if err != nil {
		t.Fatal(err)
	}
	vm := G.NewTapeMachine(g)
	defer vm.Close()
	if err := vm.RunAll(); err != nil {
		t.Fatal(err)
	}
	var out [][]float32
	for _, d := range grads {
		out = append(out, d.Value().Data().([]float32))
	}
	return float64(loss.Value().Data().(float32)), out
}

func largest(x []float32) (m float64) {
	for _, v := range x {
		m = max(m, math.Abs(float64(v)))
	}
	return m
}

func TestGradientsAgainstPrimitives(t *testing.T) {
	n := newNetwork()
	loss, grads := n.run(t)
	wantLoss, want := n.primitives(t)
	if math.Abs(loss-wantLoss) > 1e-5*wantLoss {
		t.Errorf("loss %v, primitives %v", loss, wantLoss)
	}
	for i := range grads {
		for j := range grads[i] {
			if d := math.Abs(float64(grads[i][j] - want[i][j])); d > 1e-5*largest(want[i]) {
				t.Errorf("gradient %d[%d] = %v, primitives %v", i, j, grads[i][j], want[i][j])
			}
		}
	}
}

func TestGradientsAgainstFiniteDifferences(t *testing.T) {
	n := newNetwork()
	_, grads := n.run(t)
	for i, d := range [][]float32{n.w, n.v, n.x} {
		g := slices.Clone(grads[i])
		for j, old := range d {
			const h = 1e-2
			d[j] = old + h
			up, _ := n.run(t)
			d[j] = old - h
			down, _ := n.run(t)
			d[j] = old
			numeric := (up - down) / float64((old+h)-(old-h))
			if math.Abs(numeric-float64(g[j])) > 5e-3*largest(g) {
				t.Errorf("gradient %d[%d] = %v, numeric %v", i, j, g[j], numeric)
			}
		}
	}
}

func TestRunsAreEqualAndFollowInputs(t *testing.T) {
	n := newNetwork()
	_, p, loss := n.build(t)
	defer p.Close()
	snapshot := func() []float32 {
		if err := p.Run(t.Context()); err != nil {
			t.Fatal(err)
		}
		return slices.Concat(p.Value(loss), p.Grad(0), p.Grad(1), p.Grad(2))
	}
	first := snapshot()
	for range 3 {
		if !slices.Equal(first, snapshot()) {
			t.Fatal("a repeated run differs")
		}
	}
	n.w[3] += 0.5
	if slices.Equal(first, snapshot()) {
		t.Error("a changed input changes nothing")
	}
	n.w[3] -= 0.5
	if !slices.Equal(first, snapshot()) {
		t.Error("a restored input does not restore the result")
	}
}

// deep is a chain of n ops over a [rows,4] value.
func deep(t *testing.T, n, rows int) *Program {
	b := New()
	x := b.Input("x", []int{rows, 4}, random(1, rows*4))
	h, wrt := x, []*Value{}
	for i := range n {
		w := b.Input("w", []int{4, 4}, random(uint64(i+2), 16))
		wrt = append(wrt, w)
		h = b.Apply(&silu{id: fmt.Sprint(i)}, b.Apply(linear{fmt.Sprint(i)}, h, w))
	}
	p, err := b.Compile(b.Apply(mean{}, h), wrt...)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestRunsDoNotGrow(t *testing.T) {
	const rows = 20000 // a value is 320 kB
	p := deep(t, 10, rows)
	defer p.Close()
	if err := p.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	const runs = 5
	for range runs {
		if err := p.Run(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	runtime.ReadMemStats(&after)
	if per := (after.TotalAlloc - before.TotalAlloc) / runs; per > 64<<10 {
		t.Errorf("a run allocates %d bytes", per)
	}
}

// TestBuffersAreShared: gradients of activations die as soon as they are used,
// so two buffers serve the whole backward pass.
func TestBuffersAreShared(t *testing.T) {
	const rows, n = 1000, 20
	p := deep(t, n, rows)
	defer p.Close()
	value := int64(rows * 4 * 4)
	if most := (2*n+3)*value + n*64 + 64; p.Bytes() > most {
		t.Errorf("%d bytes for %d activations of %d bytes, want at most %d", p.Bytes(), 2*n, value, most)
	}
}

type broken struct {
	mean
	key      string
	forward  func() error
	backward func() error
}

func (o broken) Key() string { return o.key }
func (o broken) Forward(out []float32, in [][]float32) error {
	if o.forward != nil {
		return o.forward()
	}
	return o.mean.Forward(out, in)
}
func (o broken) Backward(g, in [][]float32, out, grad []float32) error {
	if o.backward != nil {
		return o.backward()
	}
	return o.mean.Backward(g, in, out, grad)
}

func TestFailuresNameTheOp(t *testing.T) {
	bad := errors.New("bad number")
	for _, c := range []struct {
		op   broken
		want string
	}{
		{broken{key: "first", forward: func() error { panic("boom") }}, "first: panic: boom"},
		{broken{key: "second", backward: func() error { panic("boom") }}, "second.backward: panic: boom"},
		{broken{key: "third", forward: func() error { return bad }}, "third: bad number"},
		{broken{key: "fourth", backward: func() error { return bad }}, "fourth.backward: bad number"},
	} {
		b := New()
		x := b.Input("x", []int{3}, []float32{1, 2, 3})
		p, err := b.Compile(b.Apply(c.op, x), x)
		if err != nil {
			t.Fatal(err)
		}
		for range 2 { // a failed program can be run again
			if err := p.Run(t.Context()); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %s", err, c.want)
			}
		}
		p.Close()
	}
}

func TestRunStopsWithContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	b := New()
	x := b.Input("x", []int{1}, []float32{2})
	y := b.Apply(broken{key: "stop", forward: func() error { cancel(); return nil }}, x)
	p, err := b.Compile(b.Apply(mean{}, y), x)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	if err := p.Run(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

// picky fails when asked for a gradient that nobody wants.
type picky struct{ linear }

func (o picky) Backward(grads, in [][]float32, out, g []float32) error {
	if grads[0] != nil || grads[1] == nil {
		return errors.New("asked for the wrong gradients")
	}
	return o.linear.Backward(grads, in, out, g)
}

func TestUnwantedGradientsAreNil(t *testing.T) {
	b := New()
	x := b.Input("x", []int{2, 2}, random(1, 4))
	w := b.Input("w", []int{2, 2}, random(2, 4))
	frozen := b.Apply(broken{key: "frozen", backward: func() error { return errors.New("needs no gradient") }}, x)
	both := b.Apply(linear{"both"}, b.Input("one", []int{1, 1}, []float32{1}), b.Apply(&reshape{}, frozen))
	y := b.Apply(picky{linear{"p"}}, x, w)
	p, err := b.Compile(b.Apply(&join{}, b.Apply(mean{}, y), both), w)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	if err := p.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	if largest(p.Grad(0)) == 0 {
		t.Error("no gradient")
	}
}

// reshape makes [1,1] of [1]; join adds the two.
type reshape struct{ mul }

func (o *reshape) OutShape([][]int) ([]int, error) { return []int{1, 1}, nil }

type join struct{ mean }

func (o *join) Forward(out []float32, in [][]float32) error {
	out[0] = in[0][0] + in[1][0]
	return nil
}
func (o *join) Backward(grads, _ [][]float32, _, g []float32) error {
	if grads[1] != nil {
		return errors.New("asked for a gradient nobody wants")
	}
	grads[0][0] = g[0]
	return nil
}

func TestKeptValues(t *testing.T) {
	b := New()
	x := b.Input("x", []int{4}, []float32{1, 2, 3, 4})
	squares := b.Apply(mul{"squares"}, x, x)
	cubes := b.Apply(mul{"cubes"}, squares, x) // beside the loss
	b.Keep(cubes)
	loss := b.Apply(mean{}, squares)
	p, err := b.Compile(loss, x)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	if err := p.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := p.Value(cubes); !slices.Equal(got, []float32{1, 8, 27, 64}) {
		t.Errorf("kept value %v", got)
	}
	if got := p.Grad(0); !slices.Equal(got, []float32{0.5, 4, 13.5, 32}) { // x³/2
		t.Errorf("gradient %v", got)
	}
	if p.Value(squares) != nil {
		t.Error("a value that was not kept is readable")
	}
}

func TestMistakes(t *testing.T) {
	for want, build := range map[string]func(b *Builder) (*Value, []*Value){
		"3 elements given": func(b *Builder) (*Value, []*Value) {
			return b.Apply(mean{}, b.Input("x", []int{2, 2}, make([]float32, 3))), nil
		},
		"bad shape": func(b *Builder) (*Value, []*Value) {
			return b.Apply(mean{}, b.Input("x", []int{1 << 40, 1 << 40}, nil)), nil
		},
		"cannot multiply": func(b *Builder) (*Value, []*Value) {
			x := b.Input("x", []int{2}, make([]float32, 2))
			return b.Apply(mean{}, b.Apply(linear{"l"}, x, x)), nil
		},
		"not [1]": func(b *Builder) (*Value, []*Value) {
			x := b.Input("x", []int{2}, make([]float32, 2))
			return b.Apply(mul{"m"}, x, x), nil
		},
		"does not reach the loss": func(b *Builder) (*Value, []*Value) {
			x := b.Input("x", []int{2}, make([]float32, 2))
			return b.Apply(mean{}, x), []*Value{b.Input("y", []int{1}, make([]float32, 1))}
		},
		"is not an input": func(b *Builder) (*Value, []*Value) {
			x := b.Input("x", []int{2}, make([]float32, 2))
			y := b.Apply(mul{"m"}, x, x)
			return b.Apply(mean{}, y), []*Value{y}
		},
		"another builder": func(b *Builder) (*Value, []*Value) {
			return b.Apply(mean{}, New().Input("x", []int{1}, make([]float32, 1))), nil
		},
		"no inputs": func(b *Builder) (*Value, []*Value) { return b.Apply(mean{}), nil },
	} {
		b := New()
		loss, wrt := build(b)
		if _, err := b.Compile(loss, wrt...); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}

// TestCollidingHashes: 3,000 nodes make a collision of 32-bit hashes likely
// enough (about one in a thousand) to be worth a rule; here it is forced.
func TestCollidingHashes(t *testing.T) {
	g := G.NewGraph()
	c := &compiler{g: g}
	if _, err := c.input("x", []int{1}, []float32{1}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.input("x", []int{1}, []float32{2}); !errors.Is(err, errHashCollision) {
		t.Errorf("two inputs of one name: %v", err)
	}
	if a, b := (&compiler{salt: 1}).name("x"), (&compiler{salt: 2}).name("x"); a == b {
		t.Error("the salt does not change names")
	}
}
