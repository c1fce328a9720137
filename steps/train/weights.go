package train

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"

	"github.com/pipe-run/pipe/pipeline"
	"github.com/pipe-run/pipe/steps/internal/decoder"
	"github.com/pipe-run/pipe/steps/internal/kernel"
	"github.com/pipe-run/pipe/steps/internal/kin"
	"github.com/pipe-run/pipe/steps/internal/lora"
	"github.com/pipe-run/pipe/steps/internal/weights"
)

// weightSet is what is trained and what it is trained beside.
type weightSet struct {
	cfg   decoder.Config
	p     Params
	dir   string               // of the model
	model *decoder.Model       // the frozen base; for method full a skeleton
	lora  *lora.Adapter        // nil for method full
	full  map[string][]float32 // by tensor name; nil for lora
}

// newWeights loads what is frozen and makes room for what is trained.
func newWeights(ctx context.Context, cfg decoder.Config, p Params, t *pipeline.Task, tok kin.Tokenizer) (*weightSet, error) {
	w := &weightSet{cfg: cfg, p: p, dir: t.In["model"]}
	if p.Method == "full" {
		w.model, w.full = decoder.Skeleton(cfg), map[string][]float32{}
		w.model.Numerics = p.numerics()
		for _, t := range cfg.Tensors() {
			w.full[t.Name] = make([]float32, elements(t.Shape))
		}
		return w, nil
	}
	ids, err := p.LoRA.tokens(tok)
	if err != nil {
		return nil, err
	}
	design, err := p.LoRA.plan(cfg, ids)
	if err != nil {
		return nil, err
	}
	w.lora = design.New()
	if p.LoRA.DoRA {
		if err := w.lora.Measure(ctx, cfg, w.dir, t.Threads); err != nil {
			return nil, fmt.Errorf("reading the model: %w", err)
		}
	}
	if w.model, err = decoder.LoadIn(w.dir, t.Threads, decoder.Train, p.numerics()); err != nil {
		return nil, fmt.Errorf("reading the model: %w", err)
	}
	if p.LoRA.Init == pissa {
		if err := w.lora.StartPrincipal(ctx, cfg, w.dir, p.Seed, t.Threads); err != nil {
			return nil, fmt.Errorf("reading the model: %w", err)
		}
		w.model.Subtract(w.lora.Initial)
	}
	return w, nil
}

func elements(shape []int) int {
	n := 1
	for _, d := range shape {
		n *= d
	}
	return n
}

// get returns the trained tensor that an op calls name.
func (w *weightSet) get(name string) []float32 {
	if w.full != nil {
		return w.full[name]
	}
	return w.lora.Trained(name)
}

// adapt says how a module is trained, or false.
func (w *weightSet) adapt(module string) (decoder.Adapt, bool) {
	a, ok := w.lora.Adapt(module)
	a.Dropout, a.Seed = w.p.LoRA.Dropout, w.p.Seed
	return a, ok
}

// initialise gives everything that is trained its first value.
func (w *weightSet) initialise() error {
	switch {
	case w.lora != nil:
		w.initialiseLoRA()
		if err := w.lora.StartSaved(w.cfg, w.dir); err != nil {
			return fmt.Errorf("reading the model: %w", err)
		}
		return nil
	case w.p.Init == "random":
		return w.randomise()
	default:
		return w.load()
	}
}

// initialiseLoRA sets B to zero, so that training starts from the base, and A to
// uniform numbers within ±1/√in, which is PEFT's Kaiming initialisation, or to
// normal ones of deviation 1/rank. PiSSA starts with both from the base. With
// DoRA the magnitudes are those of the base.
func (w *weightSet) initialiseLoRA() {
	if w.p.LoRA.Init == pissa {
		w.lora.Restart()
		return
	}
	for _, path := range w.lora.Modules() {
		pair := w.lora.Pairs[path]
		s := kernel.Rand(w.p.Seed, "train/lora_A/"+path, 0)
		bound, deviation := float32(1/math.Sqrt(float64(pair.In))), float32(1/float64(pair.Rank))
		for i := range pair.A {
			if w.p.LoRA.Init == gaussian {
				pair.A[i] = deviation * s.Normal()
			} else {
				pair.A[i] = bound * (float32(2*s.Float32()) - 1)
			}
		}
		clear(pair.B)
	}
	w.lora.StartMagnitudes()
}

// randomise sets matrices to normal numbers of the configuration's
// initializer_range, as transformers does, and norms and biases to what changes
// nothing.
func (w *weightSet) randomise() error {
	deviation, err := initializerRange(w.dir)
	if err != nil {
		return err
	}
	for _, t := range w.cfg.Tensors() {
		x := w.full[t.Name]
		s := kernel.Rand(w.p.Seed, "train/init/"+t.Name, 0)
		mean, spread := w.cfg.Initial(t)
		for i := range x {
			x[i] = mean
			if spread > 0 {
				x[i] = float32(deviation*spread) * s.Normal()
			}
		}
	}
	return nil
}

// maxConfig bounds config.json, in bytes.
const maxConfig = 4 << 20

// initializerRange reads the deviation of random weights from a model's
// config.json; 0.02 if it says nothing.
func initializerRange(dir string) (float32, error) {
	f, err := os.Open(filepath.Join(dir, "config.json"))
	if err != nil {
		return 0, fmt.Errorf("reading the model: %w", err)
	}
	defer f.Close()
	c := struct {
		Range float64 `json:"initializer_range"`
	}{0.02}
	if err := json.NewDecoder(io.LimitReader(f, maxConfig)).Decode(&c); err != nil {
		return 0, fmt.Errorf("config.json: %w", err)
	}
	if !(c.Range > 0 && c.Range <= 10) {
		return 0, fmt.Errorf("config.json: initializer_range is %g", c.Range)
	}
	return float32(c.Range), nil
}

// load copies the model's weights.
func (w *weightSet) load() error {
	d, err := weights.Open(w.dir)
	if err != nil {
		return fmt.Errorf("reading the model: %w", err)
	}
	defer d.Close()
	if d.Quantized() {
		return errors.New("the model is quantized: method full trains models of f32, bf16 or f16 weights only")
	}
	files, err := w.cfg.Oriented(d)
	if err != nil {
		return fmt.Errorf("reading the model: %w", err)
	}
	for _, t := range w.cfg.Tensors() {
		x, err := files.F32(t.Name)
		if err != nil {
			return fmt.Errorf("reading the model: %w", err)
		}
		if len(x) != len(w.full[t.Name]) {
			return fmt.Errorf("reading the model: tensor %s has %d elements; config.json implies %d", t.Name, len(x), len(w.full[t.Name]))
		}
		copy(w.full[t.Name], x)
	}
	return nil
}

// scorable returns a model that computes with the trained weights as they are
// whenever it is used.
func (w *weightSet) scorable() (*decoder.Model, error) {
	if w.full != nil {
		m, err := decoder.FromTensors(w.cfg, w.get)
		if err == nil {
			m.Numerics = w.p.numerics()
		}
		return m, err
	}
	if err := w.model.Replace(w.lora.Saved); err != nil {
		return nil, err
	}
	return w.model, w.model.Attach(w.lora.Lookup)
}
