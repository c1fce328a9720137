package lora

import (
	"fmt"
	"slices"

	"github.com/pipe-run/pipe/pipeline"
	"github.com/pipe-run/pipe/steps/internal/decoder"
)

// Spec says which adapter to train. Its mistakes are reported at the parameters
// of the train step that hold these values.
type Spec struct {
	Selection
	Rank         int
	Alpha        float64
	RSLoRA       bool
	RankPattern  map[string]int
	AlphaPattern map[string]float64
	DoRA         bool
	// ModulesToSave are trained whole: SaveEmbed, SaveHead. Of the embeddings of
	// Tokens, and of a head tied to them, the rows are trained.
	ModulesToSave []string
	Tokens        []int32
	// Dropout is recorded in the configuration.
	Dropout float64
}

// A Target is a module with the update that it gets.
type Target struct {
	decoder.Module
	Rank  int
	Scale float32
}

// A Design is an adapter without its weights: what Spec means for one model.
type Design struct {
	Config  Config
	Targets []Target

	model       decoder.Config
	embed, head bool // are trained whole
}

// Plan works out what s means for a model of configuration c.
func (s Spec) Plan(c decoder.Config) (*Design, error) {
	modules, field, err := s.Match(c)
	if err != nil {
		return nil, blame(field, "%w", err)
	}
	d := &Design{model: c, Config: Config{
		Rank: s.Rank, Alpha: s.Alpha, RSLoRA: s.RSLoRA, DoRA: s.DoRA,
		RankPattern: s.RankPattern, AlphaPattern: s.AlphaPattern, Targets: s.names(modules),
		Dropout:     s.Dropout,
		FanInFanOut: slices.ContainsFunc(modules, func(m decoder.Module) bool { return m.Transposed }),
	}}
	if err := s.patterns(modules); err != nil {
		return nil, err
	}
	if err := d.Config.check(); err != nil {
		return nil, blame("rank", "%w", err)
	}
	if err := s.saved(c, d); err != nil {
		return nil, err
	}
	for _, m := range modules {
		t := Target{Module: m}
		t.Rank, t.Scale = d.Config.For(m.Path)
		if width := min(m.In, m.Out); t.Rank > width {
			field := "rank"
			if t.Rank != s.Rank {
				field = "rankPattern"
			}
			return nil, blame(field, "%d is above the width of %s, a %d×%d matrix", t.Rank, m.Path, m.Out, m.In)
		}
		d.Targets = append(d.Targets, t)
	}
	return d, nil
}

// blame is a mistake in a field of the parameter lora.
func blame(field, format string, args ...any) error {
	return &pipeline.FieldError{Field: "lora." + field, Err: fmt.Errorf(format, args...)}
}

// names is the list of target modules that PEFT reads, sorted: names as they
// were given where those alone choose the modules, else every path.
func (s Spec) names(modules []decoder.Module) []string {
	var list []string
	switch plain := s.Exclude == nil && len(s.Layers) == 0; {
	case plain && s.Targets.all():
		return leaves(modules)
	case plain && len(s.Targets.Names) > 0:
		list = slices.Clone(s.Targets.Names)
	default:
		for _, m := range modules {
			list = append(list, m.Path)
		}
	}
	slices.Sort(list)
	return list
}

// patterns refuses patterns that decide nothing.
func (s Spec) patterns(modules []decoder.Module) error {
	for field, keys := range map[string][]string{"rankPattern": sortedKeys(s.RankPattern), "alphaPattern": sortedKeys(s.AlphaPattern)} {
		for _, key := range keys {
			re, err := pattern(key)
			if err != nil {
				return blame(field, "%w", err)
			}
			if !slices.ContainsFunc(modules, func(m decoder.Module) bool { return re.MatchString(m.Path) }) {
				return blame(field, "%q matches no adapted layer%s", key, near(key, modules))
			}
		}
	}
	return nil
}

// Params is the number of weights in the adapter.
func (d *Design) Params() int64 {
	var n int64
	for _, t := range d.Targets {
		n += int64(t.Rank) * int64(t.In+t.Out)
		if d.Config.DoRA {
			n += int64(t.Out)
		}
	}
	whole := int64(d.model.VocabSize) * int64(d.model.Hidden)
	if d.embed {
		n += whole
	}
	if d.head {
		n += whole
	}
	return n + int64(len(d.Config.TokenIndices))*int64(d.model.Hidden)
}

// New returns the adapter with zero weights.
func (d *Design) New() *Adapter {
	c := d.model
	a := &Adapter{Config: d.Config, Pairs: map[string]Pair{}, embed: c.EmbedPath(), head: c.HeadPath(), vocab: c.VocabSize}
	if d.embed {
		a.Saved.Embed = make([]float32, c.VocabSize*c.Hidden)
	}
	if d.head {
		a.Saved.Head = make([]float32, c.VocabSize*c.Hidden)
	}
	if n := len(d.Config.TokenIndices); n > 0 {
		a.Saved.Tokens, a.Saved.Rows = d.Config.TokenIndices, make([]float32, n*c.Hidden)
	}
	for _, t := range d.Targets {
		p := Pair{
			A: make([]float32, t.Rank*t.In), B: make([]float32, t.Out*t.Rank),
			In: t.In, Out: t.Out, Rank: t.Rank, Scale: t.Scale,
		}
		if d.Config.DoRA {
			p.Magnitude = make([]float32, t.Out)
		}
		a.Pairs[t.Path] = p
	}
	return a
}
