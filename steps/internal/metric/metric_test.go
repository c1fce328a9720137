package metric

import (
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestSummary(t *testing.T) {
	rows := []Row{
		{Tokens: 3, Bytes: 8, NLL: 3, Asked: true, Want: "yes", Got: " yes\n"},
		{Tokens: 1, Bytes: 2, NLL: 5, Asked: true, Want: "no", Got: "No"},
		{Tokens: 0},
	}
	got, err := Summary(Names(), rows)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]float64{
		Loss: 2, Perplexity: math.Exp(2), BitsPerByte: 8 / (10 * math.Ln2), ExactMatch: 0.5, "rows": 3, "tokens": 4,
	}
	if len(got) != len(want) {
		t.Errorf("metrics %v", got)
	}
	for name, v := range want {
		if math.Abs(got[name]-v) > 1e-12*v {
			t.Errorf("%s is %v, want %v", name, got[name], v)
		}
	}
	if got, err := Summary([]string{Perplexity}, []Row{{Tokens: 1, NLL: 1e4}}); err != nil || got[Perplexity] != math.MaxFloat64 {
		t.Errorf("perplexity beyond range: %v, %v", got, err)
	}
}

func TestSummaryRefuses(t *testing.T) {
	for want, f := range map[string]func() error{
		"supervised token": func() error { _, err := Summary([]string{Loss}, nil); return err },
		"no answer":        func() error { _, err := Summary([]string{ExactMatch}, []Row{{Tokens: 1}}); return err },
		"not a finite":     func() error { _, err := Summary([]string{Loss}, []Row{{Tokens: 1, NLL: math.NaN()}}); return err },
		"none of":          func() error { _, err := Summary([]string{"bleu"}, []Row{{Tokens: 1}}); return err },
		"no byte":          func() error { _, err := Summary([]string{BitsPerByte}, []Row{{Tokens: 1}}); return err },
		"is +Inf":          func() error { return Write(t.TempDir(), map[string]float64{"x": math.Inf(1)}, nil) },
	} {
		if err := f(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
}

func TestWrite(t *testing.T) {
	dir := t.TempDir()
	if err := Write(dir, map[string]float64{"loss": 0.1, "exactMatch": 1, "perplexity": 1e21}, []Row{{File: "a", Got: "\xff"}}); err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(filepath.Join(dir, "metrics.json"))
	if err != nil {
		t.Fatal(err)
	}
	if want := "{\n  \"exactMatch\": 1,\n  \"loss\": 0.1,\n  \"perplexity\": 1e+21\n}\n"; string(raw) != want {
		t.Errorf("%s, want %s", raw, want)
	}
	if info, err := os.Stat(filepath.Join(dir, RowsFile)); err != nil || info.Size() == 0 {
		t.Errorf("rows: %v", err)
	}
}
