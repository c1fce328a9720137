package decoder

import (
	"fmt"
	"sync"

	"github.com/pipe-run/pipe/steps/internal/tensor"
)

// Names of the tensors outside the blocks.
const (
	EmbedName = "model.embed_tokens.weight"
	NormName  = "model.norm"
	HeadName  = "lm_head.weight"
)

// Model is a decoder whose weights are frozen. Scorers, sessions and trainings
// of one model may run at the same time.
type Model struct {
	Config
	// Numerics is how its linears are multiplied. It must not change once scorers,
	// sessions or trainings exist; Load sets it, since some weights depend on it.
	Numerics  Numerics
	embed     tensor.Panels // [VocabSize, Hidden]
	positions []float32     // [MaxPositions, Hidden] with LearnedPositions
	norm      affine
	head      Linear
	blocks    []layer
	loaded    *ends      // what Replace replaced; nil before
	pool      *sync.Pool // see Subtract
}

// layer is one block's frozen weights and the adapter attached to it.
type layer struct {
	norms [numNorms]affine
	lin   [numProj]Linear // nil where the family has none
	bias  [numProj][]float32
	lora  [numProj]LoRA
	less  [numProj]LoRA // see Subtract
}

// Tensor is the name and shape of one weight.
type Tensor struct {
	Name  string
	Shape []int
}

// Tensors lists every weight of the architecture: embeddings, blocks in order
// (as a block op takes them), final norm, and the head unless it is tied.
// Matrices of linears are [Out, In]; FileShape is how files hold them.
func (c Config) Tensors() []Tensor {
	n := c.names()
	list := []Tensor{{n.embed, []int{c.VocabSize, c.Hidden}}}
	if c.LearnedPositions {
		list = append(list, Tensor{n.positions, []int{c.MaxPositions, c.Hidden}})
	}
	for i := range c.Layers {
		list = append(list, c.blockTensors(i)...)
	}
	list = append(list, c.normTensors(n.norm, c.Hidden)...)
	if !c.Tied {
		list = append(list, Tensor{n.head, []int{c.VocabSize, c.Hidden}})
	}
	return list
}

// normTensors lists the weights of the norm at path over rows of width.
func (c Config) normTensors(path string, width int) []Tensor {
	list := []Tensor{{path + ".weight", []int{width}}}
	if c.Norm == LayerNorm {
		list = append(list, Tensor{path + ".bias", []int{width}})
	}
	return list
}

// blockTensors lists the weights of one block: its norms, then its linears,
// each with its bias behind it.
func (c Config) blockTensors(i int) []Tensor {
	var list []Tensor
	for slot := range numNorms {
		if c.Norms[slot] {
			list = append(list, c.normTensors(c.normPath(i, slot), c.normWidth(slot))...)
		}
	}
	for p := range numProj {
		if !c.hasProj(p) {
			continue
		}
		out, in := c.projShape(p)
		path := c.linearPath(i, p)
		list = append(list, Tensor{path + ".weight", []int{out, in}})
		if c.Bias[p] {
			list = append(list, Tensor{path + ".bias", []int{out}})
		}
	}
	return list
}

// normWidth is the length of a row that a norm of a block works on.
func (c Config) normWidth(slot int) int {
	if slot == NormQ || slot == NormK {
		return c.HeadDim
	}
	return c.Hidden
}

// Module is a linear layer that an adapter may target: its path, such as
// "model.layers.0.self_attn.q_proj", and its shape.
type Module struct {
	Path    string
	Out, In int
	// Tensor is the name of its matrix in the model's files.
	Tensor string
	// Transposed says that files of floats hold it as [In, Out].
	Transposed bool
}

// Modules lists the linears of all blocks in order. The head is not among them.
func (c Config) Modules() []Module {
	var list []Module
	n := c.names()
	for i := range c.Layers {
		for p := range numProj {
			if c.hasProj(p) {
				out, in := c.projShape(p)
				list = append(list, Module{c.modulePath(i, p), out, in, c.linearPath(i, p) + ".weight", n.transposed})
			}
		}
	}
	return list
}

// FromTensors builds a model over tensors by name, as Config.Tensors lists
// them, which it uses where they lie.
func FromTensors(c Config, get func(name string) []float32) (*Model, error) {
	for _, t := range c.Tensors() {
		want := 1
		for _, d := range t.Shape {
			want *= d
		}
		if got := len(get(t.Name)); got != want {
			return nil, fmt.Errorf("%s holds %d numbers, want %v", t.Name, got, t.Shape)
		}
	}
	m, n := Skeleton(c), c.names()
	m.embed = matrix{c.VocabSize, c.Hidden, get(n.embed)}
	if c.LearnedPositions {
		m.positions = get(n.positions)
	}
	m.norm = c.takeNorm(get, n.norm)
	m.head = raw{c.VocabSize, c.Hidden, get(n.embed)}
	if !c.Tied {
		m.head = raw{c.VocabSize, c.Hidden, get(n.head)}
	}
	for i := range m.blocks {
		b := &m.blocks[i]
		for slot := range numNorms {
			if c.Norms[slot] {
				b.norms[slot] = c.takeNorm(get, c.normPath(i, slot))
			}
		}
		for p := range numProj {
			if !c.hasProj(p) {
				continue
			}
			out, in := c.projShape(p)
			b.lin[p] = raw{out, in, get(c.linearPath(i, p) + ".weight")}
			if c.Bias[p] {
				b.bias[p] = get(c.linearPath(i, p) + ".bias")
			}
		}
	}
	return m, nil
}

func (c Config) takeNorm(get func(name string) []float32, path string) (n affine) {
	n.w = get(path + ".weight")
	if c.Norm == LayerNorm {
		n.b = get(path + ".bias")
	}
	return n
}

// Skeleton returns a model without weights, for ops that take every weight as
// an input (Full).
func Skeleton(c Config) *Model {
	return &Model{Config: c, blocks: make([]layer, c.Layers)}
}

// Embed writes the embeddings of ids to x [len(ids), Hidden].
func (m *Model) Embed(ids []int32, x []float32) {
	h := m.Hidden
	for t, id := range ids {
		m.embed.Unpack(x[t*h:(t+1)*h], int(id), 0)
	}
}

// Attach makes the model compute with an adapter: lookup gives the LoRA of a
// module, or false. The shapes of A and B must fit (lora.Adapter.Check).
// Attaching again replaces what was attached.
func (m *Model) Attach(lookup func(module string) (LoRA, bool)) error {
	for i := range m.blocks {
		for p := range numProj {
			if !m.hasProj(p) {
				continue
			}
			l, ok := lookup(m.modulePath(i, p))
			if ok {
				out, in := m.projShape(p)
				if l.Rank < 1 || len(l.A) != l.Rank*in || len(l.B) != out*l.Rank {
					return fmt.Errorf("adapter of %s has %d and %d numbers at rank %d, want [%d, %d] and [%d, %d]",
						m.modulePath(i, p), len(l.A), len(l.B), l.Rank, l.Rank, in, out, l.Rank)
				}
			}
			m.blocks[i].lora[p] = l
		}
	}
	return nil
}

// block returns a block over the model's weights with its adapter.
func (m *Model) block(i int) *block {
	l := m.blocks[i]
	b := &block{cfg: m.Config, layer: i, norms: l.norms}
	for p := range numProj {
		out, in := m.projShape(p)
		b.lin[p] = adapted{base: m.without(m.Numerics.linear(l.lin[p]), l.less[p], p), bias: l.bias[p], out: out, in: in, num: m.Numerics, lora: l.lora[p]}
	}
	return b
}

func (m *Model) finalHead() *head {
	return &head{cfg: m.Config, norm: m.norm, lin: m.Numerics.linear(m.head), num: m.Numerics, rows: m.LossChunk()}
}
