package lora

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/pipe-run/pipe/steps/internal/decoder"
	"github.com/pipe-run/pipe/steps/internal/safetensors"
	"github.com/pipe-run/pipe/steps/internal/tensor"
)

// AllLinear targets every linear layer but the head.
const AllLinear = "all-linear"

// Match returns the modules that a list of targets names, in model order: a
// target is a module's path or the end of one after a dot, such as "q_proj".
// No targets, or AllLinear alone, are all modules. A target that names nothing
// is an error that lists what could be named.
func Match(targets []string, modules []decoder.Module) ([]decoder.Module, error) {
	if len(targets) == 0 || (len(targets) == 1 && targets[0] == AllLinear) {
		return modules, nil
	}
	used := make([]bool, len(targets))
	var list []decoder.Module
	for _, m := range modules {
		hit := false
		for i, t := range targets {
			if m.Path == t || strings.HasSuffix(m.Path, "."+t) {
				hit, used[i] = true, true
			}
		}
		if hit {
			list = append(list, m)
		}
	}
	for i, ok := range used {
		if !ok {
			return nil, fmt.Errorf("no linear layer is called %q: the model has %s", targets[i], strings.Join(leaves(modules), ", "))
		}
	}
	return list, nil
}

// leaves are the last names of modules, sorted and once each.
func leaves(modules []decoder.Module) []string {
	var names []string
	for _, m := range modules {
		names = append(names, m.Path[strings.LastIndexByte(m.Path, '.')+1:])
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// New returns an adapter of one rank for all modules with zero weights.
func New(modules []decoder.Module, targets []string, rank int, alpha float64, rsLoRA bool) (*Adapter, error) {
	c := Config{Rank: rank, Alpha: alpha, RSLoRA: rsLoRA, Targets: targets}
	if len(targets) == 0 || (len(targets) == 1 && targets[0] == AllLinear) {
		c.Targets = leaves(modules)
	}
	slices.Sort(c.Targets)
	if err := c.check(); err != nil {
		return nil, err
	}
	_, scale := c.For("")
	a := &Adapter{Config: c, Pairs: map[string]Pair{}}
	for _, m := range modules {
		a.Pairs[m.Path] = Pair{
			A: make([]float32, rank*m.In), B: make([]float32, m.Out*rank),
			In: m.In, Out: m.Out, Rank: rank, Scale: scale,
		}
	}
	return a, nil
}

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
	Dropout           json.RawMessage    `json:"lora_dropout"`
	ModulesToSave     *string            `json:"modules_to_save"`
	PEFTType          string             `json:"peft_type"`
	Rank              int                `json:"r"`
	RankPattern       map[string]int     `json:"rank_pattern"`
	Revision          *string            `json:"revision"`
	Targets           []string           `json:"target_modules"`
	TaskType          string             `json:"task_type"`
	DoRA              bool               `json:"use_dora"`
	RSLoRA            bool               `json:"use_rslora"`
}

func (a *Adapter) writeConfig(dir string) error {
	c := a.Config
	w := writtenConfig{
		AlphaPattern: c.AlphaPattern, Bias: "none", InferenceMode: true, Init: true,
		Alpha: c.Alpha, Dropout: json.RawMessage("0.0"), PEFTType: "LORA", Rank: c.Rank,
		RankPattern: c.RankPattern, Targets: c.Targets, TaskType: "CAUSAL_LM", RSLoRA: c.RSLoRA,
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

// writeWeights stores A and B of every module as float32.
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
	}
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
