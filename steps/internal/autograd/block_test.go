package autograd_test

import (
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"github.com/pipe-run/pipe/steps/internal/decoder"
)

// oracle is a llama block of gorgonia's own primitives, in float64. Heads are
// taken apart by products with constant matrices, and rows are spread over
// columns by products with ones, so that nothing but Mul, Add, products and
// quotients of elements, Exp, Sigmoid, Sqrt and Inverse is differentiated.
type oracle struct {
	c      decoder.Config
	g      *G.ExprGraph
	n      int
	params map[string]*G.Node
	scale  float64 // of LoRA
	names  int
}

// matrix adds a constant or a parameter [rows, columns].
func (o *oracle) matrix(rows, columns int, at func(i, j int) float64) *G.Node {
	data := make([]float64, rows*columns)
	for i := range rows {
		for j := range columns {
			data[i*columns+j] = at(i, j)
		}
	}
	o.names++
	return G.NewMatrix(o.g, G.Float64, G.WithShape(rows, columns), G.WithName("m"+string(rune('0'+o.names/64))+string(rune('0'+o.names%64))),
		G.WithValue(tensor.New(tensor.WithShape(rows, columns), tensor.WithBacking(data))))
}

func (o *oracle) ones(rows, columns int) *G.Node {
	return o.matrix(rows, columns, func(int, int) float64 { return 1 })
}

func (o *oracle) param(name string, rows, columns int, x []float32) {
	o.params[name] = o.matrix(rows, columns, func(i, j int) float64 { return float64(x[i*columns+j]) })
}

func mul(a, b *G.Node) *G.Node    { return G.Must(G.Mul(a, b)) }
func each(a, b *G.Node) *G.Node   { return G.Must(G.HadamardProd(a, b)) }
func add(a, b *G.Node) *G.Node    { return G.Must(G.Add(a, b)) }
func transpose(a *G.Node) *G.Node { return G.Must(G.Transpose(a, 1, 0)) }

const prefix = "model.layers.0."

// linear is x·Wᵀ, and the update where there is one.
func (o *oracle) linear(name string, x *G.Node) *G.Node {
	y := mul(x, transpose(o.params[prefix+name+".weight"]))
	if a := o.params[prefix+name+".lora_A.weight"]; a != nil {
		s := o.matrix(o.n, y.Shape()[1], func(int, int) float64 { return o.scale })
		y = add(y, each(s, mul(mul(x, transpose(a)), transpose(o.params[prefix+name+".lora_B.weight"]))))
	}
	return y
}

// norm is x·w/rms(x). G.InverseSqrt has a wrong gradient.
func (o *oracle) norm(name string, x *G.Node) *G.Node {
	h := o.c.Hidden
	mean := mul(each(x, x), o.matrix(h, 1, func(int, int) float64 { return 1 / float64(h) }))
	eps := o.matrix(o.n, 1, func(int, int) float64 { return o.c.Eps })
	inv := G.Must(G.Inverse(G.Must(G.Sqrt(add(mean, eps)))))
	w := mul(o.ones(o.n, 1), o.params[prefix+name+".weight"])
	return each(w, each(x, mul(inv, o.ones(1, h))))
}

// head takes head h out of x and rotates it by the positions at.
func (o *oracle) head(x *G.Node, h int, at []int32) *G.Node {
	d := o.c.HeadDim
	y := mul(x, o.matrix(x.Shape()[1], d, func(i, j int) float64 {
		if i == h*d+j {
			return 1
		}
		return 0
	}))
	if at == nil {
		return y
	}
	angle := func(t, j int) float64 {
		return float64(at[t]) / math.Pow(o.c.RopeTheta, float64(2*(j%(d/2)))/float64(d))
	}
	turned := mul(y, o.matrix(d, d, func(i, j int) float64 {
		switch {
		case j == i+d/2:
			return 1
		case j == i-d/2:
			return -1
		}
		return 0
	}))
	return add(
		each(y, o.matrix(o.n, d, func(t, j int) float64 { return math.Cos(angle(t, j)) })),
		each(turned, o.matrix(o.n, d, func(t, j int) float64 { return math.Sin(angle(t, j)) })))
}

// block is the whole layer over documents packed one after another.
func (o *oracle) block(x *G.Node, at []int32) *G.Node {
	c, d := o.c, o.c.HeadDim
	h := o.norm("input_layernorm", x)
	q, k, v := o.linear("self_attn.q_proj", h), o.linear("self_attn.k_proj", h), o.linear("self_attn.v_proj", h)
	seen := o.matrix(o.n, o.n, func(i, j int) float64 {
		if j <= i && i-j <= int(at[i]) {
			return 1
		}
		return 0
	})
	var attention *G.Node
	for i := range c.Heads {
		kv := i / (c.Heads / c.KVHeads)
		s := mul(o.head(q, i, at), transpose(o.head(k, kv, at)))
		s = each(s, o.matrix(o.n, o.n, func(int, int) float64 { return 1 / math.Sqrt(float64(d)) }))
		e := each(G.Must(G.Exp(s)), seen)
		p := G.Must(G.HadamardDiv(e, mul(mul(e, o.ones(o.n, 1)), o.ones(1, o.n))))
		part := mul(mul(p, o.head(v, kv, nil)), o.matrix(d, c.Heads*d, func(r, j int) float64 {
			if j == i*d+r {
				return 1
			}
			return 0
		}))
		if attention == nil {
			attention = part
		} else {
			attention = add(attention, part)
		}
	}
	y := add(x, o.linear("self_attn.o_proj", attention))
	h = o.norm("post_attention_layernorm", y)
	gate := o.linear("mlp.gate_proj", h)
	act := each(each(gate, G.Must(G.Sigmoid(gate))), o.linear("mlp.up_proj", h))
	return add(y, o.linear("mlp.down_proj", act))
}

// TestBlockAgainstPrimitives compares every gradient of a llama block, all of its
// weights trained or adapters of all linears, with that of a graph of
// primitives.
func TestBlockAgainstPrimitives(t *testing.T) {
	c, err := decoder.ParseConfig([]byte(`{"model_type": "llama", "vocab_size": 11, "hidden_size": 12, "intermediate_size": 20,
		"num_hidden_layers": 1, "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 6, "rms_norm_eps": 1e-5}`))
	if err != nil {
		t.Fatal(err)
	}
	at := []int32{0, 1, 2, 3, 4, 0, 1, 2}
	b, err := decoder.NewBatch(c, make([]int32, len(at)), at, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, kind := range []string{"full", "lora"} {
		t.Run(kind, func(t *testing.T) {
			r := rand.New(rand.NewPCG(4, 2))
			fill := func(n int, mean float32) []float32 {
				x := make([]float32, n)
				for i := range x {
					x[i] = mean + r.Float32() - 0.5
				}
				return x
			}
			weights := map[string][]float32{}
			for _, w := range c.Tensors() {
				mean := float32(0)
				if len(w.Shape) == 1 {
					mean = 1
				}
				weights[w.Name] = fill(elements(w.Shape), mean)
			}
			m, err := decoder.FromTensors(c, func(name string) []float32 { return weights[name] })
			if err != nil {
				t.Fatal(err)
			}
			tr := decoder.NewTraining(m, len(at), 2)
			if err := tr.SetBatch(b, 1); err != nil {
				t.Fatal(err)
			}
			o := &oracle{c: c, g: G.NewGraph(), n: len(at), params: map[string]*G.Node{}, scale: 0.5}
			op := tr.NewFullBlockOp(0)
			if kind == "lora" {
				op = tr.NewBlockOp(0, func(string) (decoder.Adapt, bool) { return decoder.Adapt{Rank: 3, Scale: 0.5}, true })
			}
			inputs := [][]float32{fill(len(at)*c.Hidden, 0)}
			for _, p := range op.Inputs() {
				if weights[p.Name] == nil {
					weights[p.Name] = fill(elements(p.Shape), 0)
				}
				inputs = append(inputs, weights[p.Name])
			}
			gradOut := fill(len(at)*c.Hidden, 0)
			compare(t, o, op, inputs, gradOut, at, weights)
		})
	}
}

func elements(shape []int) int {
	n := 1
	for _, d := range shape {
		n *= d
	}
	return n
}

// compare runs both and compares outputs and gradients, each relative to its
// largest element.
func compare(t *testing.T, o *oracle, op *decoder.BlockOp, inputs [][]float32, gradOut []float32, at []int32, weights map[string][]float32) {
	t.Helper()
	out := make([]float32, len(inputs[0]))
	grads := make([][]float32, len(inputs))
	for i := range grads {
		grads[i] = make([]float32, len(inputs[i]))
	}
	if err := op.Forward(out, inputs); err != nil {
		t.Fatal(err)
	}
	if err := op.Backward(grads, inputs, out, gradOut); err != nil {
		t.Fatal(err)
	}
	h := o.c.Hidden
	for _, p := range o.c.Tensors() {
		if strings.HasPrefix(p.Name, prefix) {
			rows := elements(p.Shape) / p.Shape[len(p.Shape)-1]
			o.param(p.Name, rows, p.Shape[len(p.Shape)-1], weights[p.Name])
		}
	}
	for _, p := range op.Inputs() {
		if o.params[p.Name] == nil {
			o.param(p.Name, p.Shape[0], p.Shape[1], weights[p.Name])
		}
	}
	o.param("x", o.n, h, inputs[0])
	y := o.block(o.params["x"], at)
	loss := G.Must(G.Sum(each(y, o.matrix(o.n, h, func(i, j int) float64 { return float64(gradOut[i*h+j]) }))))
	wrt := G.Nodes{o.params["x"]}
	names := []string{"x"}
	for _, p := range op.Inputs() {
		wrt, names = append(wrt, o.params[p.Name]), append(names, p.Name)
	}
	want, err := G.Grad(loss, wrt...)
	if err != nil {
		t.Fatal(err)
	}
	vm := G.NewTapeMachine(o.g)
	defer vm.Close()
	if err := vm.RunAll(); err != nil {
		t.Fatal(err)
	}
	near(t, "output", out, y.Value().Data().([]float64))
	for i, g := range want {
		near(t, names[i], grads[i], g.Value().Data().([]float64))
	}
}

func near(t *testing.T, name string, got []float32, want []float64) {
	t.Helper()
	var worst, size float64
	for i, v := range want {
		worst, size = max(worst, math.Abs(float64(got[i])-v)), max(size, math.Abs(v))
	}
	if !(worst <= 1e-4*size) || size == 0 {
		t.Errorf("%s: off by %.2g of its largest element, %.2g", name, worst/size, size)
	}
}
