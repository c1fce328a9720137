package decoder

import (
	"fmt"
	"slices"

	"github.com/pipe-run/pipe/steps/internal/tensor"
	"github.com/pipe-run/pipe/steps/internal/weights"
)

// Use says what a model is loaded for.
type Use int

const (
	// Infer loads for forward passes alone.
	Infer Use = iota
	// Train loads for forward and backward passes.
	Train
)

// Load reads the model directory dir. Every weight of the architecture must be
// there with the shape that config.json implies; others are ignored.
func Load(dir string, threads int, use Use) (*Model, error) {
	return LoadIn(dir, threads, use, F32)
}

// LoadIn is Load for computing in other numerics.
func LoadIn(dir string, threads int, use Use, num Numerics) (*Model, error) {
	c, err := ReadConfig(dir)
	if err != nil {
		return nil, err
	}
	w, err := weights.Open(dir)
	if err != nil {
		return nil, err
	}
	defer w.Close()
	return fromWeights(c, w, threads, use, num)
}

// FromWeights builds a model of configuration c from an open weight directory,
// which may be closed afterwards.
func FromWeights(c Config, w *weights.Dir, threads int, use Use) (*Model, error) {
	return fromWeights(c, w, threads, use, F32)
}

func fromWeights(c Config, w *weights.Dir, threads int, use Use, num Numerics) (*Model, error) {
	files, err := c.Oriented(w)
	if err != nil {
		return nil, err
	}
	l := loader{c: c, w: files, threads: threads, use: use, num: num}
	for _, t := range c.Tensors() {
		if err := l.check(t); err != nil {
			return nil, err
		}
	}
	return l.load()
}

// loader reads a model's weights.
type loader struct {
	c       Config
	w       Files
	threads int
	use     Use
	num     Numerics
}

// check compares one stored tensor with the shape that the configuration wants.
func (l loader) check(t Tensor) error {
	if !l.w.Has(t.Name) {
		return fmt.Errorf("the model has no tensor %s, which its config.json implies", t.Name)
	}
	got, err := l.w.Shape(t.Name)
	if err != nil {
		return err
	}
	if !slices.Equal(got, t.Shape) {
		stored := slices.Clone(t.Shape)
		if l.w.Flipped(t.Name) {
			slices.Reverse(got)
			slices.Reverse(stored)
		}
		return fmt.Errorf("tensor %s has shape %v; config.json implies %v", t.Name, got, stored)
	}
	return nil
}

func (l loader) load() (m *Model, err error) {
	m = Skeleton(l.c)
	m.Numerics = l.num
	n := l.c.names()
	if m.embed, err = l.stored(n.embed, l.c.VocabSize, l.c.Hidden); err != nil {
		return nil, err
	}
	if l.c.LearnedPositions {
		if m.positions, err = l.w.F32(n.positions); err != nil {
			return nil, err
		}
	}
	if m.norm, err = l.norm(n.norm); err != nil {
		return nil, err
	}
	if m.head, err = l.head(m.embed); err != nil {
		return nil, err
	}
	for i := range m.blocks {
		if err := l.block(&m.blocks[i], i); err != nil {
			return nil, err
		}
	}
	return m, nil
}

// head is the output projection. A tied one that need not be laid out anew is
// the embedding matrix where it lies.
func (l loader) head(embed tensor.Panels) (Linear, error) {
	n := l.c.names()
	switch {
	case !l.c.Tied:
		return l.linear(n.head, l.c.VocabSize, l.c.Hidden)
	case l.use == Infer || l.num == BF16:
		return l.linear(n.embed, l.c.VocabSize, l.c.Hidden)
	}
	return inPlace(embed), nil
}

// inPlace is a linear over a matrix that is packed, or unpacked, at each use.
func inPlace(p tensor.Panels) Linear {
	if w, ok := p.(matrix); ok {
		return raw{w.rows, w.columns, w.w}
	}
	return panels{p}
}

func (l loader) block(b *layer, i int) (err error) {
	c := l.c
	for slot := range numNorms {
		if !c.Norms[slot] {
			continue
		}
		if b.norms[slot], err = l.norm(c.normPath(i, slot)); err != nil {
			return err
		}
	}
	for p := range numProj {
		if !c.hasProj(p) {
			continue
		}
		out, in := c.projShape(p)
		path := c.linearPath(i, p)
		if b.lin[p], err = l.linear(path+".weight", out, in); err != nil {
			return err
		}
		if !c.Bias[p] {
			continue
		}
		if b.bias[p], err = l.w.F32(path + ".bias"); err != nil {
			return err
		}
	}
	return nil
}

// norm reads the norm at path.
func (l loader) norm(path string) (n affine, err error) {
	if n.w, err = l.w.F32(path + ".weight"); err == nil && l.c.Norm == LayerNorm {
		n.b, err = l.w.F32(path + ".bias")
	}
	return n, err
}

// linear reads one matrix. For inference it is laid out once as float32, since
// single rows are multiplied with it over and over. For training it stays as it
// is stored: beside the thousands of rows of a microbatch laying it out at each
// use, forward and backward, costs little, and two layouts would take memory.
func (l loader) linear(name string, out, in int) (Linear, error) {
	if l.num == BF16 {
		return l.linearBF16(name, out, in)
	}
	if l.use == Train {
		p, err := l.stored(name, out, in)
		if err != nil {
			return nil, err
		}
		return inPlace(p), nil
	}
	w, err := l.w.F32(name)
	if err != nil {
		return nil, err
	}
	return &packed{forward: tensor.PackNT(l.threads, out, in, w)}, nil
}

// stored reads one matrix in the form in which it is stored.
func (l loader) stored(name string, rows, columns int) (tensor.Panels, error) {
	dtype, err := l.w.DType(name)
	if err != nil {
		return nil, err
	}
	switch dtype {
	case "BF16", "F16":
		spec, data, err := l.w.Stored(name)
		if err != nil {
			return nil, err
		}
		return tensor.NewHalf(spec.DType, rows, columns, data)
	case "NF4", "FP4", "Q8_0":
		q, _, err := l.w.Quant(name)
		return q, err
	}
	w, err := l.w.F32(name)
	return matrix{rows, columns, w}, err
}

// packed is a dense matrix laid out for products; backward is nil in a model
// that only infers.
type packed struct{ forward, backward *tensor.Packed }

func (p *packed) Forward(threads, m int, x, y []float32, add bool) {
	p.forward.Mul(threads, m, x, y, add)
}

func (p *packed) Backward(threads, m int, dy, dx []float32, add bool) {
	p.backward.Mul(threads, m, dy, dx, add)
}

// panels is a matrix kept as stored.
type panels struct{ w tensor.Panels }

func (p panels) Forward(threads, m int, x, y []float32, add bool) {
	tensor.GemmPanelsNT(threads, m, x, p.w, y, add)
}

func (p panels) Backward(threads, m int, dy, dx []float32, add bool) {
	tensor.GemmPanelsNN(threads, m, dy, p.w, dx, add)
}

// matrix is a dense float32 matrix as tensor.Panels.
type matrix struct {
	rows, columns int
	w             []float32
}

func (d matrix) Shape() (rows, columns int) { return d.rows, d.columns }

func (d matrix) Unpack(dst []float32, row, column int) {
	copy(dst, d.w[row*d.columns+column:])
}
