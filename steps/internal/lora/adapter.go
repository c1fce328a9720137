package lora

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/pipe-run/pipe/steps/internal/decoder"
	"github.com/pipe-run/pipe/steps/internal/safetensors"
	"github.com/pipe-run/pipe/steps/internal/tensor"
)

// prefix is what PEFT puts before the path of a module.
const prefix = "base_model.model."

const (
	suffixA = ".lora_A.weight"
	suffixB = ".lora_B.weight"
)

// Pair is the update of one module: A [Rank, In], B [Out, Rank] and its factor.
type Pair struct {
	A, B    []float32
	In, Out int
	Rank    int
	Scale   float32
	// Magnitude [Out] is that of DoRA, nil without; Squares see Measure.
	Magnitude []float32
	Squares   []float64
	gain      []float32 // see Attach
}

// Adapter is a LoRA adapter in memory. Pairs is by module path, such as
// "model.layers.0.self_attn.q_proj".
type Adapter struct {
	Config Config
	Pairs  map[string]Pair
	// Saved is what is trained whole beside the pairs. Of an adapter that was read
	// it is known after Check.
	Saved decoder.Saved
	whole wholes
	// initial is what an adapter of PiSSA began with, by module; nil otherwise.
	initial map[string]Pair
	// embed and head are the paths of the embeddings and the head of the model that
	// the adapter was designed for, vocab its vocabulary; see Write.
	embed, head string
	vocab       int
}

// Modules returns the paths of the adapted modules, sorted.
func (a *Adapter) Modules() []string { return sortedKeys(a.Pairs) }

// Lookup gives decoder.Model.Attach the update of a module.
func (a *Adapter) Lookup(module string) (decoder.LoRA, bool) {
	p, ok := a.Pairs[module]
	l := decoder.LoRA{A: p.A, B: p.B, Rank: p.Rank, Scale: p.Scale}
	if p.Magnitude != nil {
		l.DoRA = &decoder.DoRA{Magnitude: p.Magnitude, Squares: p.Squares, Gain: p.gain}
	}
	return l, ok
}

// Adapt says how a module is trained, or false.
func (a *Adapter) Adapt(module string) (decoder.Adapt, bool) {
	p, ok := a.Pairs[module]
	return decoder.Adapt{Rank: p.Rank, Scale: p.Scale, Squares: p.Squares}, ok
}

// Trained returns the tensor that decoder's ops for training call name, or nil.
func (a *Adapter) Trained(name string) []float32 {
	if module, ok := strings.CutSuffix(name, suffixA); ok {
		return a.Pairs[module].A
	}
	if module, ok := strings.CutSuffix(name, suffixB); ok {
		return a.Pairs[module].B
	}
	if module, ok := strings.CutSuffix(name, suffixM); ok {
		return a.Pairs[module].Magnitude
	}
	switch name {
	case a.embed + ".weight":
		return a.Saved.Embed
	case a.head + ".weight":
		return a.Saved.Head
	case a.embed + suffixTokens:
		return a.Saved.Rows
	}
	return nil
}

// Params is the number of weights in the adapter.
func (a *Adapter) Params() int64 {
	var n int64
	for _, p := range a.Pairs {
		n += int64(len(p.A) + len(p.B) + len(p.Magnitude))
	}
	return n + int64(len(a.Saved.Embed)+len(a.Saved.Head)+len(a.Saved.Rows))
}

// Read reads the adapter in dir. Every tensor must belong to a pair whose
// shapes agree with each other and with the configured rank.
func Read(dir string) (*Adapter, error) {
	c, err := ReadConfig(dir)
	if err != nil {
		return nil, err
	}
	f, err := safetensors.Open(filepath.Join(dir, WeightsFile))
	if os.IsNotExist(err) {
		if _, other := os.Stat(filepath.Join(dir, "adapter_model.bin")); other == nil {
			return nil, fmt.Errorf("the adapter is stored as adapter_model.bin, a pickle, which pipe does not read: save it as %s", WeightsFile)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("reading adapter: %w", err)
	}
	defer f.Close()
	a := &Adapter{Config: c, Pairs: map[string]Pair{}, whole: wholes{matrices: map[string]matrix{}}}
	for _, t := range f.Tensors() {
		if err := a.take(f, t); err != nil {
			return nil, fmt.Errorf("%s: %w", WeightsFile, err)
		}
	}
	return a, a.complete()
}

// take adds one stored tensor.
func (a *Adapter) take(f *safetensors.File, t safetensors.Tensor) error {
	name := strings.TrimPrefix(t.Name, prefix)
	if saved, err := a.takeSaved(f, t, name); saved {
		return err
	}
	for _, suffix := range []string{suffixM, suffixMOld} {
		if module, ok := strings.CutSuffix(name, suffix); ok {
			return a.takeMagnitude(f, t, module)
		}
	}
	module, isA := strings.CutSuffix(name, suffixA)
	if !isA {
		var isB bool
		if module, isB = strings.CutSuffix(name, suffixB); !isB {
			return fmt.Errorf("tensor %s is neither a lora_A nor a lora_B weight", t.Name)
		}
	}
	if len(t.Shape) != 2 || t.Shape[0] < 1 || t.Shape[1] < 1 {
		return fmt.Errorf("tensor %s has shape %v, want a matrix", t.Name, t.Shape)
	}
	x, err := floats(f, t)
	if err != nil {
		return err
	}
	p := a.Pairs[module]
	rank := t.Shape[1]
	if isA {
		rank = t.Shape[0]
	}
	if p.Rank != 0 && p.Rank != rank {
		return fmt.Errorf("module %s: lora_A and lora_B have ranks %d and %d", module, p.Rank, rank)
	}
	p.Rank = rank
	if isA {
		p.A, p.In = x, t.Shape[1]
	} else {
		p.B, p.Out = x, t.Shape[0]
	}
	a.Pairs[module] = p
	return nil
}

// takeMagnitude adds the magnitudes of a module.
func (a *Adapter) takeMagnitude(f *safetensors.File, t safetensors.Tensor, module string) (err error) {
	if !a.Config.DoRA {
		return fmt.Errorf("tensor %s is of DoRA, which %s does not say this is", t.Name, ConfigFile)
	}
	if len(t.Shape) != 1 || t.Shape[0] < 1 {
		return fmt.Errorf("tensor %s has shape %v, want a vector", t.Name, t.Shape)
	}
	p := a.Pairs[module]
	p.Magnitude, err = floats(f, t)
	a.Pairs[module] = p
	return err
}

// floats reads a tensor.
func floats(f *safetensors.File, t safetensors.Tensor) ([]float32, error) {
	data, err := f.Read(t)
	if err != nil {
		return nil, fmt.Errorf("tensor %s: %w", t.Name, err)
	}
	x := make([]float32, t.Elements())
	if err := tensor.Decode(x, t.DType, data); err != nil {
		return nil, fmt.Errorf("tensor %s: %w", t.Name, err)
	}
	return x, nil
}

// complete checks that pairs are whole and gives them their factors.
func (a *Adapter) complete() error {
	if len(a.Pairs) == 0 {
		return fmt.Errorf("%s holds no LoRA weights", WeightsFile)
	}
	for _, module := range a.Modules() {
		p := a.Pairs[module]
		if p.A == nil || p.B == nil {
			return fmt.Errorf("%s: module %s has only one of lora_A and lora_B", WeightsFile, module)
		}
		if a.Config.DoRA && len(p.Magnitude) != p.Out {
			return fmt.Errorf("%s: module %s has %d magnitudes of DoRA, want %d", WeightsFile, module, len(p.Magnitude), p.Out)
		}
		rank, scale := a.Config.For(module)
		if rank != p.Rank {
			return fmt.Errorf("module %s has rank %d in %s and %d in %s", module, p.Rank, WeightsFile, rank, ConfigFile)
		}
		p.Scale = scale
		a.Pairs[module] = p
	}
	return a.completeSaved()
}

// Check says how the adapter does not fit a base model of configuration c, or
// returns nil.
func (a *Adapter) Check(c decoder.Config) error {
	known := map[string]decoder.Module{}
	for _, m := range c.Modules() {
		known[m.Path] = m
	}
	for _, path := range a.Modules() {
		p := a.Pairs[path]
		m, ok := known[path]
		if !ok {
			return fmt.Errorf("the adapter does not fit the model: it adapts %s, which the model (%d layers) does not have or pipe does not adapt", path, c.Layers)
		}
		if p.In != m.In || p.Out != m.Out {
			return fmt.Errorf("the adapter does not fit the model: its %s is [%d, %d], the model's [%d, %d]", path, p.Out, p.In, m.Out, m.In)
		}
	}
	return a.settle(c)
}
