package lora

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/pipe-run/pipe/pipeline"
	"github.com/pipe-run/pipe/steps/internal/tensor"
)

func TestSelection(t *testing.T) {
	_, c := model(t, tensor.F32)
	for _, k := range []struct {
		s    Selection
		want int
	}{
		{Selection{}, 14},
		{Selection{Targets: Selector{Names: []string{AllLinear}}}, 14},
		{Selection{Targets: Selector{Names: []string{"mlp.up_proj"}}}, 2},
		{Selection{Targets: Selector{Pattern: `.*\.[qv]_proj`}}, 4},
		{Selection{Targets: Selector{Pattern: `model\.layers\.1\..*_proj`}}, 7},
		{Selection{Exclude: &Selector{Names: []string{"down_proj", "layers.0.self_attn.q_proj"}}}, 11},
		{Selection{Exclude: &Selector{Pattern: `.*mlp.*`}}, 8},
		{Selection{Layers: []int{1}}, 7},
		{Selection{Targets: Selector{Names: []string{"q_proj", "k_proj"}}, Layers: []int{0, 1}, Exclude: &Selector{Names: []string{"layers.1.self_attn.k_proj"}}}, 3},
	} {
		got, field, err := k.s.Match(c)
		if err != nil || len(got) != k.want {
			t.Errorf("%+v: %d modules, want %d; %s %v", k.s, len(got), k.want, field, err)
		}
	}
}

// TestTargetNames: what PEFT is told chooses the same modules.
func TestTargetNames(t *testing.T) {
	_, c := model(t, tensor.F32)
	for _, k := range []struct {
		s    Selection
		want []string
	}{
		{Selection{}, []string{"down_proj", "gate_proj", "k_proj", "o_proj", "q_proj", "up_proj", "v_proj"}},
		{Selection{Targets: Selector{Names: []string{"v_proj", "q_proj"}}}, []string{"q_proj", "v_proj"}},
		{Selection{Targets: Selector{Names: []string{"v_proj"}}, Layers: []int{1}}, []string{"model.layers.1.self_attn.v_proj"}},
		{Selection{Targets: Selector{Pattern: `.*1\.mlp\.(up|gate)_proj`}}, []string{"model.layers.1.mlp.gate_proj", "model.layers.1.mlp.up_proj"}},
	} {
		a := build(t, c, Spec{Selection: k.s, Rank: 2, Alpha: 2})
		if !slices.Equal(a.Config.Targets, k.want) {
			t.Errorf("%+v: %v, want %v", k.s, a.Config.Targets, k.want)
		}
	}
}

func TestSpecPatterns(t *testing.T) {
	_, c := model(t, tensor.F32)
	s := Spec{Rank: 4, Alpha: 8, RankPattern: map[string]int{"q_proj": 2, `layers\.1\.mlp\..*`: 1}, AlphaPattern: map[string]float64{"k_proj": 16}}
	a := build(t, c, s)
	for module, want := range map[string]Pair{
		"model.layers.0.self_attn.q_proj": {Rank: 2, Scale: 4},
		"model.layers.1.mlp.down_proj":    {Rank: 1, Scale: 8},
		"model.layers.0.mlp.down_proj":    {Rank: 4, Scale: 2},
		"model.layers.1.self_attn.k_proj": {Rank: 4, Scale: 4},
	} {
		if got := a.Pairs[module]; got.Rank != want.Rank || got.Scale != want.Scale || len(got.A) != want.Rank*got.In || len(got.B) != got.Out*want.Rank {
			t.Errorf("%s: rank %d, scale %v, want %d, %v", module, got.Rank, got.Scale, want.Rank, want.Scale)
		}
	}
	d, err := s.Plan(c)
	if err != nil || d.Params() != a.Params() {
		t.Errorf("planned %d weights, made %d, %v", d.Params(), a.Params(), err)
	}
}

func TestSpecMistakes(t *testing.T) {
	_, c := model(t, tensor.F32)
	spec := func(change func(*Spec)) Spec {
		s := Spec{Rank: 4, Alpha: 8}
		change(&s)
		return s
	}
	for want, s := range map[string]Spec{
		`lora.targets: no linear layer is called "proj": the model has down_proj, gate_proj`:                                      spec(func(s *Spec) { s.Targets.Names = []string{"q_proj", "proj"} }),
		`"qproj" (did you mean "q_proj"?)`:                                                                                        spec(func(s *Spec) { s.Targets.Names = []string{"qproj"} }),
		`"lm_head" (to train it whole, name it in modulesToSave)`:                                                                 spec(func(s *Spec) { s.Targets.Names = []string{"lm_head"} }),
		`lora.targets: the regular expression "q_proj" matches the path of`:                                                       spec(func(s *Spec) { s.Targets.Pattern = "q_proj" }),
		`lora.targets: "(?=a)" is no regular expression that pipe knows`:                                                          spec(func(s *Spec) { s.Targets.Pattern = "(?=a)" }),
		`also matches model.embed_tokens`:                                                                                         spec(func(s *Spec) { s.Targets.Pattern = `model\..*` }),
		`lora.exclude: no linear layer is called "x_proj"`:                                                                        spec(func(s *Spec) { s.Exclude = &Selector{Names: []string{"x_proj"}} }),
		`lora.exclude: leaves nothing`:                                                                                            spec(func(s *Spec) { s.Exclude = &Selector{Pattern: ".*"} }),
		`lora.layers: the model has no layer 2`:                                                                                   spec(func(s *Spec) { s.Layers = []int{0, 2} }),
		`lora.layers: no target lies in these`:                                                                                    spec(func(s *Spec) { s.Layers, s.Targets.Names = []int{1}, []string{"layers.0.mlp.up_proj"} }),
		`lora.rank: 33 is above the width of model.layers.0.self_attn.k`:                                                          spec(func(s *Spec) { s.Rank = 33 }),
		`lora.rankPattern: 65 is above the width of model.layers.0.mlp.up`:                                                        spec(func(s *Spec) { s.RankPattern = map[string]int{"up_proj": 65} }),
		`lora.rankPattern: "v_prj" matches no adapted layer (did you mean`:                                                        spec(func(s *Spec) { s.RankPattern = map[string]int{"v_prj": 2} }),
		`lora.rankPattern: "(" is no regular expression that pipe knows (RE2): error parsing regexp: missing closing ): ` + "`(`": spec(func(s *Spec) { s.RankPattern = map[string]int{"(": 2} }),
		`lora.alphaPattern: "mlp" matches no adapted layer`:                                                                       spec(func(s *Spec) { s.AlphaPattern = map[string]float64{"mlp": 2} }),
	} {
		_, err := s.Plan(c)
		var field *pipeline.FieldError
		if err == nil || !strings.Contains(err.Error(), want) || !errors.As(err, &field) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

func TestSelectorJSON(t *testing.T) {
	for text, want := range map[string]Selector{
		`"all-linear"`:        {},
		`".*q_proj"`:          {Pattern: ".*q_proj"},
		`["q_proj","v_proj"]`: {Names: []string{"q_proj", "v_proj"}},
	} {
		var got Selector
		if err := json.Unmarshal([]byte(text), &got); err != nil || got.Pattern != want.Pattern || !slices.Equal(got.Names, want.Names) {
			t.Errorf("%s: %+v, %v", text, got, err)
		}
		if back, err := json.Marshal(got); err != nil || string(back) != text {
			t.Errorf("%s became %s, %v", text, back, err)
		}
	}
	for _, text := range []string{`3`, `[]`, `[1]`, `{}`} {
		if json.Unmarshal([]byte(text), new(Selector)) == nil {
			t.Errorf("%s is accepted", text)
		}
	}
}
