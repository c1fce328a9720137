package train

import (
	"bytes"
	"encoding/json"
	"slices"
	"testing"

	"github.com/pipe-run/pipe/pipeline"
	"github.com/pipe-run/pipe/steps/internal/lora"
)

func TestParamsReadWhatTheSchemaGives(t *testing.T) {
	for text, want := range map[string]Params{
		`{"lora":{"rank":8,"alpha":16,"targets":"all-linear"},"warmup":{"ratio":0.03}}`: {LoRA: &LoRA{Rank: 8, Alpha: 16}, Warmup: Span{Ratio: 0.03}},
		`{"lora":{"rank":8,"alpha":16,"targets":["q_proj"]},"warmup":12}`:               {LoRA: &LoRA{Rank: 8, Alpha: 16, Targets: lora.Selector{Names: []string{"q_proj"}}}, Warmup: Span{Updates: 12}},
	} {
		p, err := pipeline.DecodeParams[Params]([]byte(text))
		a, _ := json.Marshal(p)
		b, _ := json.Marshal(want)
		if err != nil || !bytes.Equal(a, b) {
			t.Errorf("%s: %s, want %s, %v", text, a, b, err)
		}
	}
	for _, text := range []string{`{"lora":{"targets":3}}`, `{"lora":{"targets":[]}}`, `{"warmup":"x"}`, `{"warmup":{"share":1}}`, `{"sede":1}`} {
		if _, err := pipeline.DecodeParams[Params]([]byte(text)); err == nil {
			t.Errorf("%s is accepted", text)
		}
	}
}

func TestUpdates(t *testing.T) {
	for _, c := range []struct {
		rows, batch, accumulate, epochs, max int
		epoch, total                         int
	}{
		{10, 2, 1, 0, 0, 5, 15},
		{10, 2, 2, 2, 0, 3, 6},
		{10, 2, 2, 2, 5, 3, 5},
		{10, 2, 2, 0, 50, 3, 50},
		{1, 8, 8, 1, 0, 1, 1},
	} {
		p := Params{BatchSize: c.batch, GradientAccumulation: c.accumulate, Epochs: c.epochs, MaxUpdates: c.max}
		if epoch, total := p.updates(c.rows); epoch != c.epoch || total != c.total {
			t.Errorf("%+v: %d updates an epoch, %d in all", c, epoch, total)
		}
	}
	for _, c := range []struct {
		w     Span
		total int
		want  int
	}{{Span{}, 100, 0}, {Span{Updates: 7}, 100, 7}, {Span{Ratio: 0.03}, 100, 3}, {Span{Ratio: 0.03}, 10, 1}, {Span{Ratio: 1}, 10, 10}} {
		if got := c.w.updates(c.total); got != c.want {
			t.Errorf("warm-up %+v of %d: %d, want %d", c.w, c.total, got, c.want)
		}
	}
}

// TestEveryRowOncePerEpoch, in another order in every epoch.
func TestEveryRowOncePerEpoch(t *testing.T) {
	p := &Params{BatchSize: 3, GradientAccumulation: 2, Seed: 1}
	o := newOrder(make([]int, 20), p)
	var epochs [2][]int
	for u := range 8 {
		for _, micro := range o.update(u) {
			if len(micro) > 3 {
				t.Errorf("microbatch of %d rows", len(micro))
			}
			epochs[u/4] = append(epochs[u/4], micro...)
		}
	}
	for i, e := range epochs {
		sorted := slices.Clone(e)
		slices.Sort(sorted)
		if len(slices.Compact(sorted)) != 20 || len(e) != 20 {
			t.Errorf("epoch %d: rows %v", i, e)
		}
	}
	if slices.Equal(epochs[0], epochs[1]) {
		t.Error("the epochs have one order")
	}
}
