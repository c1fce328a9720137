package train

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/pipe-run/pipe/pipeline"
	"github.com/pipe-run/pipe/steps/internal/decoder"
	"github.com/pipe-run/pipe/steps/internal/kin"
	"github.com/pipe-run/pipe/steps/internal/lora"
)

// LoRA is a low-rank adapter to be trained.
type LoRA struct {
	Rank         int                `json:"rank"`
	Alpha        float64            `json:"alpha"`
	RSLoRA       bool               `json:"rsLoRA,omitempty"`
	Targets      lora.Selector      `json:"targets"`
	Exclude      *lora.Selector     `json:"exclude,omitempty"`
	Layers       []int              `json:"layers,omitempty"`
	RankPattern  map[string]int     `json:"rankPattern,omitempty"`
	AlphaPattern map[string]float64 `json:"alphaPattern,omitempty"`
	Dropout      float64            `json:"dropout,omitempty"`
	DoRA         bool               `json:"dora,omitempty"`
	PlusRatio    float64            `json:"loraPlusRatio,omitempty"`

	Init string `json:"init,omitempty"`

	ModulesToSave   []string `json:"modulesToSave,omitempty"`
	TrainableTokens []Token  `json:"trainableTokens,omitempty"`
}

// Values of LoRA.Init.
const (
	gaussian = "gaussian"
	pissa    = "pissa"
)

// check refuses what the schema refuses too.
func (l *LoRA) check() error {
	bad := func(field, format string, args ...any) error {
		return &pipeline.FieldError{Field: "lora." + field, Err: fmt.Errorf(format, args...)}
	}
	positive := func(x float64) bool { return x > 0 && !math.IsInf(x, 0) }
	switch {
	case l == nil:
		return nil
	case l.Rank < 1:
		return bad("rank", "%d is below 1", l.Rank)
	case !positive(l.Alpha):
		return bad("alpha", "%g is not above 0", l.Alpha)
	case !(l.Dropout >= 0 && l.Dropout < 1):
		return bad("dropout", "%g is not at least 0 and below 1", l.Dropout)
	case l.PlusRatio != 0 && !positive(l.PlusRatio):
		return bad("loraPlusRatio", "%g is not above 0", l.PlusRatio)
	case !slices.Contains([]string{"", "default", gaussian, pissa}, l.Init):
		return bad("init", "%q is not default, gaussian or pissa", l.Init)
	case l.Init == pissa && l.DoRA:
		return bad("init", "pissa takes a part of each matrix away, whose rows dora measures: choose one of them")
	}
	for _, e := range []struct {
		field string
		s     *lora.Selector
	}{{"targets", &l.Targets}, {"exclude", l.Exclude}} {
		if err := e.s.Check(); err != nil {
			return &pipeline.FieldError{Field: "lora." + e.field, Err: err}
		}
	}
	if err := lora.CheckPatterns(l.RankPattern); err != nil {
		return bad("rankPattern", "%w", err)
	}
	if err := lora.CheckPatterns(l.AlphaPattern); err != nil {
		return bad("alphaPattern", "%w", err)
	}
	for _, key := range slices.Sorted(maps.Keys(l.RankPattern)) {
		if r := l.RankPattern[key]; r < 1 {
			return bad("rankPattern", "the rank of %q is %d, below 1", key, r)
		}
	}
	for _, key := range slices.Sorted(maps.Keys(l.AlphaPattern)) {
		if a := l.AlphaPattern[key]; !positive(a) {
			return bad("alphaPattern", "the alpha of %q is %g, not above 0", key, a)
		}
	}
	return nil
}

// spec is what the adapter is to be.
func (l *LoRA) spec() lora.Spec {
	return lora.Spec{
		Selection: lora.Selection{Targets: l.Targets, Exclude: l.Exclude, Layers: l.Layers},
		Rank:      l.Rank, Alpha: l.Alpha, RSLoRA: l.RSLoRA,
		RankPattern: l.RankPattern, AlphaPattern: l.AlphaPattern, Dropout: l.Dropout, DoRA: l.DoRA,
		ModulesToSave: l.ModulesToSave,
	}
}

// A Token is an id, or a piece of the model's tokenizer.
type Token struct {
	ID    int32
	Piece string // used when it is not empty
}

// UnmarshalJSON reads an id or a piece.
func (t *Token) UnmarshalJSON(b []byte) error {
	*t = Token{}
	if json.Unmarshal(b, &t.Piece) == nil && t.Piece != "" {
		return nil
	}
	if err := json.Unmarshal(b, &t.ID); err != nil {
		return fmt.Errorf("trainableTokens: want ids and pieces")
	}
	return nil
}

// MarshalJSON writes what UnmarshalJSON reads.
func (t Token) MarshalJSON() ([]byte, error) {
	if t.Piece != "" {
		return json.Marshal(t.Piece)
	}
	return json.Marshal(t.ID)
}

// tokens looks trainable tokens up in the tokenizer of a model, which must exist
// only where pieces are named.
func (l *LoRA) tokens(model kin.Tokenizer) ([]int32, error) {
	const field = "lora.trainableTokens"
	var ids []int32
	for _, t := range l.TrainableTokens {
		if t.Piece == "" {
			ids = append(ids, t.ID)
			continue
		}
		tok, err := model()
		if err != nil {
			return nil, err
		}
		if tok == nil {
			return nil, bad(field, "%q is to be looked up, and the model has no tokenizer", t.Piece)
		}
		id, ok := tok.ID(t.Piece)
		if !ok {
			return nil, bad(field, "%q is no token of the model's tokenizer", t.Piece)
		}
		ids = append(ids, id)
	}
	return ids, nil
}

// nameTokens replaces the pieces of trainable tokens by their ids.
func (p *Params) nameTokens(model kin.Tokenizer) error {
	if p.LoRA == nil {
		return nil
	}
	ids, err := p.LoRA.tokens(model)
	if err != nil {
		return err
	}
	named := *p.LoRA
	named.TrainableTokens = nil
	for _, id := range ids {
		named.TrainableTokens = append(named.TrainableTokens, Token{ID: id})
	}
	p.LoRA = &named
	return nil
}

// plan works out the adapter for a model. ids are those of trainable tokens.
func (l *LoRA) plan(cfg decoder.Config, ids []int32) (*lora.Design, error) {
	s := l.spec()
	s.Tokens = ids
	return s.Plan(cfg)
}

// saves says whether the adapter trains a matrix whole.
func (l *LoRA) saves(name string) bool { return slices.Contains(l.ModulesToSave, name) }

// rates are the factors on the learning rate of trained tensors, nil for none:
// LoRA+ has B, and all that is no matrix, learn faster than A.
func (w *weightSet) rates(names []string) []float64 {
	if w.lora == nil || w.p.LoRA.PlusRatio == 0 {
		return nil
	}
	var list []float64
	for _, name := range names {
		factor := 1.0
		if strings.HasSuffix(name, ".lora_B.weight") || strings.HasSuffix(name, ".lora_magnitude_vector") {
			factor = w.p.LoRA.PlusRatio
		}
		list = append(list, factor)
	}
	return list
}
