package lora

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/pipe-run/pipe/steps/internal/safetensors"
	"github.com/pipe-run/pipe/steps/internal/tensor"
)

// Card is what the model card of an adapter says.
type Card struct {
	// License is that of the base model, or empty.
	License string
	// Text is the body, in Markdown.
	Text string
}

// Write stores the adapter in dir, which must exist, as PEFT does: float32
// weights, a configuration of the keys that every version of PEFT knows, and a
// model card.
func (a *Adapter) Write(dir string, card Card) error {
	if err := a.writeConfig(dir); err != nil {
		return err
	}
	if err := a.writeWeights(dir); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, CardFile), []byte(a.card(card)), 0o644)
}

// writtenConfig is adapter_config.json; its fields are in the order of its keys.
type writtenConfig struct {
	AlphaPattern      map[string]float64 `json:"alpha_pattern"`
	AutoMapping       *string            `json:"auto_mapping"`
	BaseModel         *string            `json:"base_model_name_or_path"`
	Bias              string             `json:"bias"`
	FanInFanOut       bool               `json:"fan_in_fan_out"`
	InferenceMode     bool               `json:"inference_mode"`
	Init              bool               `json:"init_lora_weights"`
	LayersPattern     *string            `json:"layers_pattern"`
	LayersToTransform *string            `json:"layers_to_transform"`
	Alpha             float64            `json:"lora_alpha"`
	Dropout           decimal            `json:"lora_dropout"`
	ModulesToSave     []string           `json:"modules_to_save"`
	PEFTType          string             `json:"peft_type"`
	Rank              int                `json:"r"`
	RankPattern       map[string]int     `json:"rank_pattern"`
	Revision          *string            `json:"revision"`
	Targets           []string           `json:"target_modules"`
	TaskType          string             `json:"task_type"`
	TokenIndices      []int32            `json:"trainable_token_indices,omitempty"`
	DoRA              bool               `json:"use_dora"`
	RSLoRA            bool               `json:"use_rslora"`
}

// decimal is a number that is written with a decimal point, as Python writes a float.
type decimal float64

// MarshalJSON writes the shortest such number that reads back as d.
func (d decimal) MarshalJSON() ([]byte, error) {
	text, err := json.Marshal(float64(d))
	if err == nil && !bytes.ContainsAny(text, ".e") {
		text = append(text, ".0"...)
	}
	return text, err
}

func (a *Adapter) writeConfig(dir string) error {
	c := a.Config
	w := writtenConfig{
		AlphaPattern: c.AlphaPattern, Bias: "none", FanInFanOut: c.FanInFanOut, InferenceMode: true, Init: true,
		Alpha: c.Alpha, Dropout: decimal(c.Dropout), PEFTType: "LORA", Rank: c.Rank,
		RankPattern: c.RankPattern, Targets: c.Targets, TaskType: "CAUSAL_LM", RSLoRA: c.RSLoRA, DoRA: c.DoRA,
		ModulesToSave: c.ModulesToSave, TokenIndices: c.TokenIndices,
	}
	if w.AlphaPattern == nil {
		w.AlphaPattern = map[string]float64{}
	}
	if w.RankPattern == nil {
		w.RankPattern = map[string]int{}
	}
	if c.BaseModel != "" {
		w.BaseModel = &c.BaseModel
	}
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(w); err != nil {
		return fmt.Errorf("encoding %s: %w", ConfigFile, err)
	}
	return os.WriteFile(filepath.Join(dir, ConfigFile), buf.Bytes(), 0o644)
}

// writeWeights stores A, B and magnitudes of every module, and what is trained
// whole, as float32.
func (a *Adapter) writeWeights(dir string) error {
	data := map[string][]float32{}
	var specs []safetensors.Spec
	for _, module := range a.Modules() {
		p := a.Pairs[module]
		nameA, nameB := prefix+module+suffixA, prefix+module+suffixB
		data[nameA], data[nameB] = p.A, p.B
		specs = append(specs,
			safetensors.Spec{Name: nameA, DType: tensor.F32, Shape: []int{p.Rank, p.In}},
			safetensors.Spec{Name: nameB, DType: tensor.F32, Shape: []int{p.Out, p.Rank}})
		if p.Magnitude != nil {
			data[prefix+module+suffixM] = p.Magnitude
			specs = append(specs, safetensors.Spec{Name: prefix + module + suffixM, DType: tensor.F32, Shape: []int{p.Out}})
		}
	}
	saved, values := a.savedTensors()
	for i, s := range saved {
		data[s.Name] = values[i]
	}
	specs = append(specs, saved...)
	w, err := safetensors.Create(filepath.Join(dir, WeightsFile), specs, safetensors.PyTorch())
	if err != nil {
		return err
	}
	for _, s := range safetensors.Order(specs) {
		raw := make([]byte, 4*len(data[s.Name]))
		if err := tensor.Encode(raw, tensor.F32, data[s.Name]); err != nil {
			w.Close()
			return err
		}
		if err := w.Write(s.Name, raw); err != nil {
			w.Close()
			return fmt.Errorf("writing %s: %w", WeightsFile, err)
		}
	}
	return w.Close()
}

// card is the model card with its YAML front matter.
func (a *Adapter) card(c Card) string {
	var b strings.Builder
	b.WriteString("---\n")
	if a.Config.BaseModel != "" {
		fmt.Fprintf(&b, "base_model: %q\n", a.Config.BaseModel)
	}
	b.WriteString("library_name: peft\n")
	if c.License != "" {
		fmt.Fprintf(&b, "license: %q\n", c.License)
	}
	b.WriteString("tags:\n- lora\n---\n\n")
	b.WriteString(strings.TrimSpace(c.Text))
	b.WriteString("\n")
	return b.String()
}
