package decoder

import (
	"context"
	"encoding/json"
	"math"
	"os"
	"slices"
	"testing"

	"github.com/pipe-run/pipe/internal/shareddata"
	"github.com/pipe-run/pipe/steps/internal/token"
)

// golden is what an independent float64 program computed for stories260K.
type golden struct {
	Greedy struct {
		IDs []int32 `json:"ids"`
	} `json:"greedy"`
	NLL map[string]struct {
		Text   string  `json:"text"`
		Tokens int     `json:"n_tokens"`
		Sum    float64 `json:"sum_nll"`
	} `json:"nll"`
}

func readGolden(t *testing.T) golden {
	t.Helper()
	raw, err := os.ReadFile(shareddata.Path(t, "models/stories260K/golden.json"))
	if err != nil {
		t.Fatal(err)
	}
	var g golden
	if err := json.Unmarshal(raw, &g); err != nil {
		t.Fatal(err)
	}
	return g
}

func TestStoriesGreedy(t *testing.T) {
	g := readGolden(t)
	for _, use := range []Use{Infer, Train} {
		m, err := Load(shareddata.Path(t, "models/stories260K/hf"), 2, use)
		if err != nil {
			t.Fatal(err)
		}
		ids, err := m.NewSession(2).Complete(context.Background(), []int32{m.BOS}, Limits{MaxNewTokens: len(g.Greedy.IDs), Stop: m.Stop})
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(ids, g.Greedy.IDs) {
			t.Errorf("greedy ids\n%v, want\n%v", ids, g.Greedy.IDs)
		}
	}
}

func TestStoriesLoss(t *testing.T) {
	g := readGolden(t)
	dir := shareddata.Path(t, "models/stories260K/hf")
	m, err := Load(dir, 2, Infer)
	if err != nil {
		t.Fatal(err)
	}
	tok, err := token.Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	sc := m.NewScorer(2)
	for name, want := range g.NLL {
		ids := tok.Encode(want.Text, true)
		if len(ids) < want.Tokens {
			t.Errorf("%s: %d tokens, want at least %d", name, len(ids), want.Tokens)
			continue
		}
		ids = ids[:want.Tokens] // a longer text was cut
		var labels []int64
		for _, id := range ids {
			labels = append(labels, int64(id))
		}
		b, err := NewBatch(m.Config, ids, nil, labels)
		if err != nil {
			t.Fatal(err)
		}
		nll, err := sc.NLL(context.Background(), b)
		if err != nil {
			t.Fatal(err)
		}
		var sum float64
		for _, v := range nll {
			sum += v
		}
		mean, wantMean := sum/float64(len(nll)), want.Sum/float64(len(nll))
		if math.Abs(mean-wantMean) > 1e-4 {
			t.Errorf("%s: mean loss %v, want %v", name, mean, wantMean)
		}
		t.Logf("%s: mean loss %.7f, off by %.1e", name, mean, math.Abs(mean-wantMean))
	}
}
