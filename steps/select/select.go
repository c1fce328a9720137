// Package selection implements the select step: of several adapters or models
// the one is passed on that a metric says is best.
//
// The folder is called as the kind is, which no package of Go can be.
package selection

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/pipe-run/pipe/pipeline"
	"github.com/pipe-run/pipe/steps/internal/metric"
)

// Kind is the select step.
var Kind = kind()

func kind() pipeline.Kind {
	k := pipeline.Define("select", 1, run)
	k.Vet = vet
	return k
}

// Params mirrors schemas/select.cue.
type Params struct {
	Of     string `json:"of"`
	Metric string `json:"metric"`
	Better string `json:"better"` // "" is what the metric's name says
}

// The values of Params.Better.
const (
	lower  = "lower"
	higher = "higher"
)

// vet refuses a metric of which nobody says which numbers are better, and a
// choice among nothing.
func vet(raw json.RawMessage, inputs []string) error {
	p, err := pipeline.DecodeParams[Params](raw)
	if err != nil {
		return err
	}
	if len(inputs) == 0 {
		return &pipeline.FieldError{
			Field: "in", Err: fmt.Errorf("there is no candidate to choose"),
			Hint: fmt.Sprintf("name some, such as in: small: {%s: …, metrics: …}", p.Of),
		}
	}
	_, err = p.better()
	return err
}

// better says which numbers of the metric are better.
func (p Params) better() (string, error) {
	if p.Better != "" {
		return p.Better, nil
	}
	switch p.Metric {
	case metric.Loss, metric.Perplexity, metric.BitsPerByte:
		return lower, nil
	case metric.ExactMatch:
		return higher, nil
	}
	return "", &pipeline.FieldError{
		Field: "metric", Err: fmt.Errorf("whether lower or higher numbers of %q are better is not known", p.Metric),
		Hint: `write better: "lower" or better: "higher"`,
	}
}

func run(ctx context.Context, p Params, t *pipeline.Task) error {
	better, err := p.better()
	if err != nil {
		return err
	}
	all, err := read(t.In, p.Metric)
	if err != nil {
		return err
	}
	best, err := choose(all, p.Metric, better)
	if err != nil {
		return err
	}
	if err := copyTree(ctx, t.In[best.Name+"."+p.Of], t.Out[p.Of]); err != nil {
		return fmt.Errorf("passing on %s: %w", best.Name, err)
	}
	if err := report(t.Out["metrics"], p, better, best, all); err != nil {
		return err
	}
	for _, c := range all {
		t.Log.Info(fmt.Sprintf("%s: %s %s", c.Name, p.Metric, c.said()))
		t.Emit(pipeline.Metric{Name: p.Metric + "/" + c.Name, Value: c.number()})
	}
	t.Log.Info(fmt.Sprintf("chosen: %s, of %d; %s is better", best.Name, len(all), better))
	t.Emit(pipeline.Metric{Name: p.Metric, Value: best.number()})
	return nil
}

// names are the candidates of a step's inputs, sorted.
func names[V any](inputs map[string]V) []string {
	seen := map[string]bool{}
	for in := range inputs {
		name, _, _ := strings.Cut(in, ".")
		seen[name] = true
	}
	return slices.Sorted(maps.Keys(seen))
}

// choose returns the best candidate, of equal ones the first. One that has no
// number is never it; when none has one that is an error.
func choose(all []candidate, metric, better string) (best candidate, err error) {
	sign := 1
	if better == higher {
		sign = -1
	}
	found := false
	for _, c := range all {
		v := c.number()
		if math.IsNaN(v) {
			continue
		}
		if !found || sign*cmp.Compare(v, best.number()) < 0 {
			best, found = c, true
		}
	}
	if !found {
		return best, &pipeline.FieldError{Field: "metric", Err: fmt.Errorf("%s is a number for no candidate of %d: none is best", metric, len(all))}
	}
	return best, nil
}
