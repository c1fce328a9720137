package lora

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/pipe-run/pipe/steps/internal/artifact"
	"github.com/pipe-run/pipe/steps/internal/decoder"
	"github.com/pipe-run/pipe/steps/internal/quant"
	"github.com/pipe-run/pipe/steps/internal/safetensors"
	"github.com/pipe-run/pipe/steps/internal/tensor"
	"github.com/pipe-run/pipe/steps/internal/weights"
)

// Delta computes s·B·A [Out, In], what merging adds to the weight.
func (p Pair) Delta(threads int) []float32 {
	d := make([]float32, p.Out*p.In)
	tensor.GemmNN(threads, p.Out, p.In, p.Rank, p.B, p.A, d, false)
	for i := range d {
		d[i] *= p.Scale
	}
	return d
}

// MergeOptions say how Merge treats the base.
type MergeOptions struct {
	// Round, when not nil, replaces every dense linear of the base by what its
	// quantization holds, dq(Q(W)), before the adapter is added. It is how the base
	// was stored while the adapter was trained.
	Round *artifact.Quantization
	// DType is that of the merged weights: F32, BF16 or F16.
	DType   tensor.DType
	Threads int
	// Progress, when not nil, is told the bytes written so far and in all.
	Progress func(done, total int64)
}

// Merge writes base plus adapter to dir/model.safetensors, tensor by tensor.
// Weights of the base that are stored in few bits are dequantized. The adapter
// must fit (Check).
func Merge(ctx context.Context, c decoder.Config, base *weights.Dir, a *Adapter, dir string, opt MergeOptions) error {
	m, err := newMerger(c, base, a, opt)
	if err != nil {
		return err
	}
	if opt.Round != nil {
		if !slices.Contains([]string{quant.NF4, quant.FP4, quant.Q8}, opt.Round.Scheme) {
			return fmt.Errorf("the adapter was trained on weights quantized as %q, which pipe cannot reproduce", opt.Round.Scheme)
		}
		for _, path := range m.module {
			m.round[path] = !skipped(path, opt.Round.Skip)
		}
	}
	specs, err := m.specs()
	if err != nil {
		return err
	}
	w, err := safetensors.Create(filepath.Join(dir, weights.SingleFile), specs, safetensors.PyTorch())
	if err != nil {
		return err
	}
	if err := m.write(ctx, w, specs); err != nil {
		w.Close()
		return err
	}
	return w.Close()
}

// skipped says whether a list of unquantized modules names the module: by its
// path or a name within it, as transformers matches llm_int8_skip_modules.
func skipped(path string, skip []string) bool {
	return slices.ContainsFunc(skip, func(s string) bool {
		return path == s || strings.HasSuffix(path, "."+s) || strings.HasPrefix(path, s+".")
	})
}

// merger carries one merge.
type merger struct {
	c      decoder.Config
	base   decoder.Files
	a      *Adapter
	opt    MergeOptions
	module map[string]string // weight's name → module, of every linear
	round  map[string]bool   // module → its dense weight is quantized and back
}

func newMerger(c decoder.Config, base *weights.Dir, a *Adapter, opt MergeOptions) (*merger, error) {
	files, err := c.Oriented(base)
	m := &merger{c: c, base: files, a: a, opt: opt, module: map[string]string{}, round: map[string]bool{}}
	for _, mod := range c.Modules() {
		m.module[mod.Tensor] = mod.Path
	}
	return m, err
}

// specs lists the merged tensors. Tensors that are not floating point keep
// their dtype.
func (m *merger) specs() ([]safetensors.Spec, error) {
	var specs []safetensors.Spec
	for _, name := range m.base.Names() {
		shape, err := m.base.Shape(name)
		if err != nil {
			return nil, err
		}
		stored, err := m.base.DType(name)
		if err != nil {
			return nil, err
		}
		s := safetensors.Spec{Name: name, DType: m.opt.DType, Shape: m.c.FileShape(decoder.Tensor{Name: name, Shape: shape})}
		if !float(string(stored)) {
			s.DType = tensor.DType(stored)
		}
		specs = append(specs, s)
	}
	if m.a.Unties(m.c) && !m.base.Has(m.c.HeadTensor()) {
		specs = append(specs, safetensors.Spec{Name: m.c.HeadTensor(), DType: m.opt.DType, Shape: []int{m.c.VocabSize, m.c.Hidden}})
	}
	return safetensors.Order(specs), nil
}

// saved returns the tensor if it is one that the adapter holds, or some rows of,
// or that of a head which the adapter unties; nil otherwise.
func (m *merger) saved(name string) ([]float32, error) {
	s, embed, head := m.a.Saved, m.c.EmbedTensor(), m.c.HeadTensor()
	switch {
	case name == embed && s.Embed != nil:
		return s.Embed, nil
	case name == head && s.Head != nil:
		return s.Head, nil
	case name == head && m.a.Unties(m.c):
		return m.base.F32(embed)
	case len(s.Tokens) == 0 || !(name == embed || name == head && m.c.Tied):
		return nil, nil
	}
	x, err := m.base.F32(embed)
	if err != nil {
		return nil, err
	}
	for i, id := range s.Tokens {
		copy(x[int(id)*m.c.Hidden:], s.Rows[i*m.c.Hidden:][:m.c.Hidden])
	}
	return x, nil
}

// float says whether weights.Dir.F32 widens the dtype.
func float(dtype string) bool {
	return dtype == "F32" || dtype == "BF16" || dtype == "F16" || few(dtype)
}

// few says whether weights of the dtype are stored in few bits.
func few(dtype string) bool { return dtype == "NF4" || dtype == "FP4" || dtype == "Q8_0" }

func (m *merger) write(ctx context.Context, w *safetensors.Writer, specs []safetensors.Spec) error {
	var done, total int64
	for _, s := range specs {
		total += size(s)
	}
	for _, s := range specs {
		if err := ctx.Err(); err != nil {
			return err
		}
		raw, err := m.tensor(s)
		if err != nil {
			return fmt.Errorf("merging %s: %w", s.Name, err)
		}
		if err := w.Write(s.Name, raw); err != nil {
			return fmt.Errorf("writing %s: %w", weights.SingleFile, err)
		}
		if done += size(s); m.opt.Progress != nil {
			m.opt.Progress(done, total)
		}
	}
	return nil
}

func size(s safetensors.Spec) int64 {
	n := int64(s.DType.Size())
	for _, d := range s.Shape {
		n *= int64(d)
	}
	return n
}

// tensor returns the bytes of one merged tensor.
func (m *merger) tensor(s safetensors.Spec) ([]byte, error) {
	saved, err := m.saved(s.Name)
	if err != nil {
		return nil, err
	}
	if saved != nil {
		raw := make([]byte, size(s))
		return raw, tensor.Encode(raw, s.DType, saved)
	}
	stored, err := m.base.DType(s.Name)
	if err != nil {
		return nil, err
	}
	module := m.module[s.Name]
	pair, adapted := m.a.Pairs[module]
	round := m.round[module] && !few(string(stored))
	if !adapted && !round && tensor.DType(stored) == s.DType {
		_, raw, err := m.base.Dir.Stored(s.Name)
		return raw, err
	}
	x, err := m.base.F32(s.Name)
	if err != nil {
		return nil, err
	}
	shape, err := m.base.Shape(s.Name)
	if err != nil {
		return nil, err
	}
	if round {
		q, err := quant.Quantize(m.opt.Threads, x, shape, quant.Options{
			Scheme: m.opt.Round.Scheme, BlockSize: m.opt.Round.BlockSize, DoubleQuant: m.opt.Round.DoubleQuant, DType: tensor.DType(stored),
		})
		if err != nil {
			return nil, err
		}
		quant.Dequantize(m.opt.Threads, q, x)
	}
	if adapted {
		pair.addTo(m.opt.Threads, x)
	}
	if m.c.Transposed(s.Name) {
		x = decoder.Transpose(x, shape[0], shape[1])
	}
	raw := make([]byte, size(s))
	return raw, tensor.Encode(raw, s.DType, x)
}
