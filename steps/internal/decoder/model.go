package decoder

import (
	"fmt"

	"github.com/pipe-run/pipe/steps/internal/tensor"
)

// Names of the tensors outside the blocks.
const (
	EmbedName = "model.embed_tokens.weight"
	NormName  = "model.norm.weight"
	HeadName  = "lm_head.weight"
)

// Model is a decoder whose weights are frozen. Scorers, sessions and trainings
// of one model may run at the same time.
type Model struct {
	Config
	embed  tensor.Panels // [VocabSize, Hidden]
	norm   []float32
	head   Linear
	blocks []layer
}

// layer is one block's frozen weights and the adapter attached to it.
type layer struct {
	norm1, norm2 []float32
	lin          [numProj]Linear
	lora         [numProj]LoRA
}

// Tensor is the name and shape of one weight.
type Tensor struct {
	Name  string
	Shape []int
}

// Tensors lists every weight of the architecture: embedding, blocks in order
// (norms and linears as a block op takes them), final norm, and the head unless
// it is tied.
func (c Config) Tensors() []Tensor {
	list := []Tensor{{EmbedName, []int{c.VocabSize, c.Hidden}}}
	for i := range c.Layers {
		list = append(list, c.blockTensors(i)...)
	}
	list = append(list, Tensor{NormName, []int{c.Hidden}})
	if !c.Tied {
		list = append(list, Tensor{HeadName, []int{c.VocabSize, c.Hidden}})
	}
	return list
}

// blockTensors lists the weights of one block: both norms, then the linears.
func (c Config) blockTensors(i int) []Tensor {
	prefix := fmt.Sprintf("model.layers.%d.", i)
	list := []Tensor{
		{prefix + "input_layernorm.weight", []int{c.Hidden}},
		{prefix + "post_attention_layernorm.weight", []int{c.Hidden}},
	}
	for p := range numProj {
		out, in := c.projShape(p)
		list = append(list, Tensor{prefix + projName(p) + ".weight", []int{out, in}})
	}
	return list
}

// Module is a linear layer that an adapter may target: its path, such as
// "model.layers.0.self_attn.q_proj", and its shape.
type Module struct {
	Path    string
	Out, In int
}

// Modules lists the linears of all blocks in order. The head is not among them.
func (c Config) Modules() []Module {
	var list []Module
	for i := range c.Layers {
		for p := range numProj {
			out, in := c.projShape(p)
			list = append(list, Module{modulePath(i, p), out, in})
		}
	}
	return list
}

func modulePath(layer, p int) string {
	return fmt.Sprintf("model.layers.%d.%s", layer, projName(p))
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
	m := Skeleton(c)
	m.embed, m.norm = matrix{c.VocabSize, c.Hidden, get(EmbedName)}, get(NormName)
	m.head = raw{c.VocabSize, c.Hidden, get(EmbedName)}
	if !c.Tied {
		m.head = raw{c.VocabSize, c.Hidden, get(HeadName)}
	}
	for i := range m.blocks {
		names := c.blockTensors(i)
		b := &m.blocks[i]
		b.norm1, b.norm2 = get(names[0].Name), get(names[1].Name)
		for p := range numProj {
			out, in := c.projShape(p)
			b.lin[p] = raw{out, in, get(names[2+p].Name)}
		}
	}
	return m, nil
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
			l, ok := lookup(modulePath(i, p))
			if ok {
				out, in := m.projShape(p)
				if l.Rank < 1 || len(l.A) != l.Rank*in || len(l.B) != out*l.Rank {
					return fmt.Errorf("adapter of %s has %d and %d numbers at rank %d, want [%d, %d] and [%d, %d]",
						modulePath(i, p), len(l.A), len(l.B), l.Rank, l.Rank, in, out, l.Rank)
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
	b := &block{cfg: m.Config, norm1: l.norm1, norm2: l.norm2}
	for p := range numProj {
		out, in := m.projShape(p)
		b.lin[p] = adapted{base: l.lin[p], out: out, in: in, lora: l.lora[p]}
	}
	return b
}

func (m *Model) finalHead() *head {
	return &head{cfg: m.Config, norm: m.norm, lin: m.head, rows: m.LossChunk()}
}
