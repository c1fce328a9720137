package decoder

import (
	"fmt"
	"strings"
	"sync"

	"github.com/pipe-run/pipe/steps/internal/kernel"
	"github.com/pipe-run/pipe/steps/internal/tensor"
)

// tokenSuffix follows the path of the embeddings in the name of trained rows.
const tokenSuffix = ".token_adapter.trainable_tokens_delta"

// EmbedPath and HeadPath are the paths of the embeddings and of the output head,
// as adapters call them.
func (c Config) EmbedPath() string { return strings.TrimSuffix(c.family().names.embed, ".weight") }

// HeadPath see EmbedPath.
func (c Config) HeadPath() string { return strings.TrimSuffix(c.family().names.head, ".weight") }

// EmbedTensor and HeadTensor are the names of the matrices in the model's files;
// those of a model with a tied head hold no HeadTensor.
func (c Config) EmbedTensor() string { return c.names().embed }

// HeadTensor see EmbedTensor.
func (c Config) HeadTensor() string { return c.names().head }

// Saved replaces embeddings and head of a model, whole or some rows of the
// embeddings, which a tied head shares. A replaced matrix of a tied model is tied
// no longer. Nil slices replace nothing.
type Saved struct {
	Embed, Head []float32 // [VocabSize, Hidden]
	Tokens      []int32   // the ids of Rows
	Rows        []float32 // [len(Tokens), Hidden]
}

// fits says how s does not fit a model of configuration c.
func (s Saved) fits(c Config) error {
	whole := c.VocabSize * c.Hidden
	switch {
	case s.Embed != nil && len(s.Embed) != whole || s.Head != nil && len(s.Head) != whole:
		return fmt.Errorf("embeddings or head are no matrices of %d×%d", c.VocabSize, c.Hidden)
	case len(s.Rows) != len(s.Tokens)*c.Hidden:
		return fmt.Errorf("%d numbers for %d rows of %d", len(s.Rows), len(s.Tokens), c.Hidden)
	}
	for _, id := range s.Tokens {
		if id < 0 || int(id) >= c.VocabSize {
			return fmt.Errorf("id %d is outside the model's vocabulary of %d", id, c.VocabSize)
		}
	}
	return nil
}

// Replace makes the model compute with s, whose slices it uses where they lie,
// in scorers and sessions made from now on. Replacing again builds on what the
// model was loaded with.
func (m *Model) Replace(s Saved) error {
	if err := s.fits(m.Config); err != nil {
		return err
	}
	if m.loaded == nil {
		m.loaded = &ends{m.embed, m.head}
	}
	m.embed, m.head = m.loaded.embed, m.loaded.head
	if len(s.Tokens) > 0 {
		m.embed = newTokenEmbed(m.embed, s)
		if m.Tied {
			m.head = &tokenHead{base: m.head, ids: s.Tokens, rows: s.Rows, vocab: m.VocabSize, hidden: m.Hidden}
		}
	}
	if s.Embed != nil {
		m.embed = matrix{m.VocabSize, m.Hidden, s.Embed}
	}
	if s.Head != nil {
		m.head = raw{m.VocabSize, m.Hidden, s.Head}
	}
	return nil
}

// ends are the matrices at both ends of a model.
type ends struct {
	embed tensor.Panels
	head  Linear
}

// tokenEmbed is an embedding matrix with other rows for some tokens.
type tokenEmbed struct {
	tensor.Panels
	at   map[int]int // id → row
	rows []float32
	n    int // width of a row
}

func newTokenEmbed(base tensor.Panels, s Saved) tokenEmbed {
	e := tokenEmbed{base, map[int]int{}, s.Rows, len(s.Rows) / len(s.Tokens)}
	for i, id := range s.Tokens {
		e.at[int(id)] = i
	}
	return e
}

// Unpack implements tensor.Panels.
func (e tokenEmbed) Unpack(dst []float32, row, column int) {
	if i, ok := e.at[row]; ok {
		copy(dst, e.rows[i*e.n+column:(i+1)*e.n])
		return
	}
	e.Panels.Unpack(dst, row, column)
}

// tokenHead is a head [vocab, hidden] with other rows for some tokens.
type tokenHead struct {
	base          Linear
	ids           []int32
	rows          []float32 // [len(ids), hidden]
	vocab, hidden int
	pool          sync.Pool // *[]float32, columns [m, len(ids)]
}

// columns borrows room for the columns of the tokens; giveBack returns it.
func (h *tokenHead) columns(m int) *[]float32 {
	buf, ok := h.pool.Get().(*[]float32)
	if !ok {
		buf = new([]float32)
	}
	*buf = sized(*buf, m*len(h.ids))
	return buf
}

// Forward implements Linear.
func (h *tokenHead) Forward(threads, m int, x, y []float32, add bool) {
	buf := h.columns(m)
	defer h.pool.Put(buf)
	z, k := *buf, len(h.ids)
	if add {
		h.gather(m, y, z)
	}
	tensor.GemmNT(threads, m, k, h.hidden, x, h.rows, z, add)
	h.base.Forward(threads, m, x, y, add)
	for t := range m {
		for j, id := range h.ids {
			y[t*h.vocab+int(id)] = z[t*k+j]
		}
	}
}

// gather copies the columns of the tokens from y [m, vocab] to z [m, len(ids)].
func (h *tokenHead) gather(m int, y, z []float32) {
	for t := range m {
		for j, id := range h.ids {
			z[t*len(h.ids)+j] = y[t*h.vocab+int(id)]
		}
	}
}

// Backward implements Linear. It changes dy and changes it back.
func (h *tokenHead) Backward(threads, m int, dy, dx []float32, add bool) {
	buf := h.columns(m)
	defer h.pool.Put(buf)
	dz, k := *buf, len(h.ids)
	h.gather(m, dy, dz)
	h.scatter(m, dy, nil)
	h.base.Backward(threads, m, dy, dx, add)
	h.scatter(m, dy, dz)
	tensor.GemmNN(threads, m, h.hidden, k, dz, h.rows, dx, true)
}

// scatter copies z, nil for zeros, to the columns of the tokens in y.
func (h *tokenHead) scatter(m int, y, z []float32) {
	for t := range m {
		for j, id := range h.ids {
			var v float32
			if z != nil {
				v = z[t*len(h.ids)+j]
			}
			y[t*h.vocab+int(id)] = v
		}
	}
}

// gradient adds the gradient of the rows to grad, from that of the output,
// dy [m, vocab], and the input x [m, hidden].
func (h *tokenHead) gradient(threads, m int, dy, x, grad []float32) {
	buf := h.columns(m)
	defer h.pool.Put(buf)
	h.gather(m, dy, *buf)
	tensor.GemmTN(threads, len(h.ids), h.hidden, m, *buf, x, grad, true)
}

// NewSavedEmbedOp returns the op of an embedding matrix that is trained beside
// adapters. Learned positions are frozen.
func (t *Training) NewSavedEmbedOp() *EmbedOp {
	op := t.NewEmbedOp()
	op.inputs = op.inputs[:1]
	op.inputs[0].Name = t.m.EmbedPath() + ".weight"
	return op
}

// NewSavedLossOp returns the loss op whose head is trained beside adapters, with
// a matrix of its own also where the model ties it to the embeddings.
func (t *Training) NewSavedLossOp() *LossOp {
	op := t.NewLossOp()
	op.inputs = []Tensor{{t.m.HeadPath() + ".weight", []int{t.m.VocabSize, t.m.Hidden}}}
	return op
}

// tokenInput is the input of an op that trains the rows of some tokens.
func (t *Training) tokenInput(ids []int32) []Tensor {
	return []Tensor{{t.m.EmbedPath() + tokenSuffix, []int{len(ids), t.m.Hidden}}}
}

// NewTokenLossOp returns the loss op of a tied model in which the rows of the
// listed tokens are trained.
func (t *Training) NewTokenLossOp(ids []int32) *LossOp {
	op := t.NewLossOp()
	op.inputs = t.tokenInput(ids)
	op.head.lin = &tokenHead{base: op.head.lin, ids: ids, vocab: t.m.VocabSize, hidden: t.m.Hidden}
	return op
}

// TokenEmbedOp looks tokens up in a frozen embedding matrix, but for the rows of
// some of them, which are its input and are trained.
type TokenEmbedOp struct {
	t   *Training
	ids []int32
	at  map[int32]int // id → row
}

// NewTokenEmbedOp returns the embedding op in which the rows of the listed tokens
// are trained.
func (t *Training) NewTokenEmbedOp(ids []int32) *TokenEmbedOp {
	op := &TokenEmbedOp{t, ids, map[int32]int{}}
	for i, id := range ids {
		op.at[id] = i
	}
	return op
}

// Inputs are the trained rows; this op has no x.
func (op *TokenEmbedOp) Inputs() []Tensor { return op.t.tokenInput(op.ids) }

// Key identifies the op within its training.
func (op *TokenEmbedOp) Key() string { return fmt.Sprintf("embed/tokens=%v", op.ids) }

// OutShape is [tokens, Hidden].
func (op *TokenEmbedOp) OutShape(in [][]int) ([]int, error) {
	if len(in) != 1 {
		return nil, fmt.Errorf("%s takes 1 input, not %d", op.Key(), len(in))
	}
	return []int{op.t.tokens, op.t.m.Hidden}, checkShapes(op.Key(), in, op.Inputs())
}

// Forward writes a row for every token.
func (op *TokenEmbedOp) Forward(out []float32, in [][]float32) error {
	m, b := op.t.m, op.t.batch
	op.t.Embed(out)
	for t, id := range b.IDs {
		i, ok := op.at[id]
		if !ok {
			continue
		}
		row := out[t*m.Hidden:][:m.Hidden]
		copy(row, in[0][i*m.Hidden:])
		m.place(row, b.Positions[t])
	}
	return nil
}

// place scales an embedding and adds that of its position, where a model does.
func (m *Model) place(row []float32, position int32) {
	if m.EmbedScale != 0 {
		kernel.Scale(row, float32(m.EmbedScale))
	}
	if m.positions != nil {
		kernel.Add(row, m.positions[int(position)*m.Hidden:][:m.Hidden])
	}
}

// Backward adds the gradient of every trained token to its row, in the order of
// tokens.
func (op *TokenEmbedOp) Backward(grads, _ [][]float32, _, gradOut []float32) error {
	if grads[0] == nil {
		return nil
	}
	clear(grads[0])
	h, scale := op.t.m.Hidden, float32(1)
	if op.t.m.EmbedScale != 0 {
		scale = float32(op.t.m.EmbedScale)
	}
	for t, id := range op.t.batch.IDs {
		if i, ok := op.at[id]; ok {
			kernel.AddScaled(grads[0][i*h:][:h], gradOut[t*h:][:h], scale)
		}
	}
	return nil
}
