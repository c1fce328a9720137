package inspect

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/pipe-run/pipe/steps/internal/artifact"
	"github.com/pipe-run/pipe/steps/internal/chat"
	"github.com/pipe-run/pipe/steps/internal/decoder"
	"github.com/pipe-run/pipe/steps/internal/lora"
	"github.com/pipe-run/pipe/steps/internal/token"
	"github.com/pipe-run/pipe/steps/internal/weights"
)

func model(_ context.Context, dir string, p *Page) error {
	p.Type = "model"
	if err := p.config(dir); err != nil {
		return err
	}
	if err := p.weights(dir); err != nil {
		return err
	}
	return p.tokenizer(dir)
}

// config enters what config.json says. A model that this pipe cannot run is
// still one to look at.
func (p *Page) config(dir string) error {
	b, err := os.ReadFile(filepath.Join(dir, "config.json"))
	if err != nil {
		return err
	}
	var names struct {
		Architectures []string `json:"architectures"`
		ModelType     string   `json:"model_type"`
	}
	if err := json.Unmarshal(b, &names); err != nil {
		return fmt.Errorf("config.json: %w", err)
	}
	if len(names.Architectures) > 0 {
		p.fact("architecture", names.Architectures[0])
	} else {
		p.fact("architecture", names.ModelType)
	}
	c, err := decoder.ReadConfig(dir)
	if err != nil {
		p.fact("runs", "no: "+err.Error())
		return nil
	}
	p.fact("layers", c.Layers)
	p.fact("hidden", c.Hidden)
	p.fact("intermediate", c.Intermediate)
	p.fact("heads", c.Heads)
	p.fact("kvHeads", c.KVHeads)
	p.fact("headDim", c.HeadDim)
	p.fact("vocabulary", c.VocabSize)
	p.fact("positions", c.MaxPositions)
	p.fact("tiedHead", c.Tied)
	return nil
}

func (p *Page) weights(dir string) error {
	w, err := weights.Open(dir)
	if errors.Is(err, fs.ErrNotExist) {
		p.fact("weights", "none")
		return nil
	}
	if err != nil {
		return err
	}
	defer w.Close()
	for _, name := range w.Names() {
		dims, err := w.Shape(name)
		if err != nil {
			return err
		}
		dtype, err := w.DType(name)
		if err != nil {
			return err
		}
		p.Tensors = append(p.Tensors, Tensor{name, dtype, shape(dims)})
	}
	p.count()
	return nil
}

// tokenizer enters the tokenizer and the chat template.
func (p *Page) tokenizer(dir string) error {
	tok, err := token.Load(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		p.fact("tokenizer", "none")
		return nil
	case err != nil:
		p.fact("tokenizer", "cannot be used: "+err.Error())
		return nil
	}
	p.fact("tokenizer", fmt.Sprintf("%d ids", tok.VocabSize()))
	p.fact("tokenizerDigest", tok.Digest())
	for _, s := range []struct {
		name string
		get  func() (int32, bool)
	}{{"bos", tok.BOS}, {"eos", tok.EOS}} {
		if id, ok := s.get(); ok {
			piece, _ := tok.Piece(id)
			p.fact(s.name, fmt.Sprintf("%s (%d)", piece, id))
		}
	}
	t, err := chat.Load(dir, tok, chat.Spec{Kind: chat.Model, Date: chat.AnyDate})
	if err != nil {
		p.fact("chatTemplate", "none to use: "+err.Error())
		return nil
	}
	p.fact("chatTemplate", t.Digest())
	return nil
}

func adapter(_ context.Context, dir string, p *Page) error {
	p.Type = "adapter"
	a, err := lora.Read(dir)
	if err != nil {
		return err
	}
	p.fact("rank", a.Config.Rank)
	p.fact("alpha", a.Config.Alpha)
	p.fact("rsLoRA", a.Config.RSLoRA)
	if a.Config.DoRA {
		p.fact("dora", true)
	}
	if a.Config.Dropout > 0 {
		p.fact("dropout", a.Config.Dropout)
	}
	if names := a.Config.ModulesToSave; len(names) > 0 {
		p.fact("modulesToSave", names)
	}
	if ids := a.Config.TokenIndices; len(ids) > 0 {
		p.fact("trainableTokens", ids)
	}
	p.fact("baseModel", a.Config.BaseModel)
	p.fact("targets", a.Config.Targets)
	p.fact("modules", len(a.Modules()))
	if err := safetensorsFile(filepath.Join(dir, lora.WeightsFile), p); err != nil {
		return err
	}
	p.Type = "adapter"
	from, err := artifact.Read(dir)
	if err == nil && from.ChatTemplate != nil {
		p.fact("trainedWith", from.ChatTemplate.Kind)
	}
	return err
}

func metrics(_ context.Context, dir string, p *Page) error {
	p.Type = "metrics"
	b, err := os.ReadFile(filepath.Join(dir, "metrics.json"))
	if err != nil {
		return err
	}
	var m map[string]any
	if err := json.Unmarshal(b, &m); err != nil {
		return fmt.Errorf("metrics.json: %w", err)
	}
	for _, name := range sorted(m) {
		p.fact(name, m[name])
	}
	return nil
}
