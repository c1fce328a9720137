package lora

import (
	"fmt"
	"slices"
	"strings"

	"github.com/pipe-run/pipe/steps/internal/decoder"
	"github.com/pipe-run/pipe/steps/internal/safetensors"
	"github.com/pipe-run/pipe/steps/internal/tensor"
	"github.com/pipe-run/pipe/steps/internal/weights"
)

// What can be trained whole beside an adapter, as Spec.ModulesToSave names it in
// every architecture.
const (
	SaveEmbed = "embed_tokens"
	SaveHead  = "lm_head"
)

// suffixTokens is the name of trained rows of the embeddings.
const suffixTokens = ".token_adapter.trainable_tokens_delta"

// wholes are matrices that an adapter holds whole, by path, and rows of one.
type wholes struct {
	matrices map[string]matrix
	tokens   string // path of the embeddings that rows replace; "" for none
	rows     matrix
}

// matrix is a tensor of two dimensions.
type matrix struct {
	rows, columns int
	x             []float32
}

// leaf is the last name of a path.
func leaf(path string) string { return path[strings.LastIndexByte(path, '.')+1:] }

// saves says whether modules_to_save names the module.
func (c Config) saves(path string) bool {
	return slices.ContainsFunc(c.ModulesToSave, func(name string) bool {
		return path == name || strings.HasSuffix(path, "."+name)
	})
}

// takeSaved adds a stored tensor that is trained whole, or says false.
func (a *Adapter) takeSaved(f *safetensors.File, t safetensors.Tensor, name string) (bool, error) {
	tokens, isTokens := strings.CutSuffix(name, suffixTokens)
	path, isWeight := strings.CutSuffix(name, ".weight")
	if !isTokens && !(isWeight && a.Config.saves(path)) {
		return false, nil
	}
	if len(t.Shape) != 2 || t.Shape[0] < 1 || t.Shape[1] < 1 {
		return true, fmt.Errorf("tensor %s has shape %v, want a matrix", t.Name, t.Shape)
	}
	x, err := floats(f, t)
	m := matrix{t.Shape[0], t.Shape[1], x}
	switch {
	case err != nil:
	case !isTokens:
		a.whole.matrices[path] = m
	case a.whole.tokens != "":
		err = fmt.Errorf("tensor %s: %s has rows too", t.Name, a.whole.tokens)
	case m.rows != len(a.Config.TokenIndices):
		err = fmt.Errorf("tensor %s has %d rows for %d trainable_token_indices", t.Name, m.rows, len(a.Config.TokenIndices))
	default:
		a.whole.tokens, a.whole.rows = tokens, m
	}
	return true, err
}

// completeSaved checks that everything the configuration promises is there.
func (a *Adapter) completeSaved() error {
	for _, name := range a.Config.ModulesToSave {
		found := slices.ContainsFunc(sortedKeys(a.whole.matrices), func(path string) bool {
			return path == name || strings.HasSuffix(path, "."+name)
		})
		if !found {
			return fmt.Errorf("%s lacks the weight of %s, one of modules_to_save", WeightsFile, name)
		}
	}
	if len(a.Config.TokenIndices) > 0 && a.whole.tokens == "" {
		return fmt.Errorf("%s lacks the rows of trainable_token_indices", WeightsFile)
	}
	return nil
}

// settle finds out what the matrices replace in a model of configuration c.
func (a *Adapter) settle(c decoder.Config) error {
	a.embed, a.head, a.vocab = c.EmbedPath(), c.HeadPath(), c.VocabSize
	for _, path := range sortedKeys(a.whole.matrices) {
		m := a.whole.matrices[path]
		if m.rows != c.VocabSize || m.columns != c.Hidden {
			return fmt.Errorf("the adapter does not fit the model: its %s is [%d, %d], the model's [%d, %d]", path, m.rows, m.columns, c.VocabSize, c.Hidden)
		}
		switch path {
		case c.EmbedPath():
			a.Saved.Embed = m.x
		case c.HeadPath():
			a.Saved.Head = m.x
		default:
			return fmt.Errorf("the adapter holds all of %s, which pipe does not train beside an adapter", path)
		}
	}
	if a.whole.tokens == "" {
		return nil
	}
	if a.whole.tokens != c.EmbedPath() || a.whole.rows.columns != c.Hidden {
		return fmt.Errorf("the adapter does not fit the model: it trains tokens of %s in rows of %d, the model's are of %s in rows of %d",
			a.whole.tokens, a.whole.rows.columns, c.EmbedPath(), c.Hidden)
	}
	for _, id := range a.Config.TokenIndices {
		if int(id) >= c.VocabSize {
			return fmt.Errorf("the adapter does not fit the model: it trains token %d of a vocabulary of %d", id, c.VocabSize)
		}
	}
	if c.Tied && a.Saved.Head != nil {
		return fmt.Errorf("the adapter trains single tokens and all of %s, which the model ties to them", c.HeadPath())
	}
	a.Saved.Tokens, a.Saved.Rows = a.Config.TokenIndices, a.whole.rows.x
	return nil
}

// Unties says that the adapter makes matrices of their own of the embeddings and
// the head that the model ties.
func (a *Adapter) Unties(c decoder.Config) bool {
	return c.Tied && (a.Saved.Embed != nil || a.Saved.Head != nil)
}

// StartSaved gives what is trained whole the values that the model in dir has.
func (a *Adapter) StartSaved(c decoder.Config, dir string) error {
	s := a.Saved
	if s.Embed == nil && s.Head == nil && s.Tokens == nil {
		return nil
	}
	d, err := weights.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	read := func(name string) ([]float32, error) {
		x, err := d.F32(name)
		if err == nil && len(x) != c.VocabSize*c.Hidden {
			err = fmt.Errorf("tensor %s has %d elements, want [%d, %d]", name, len(x), c.VocabSize, c.Hidden)
		}
		return x, err
	}
	embed, err := read(c.EmbedTensor())
	if err != nil {
		return err
	}
	copy(s.Embed, embed)
	for i, id := range s.Tokens {
		copy(s.Rows[i*c.Hidden:][:c.Hidden], embed[int(id)*c.Hidden:])
	}
	if s.Head != nil && !c.Tied {
		if embed, err = read(c.HeadTensor()); err != nil {
			return err
		}
	}
	copy(s.Head, embed)
	return nil
}

// savedTensors lists what is trained whole by its name in the weights' file.
func (a *Adapter) savedTensors() (specs []safetensors.Spec, data [][]float32) {
	add := func(name string, rows int, x []float32) {
		if len(x) > 0 {
			specs = append(specs, safetensors.Spec{Name: prefix + name, DType: tensor.F32, Shape: []int{rows, len(x) / rows}})
			data = append(data, x)
		}
	}
	add(a.embed+".weight", a.vocab, a.Saved.Embed)
	add(a.head+".weight", a.vocab, a.Saved.Head)
	add(a.embed+suffixTokens, len(a.Saved.Tokens), a.Saved.Rows)
	return specs, data
}

// saved works out what s has trained whole in a model of configuration c.
func (s Spec) saved(c decoder.Config, d *Design) error {
	for i, name := range s.ModulesToSave {
		switch {
		case slices.Contains(s.ModulesToSave[:i], name):
			return blame("modulesToSave", "%q is named twice", name)
		case name == SaveEmbed:
			d.Config.ModulesToSave = append(d.Config.ModulesToSave, leaf(c.EmbedPath()))
			d.embed = true
		case name == SaveHead:
			d.Config.ModulesToSave = append(d.Config.ModulesToSave, leaf(c.HeadPath()))
			d.head = true
		default:
			return blame("modulesToSave", "%q is neither %q nor %q", name, SaveEmbed, SaveHead)
		}
	}
	for i, id := range s.Tokens {
		switch {
		case id < 0 || int(id) >= c.VocabSize:
			return blame("trainableTokens", "id %d is outside the model's vocabulary of %d", id, c.VocabSize)
		case slices.Contains(s.Tokens[:i], id):
			return blame("trainableTokens", "id %d is named twice", id)
		}
	}
	switch {
	case len(s.Tokens) == 0:
	case d.embed:
		return blame("trainableTokens", "modulesToSave trains all tokens of %s", SaveEmbed)
	case d.head && c.Tied:
		return blame("trainableTokens", "the model ties its head to them, and modulesToSave trains %s apart", SaveHead)
	}
	d.Config.TokenIndices = s.Tokens
	return nil
}
