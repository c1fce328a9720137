package generate

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/pipe-run/pipe/internal/shareddata"
	"github.com/pipe-run/pipe/steps/internal/artifact"
	"github.com/pipe-run/pipe/steps/internal/tiny"
)

// text generates with options.
func text(t *testing.T, o Options) string {
	t.Helper()
	var b strings.Builder
	if err := Text(context.Background(), o, &b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestStoriesGolden(t *testing.T) {
	raw, err := os.ReadFile(shareddata.Path(t, "models/stories260K/golden.json"))
	if err != nil {
		t.Fatal(err)
	}
	var golden struct {
		Greedy struct {
			IDs  []int  `json:"ids"`
			Text string `json:"text"`
		} `json:"greedy"`
	}
	if err := json.Unmarshal(raw, &golden); err != nil {
		t.Fatal(err)
	}
	got := text(t, Options{Model: shareddata.Path(t, "models/stories260K/hf"), MaxNewTokens: len(golden.Greedy.IDs), Threads: 2})
	if strings.TrimSpace(got) != strings.TrimSpace(golden.Greedy.Text) {
		t.Errorf("generated\n%s\nwant\n%s", got, golden.Greedy.Text)
	}
}

func TestSampling(t *testing.T) {
	model := tiny.Model(t, 3)
	base := Options{Model: model, Prompt: "abc", Temperature: 1, TopP: 0.9, Seed: 1, MaxNewTokens: 12, Threads: 1}
	first := text(t, base)
	threads := base
	threads.Threads = 3
	if again := text(t, threads); again != first {
		t.Errorf("the same seed gives %q and %q", first, again)
	}
	other := base
	other.Seed = 2
	if text(t, other) == first {
		t.Errorf("another seed gives the same text %q", first)
	}
	narrow, greedy := base, base
	narrow.TopP = 1e-9
	greedy.Temperature, greedy.TopP = 0, 0
	if a, b := text(t, narrow), text(t, greedy); a != b {
		t.Errorf("the likeliest token alone gives %q, greedy %q", a, b)
	}
}

func TestTemplates(t *testing.T) {
	model := tiny.Model(t, 3)
	o := Options{Model: model, Prompt: "abc", MaxNewTokens: 6, Threads: 1}
	own := text(t, o)
	for template, same := range map[string]bool{"model": true, tiny.Template: true, "alpaca": false, "none": false} {
		o.Template = template
		if got := text(t, o); (got == own) != same {
			t.Errorf("template %.20q gives %q, the model's own %q", template, got, own)
		}
	}
	o.Template, o.Adapter = "", tiny.Adapter(t, model, 0)
	if err := artifact.Write(o.Adapter, artifact.Provenance{Type: "adapter", ChatTemplate: &artifact.ChatTemplate{Kind: "alpaca"}}); err != nil {
		t.Fatal(err)
	}
	alpaca := o
	alpaca.Adapter, alpaca.Template = "", "alpaca"
	if text(t, o) != text(t, alpaca) {
		t.Error("the adapter's template is not used")
	}
}

func TestRefuses(t *testing.T) {
	model := tiny.Model(t, 3)
	for want, o := range map[string]Options{
		"threads":         {Model: model, Prompt: "a"},
		"temperature -1":  {Model: model, Prompt: "a", Threads: 1, Temperature: -1},
		"top-p 2":         {Model: model, Prompt: "a", Threads: 1, Temperature: 1, TopP: 2},
		"without a temp":  {Model: model, Prompt: "a", Threads: 1, TopP: 0.5},
		"new tokens":      {Model: model, Prompt: "a", Threads: 1, MaxNewTokens: -1},
		"do not fit":      {Model: model, Prompt: strings.Repeat("a", 300), Threads: 1},
		"needs a chat":    {Model: model, Prompt: "a", System: "b", Template: "none", Threads: 1},
		"chatml template": {Model: model, Prompt: "a", Template: "chatml", Threads: 1},
	} {
		if err := Text(context.Background(), o, &strings.Builder{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
}

// broken fails after some bytes.
type broken struct{}

var errBroken = errors.New("pipe closed")

func (broken) Write([]byte) (int, error) { return 0, errBroken }

func TestEnds(t *testing.T) {
	model := tiny.Model(t, 3)
	o := Options{Model: model, Prompt: "abc", Threads: 1}
	if err := Text(context.Background(), o, broken{}); !errors.Is(err, errBroken) {
		t.Errorf("error %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := Text(ctx, o, &strings.Builder{}); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
}
