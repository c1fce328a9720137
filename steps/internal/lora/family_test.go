package lora

import (
	"path/filepath"
	"slices"
	"testing"

	"github.com/pipe-run/pipe/steps/internal/artifact"
	"github.com/pipe-run/pipe/steps/internal/decoder"
	"github.com/pipe-run/pipe/steps/internal/tensor"
	"github.com/pipe-run/pipe/steps/internal/weights"
)

// TestFamiliesMerge merges an adapter on every linear into a model of every
// architecture, and into one rounded to 4 bits. Tensors keep their names, and
// dense ones the shape that their family's files have.
func TestFamiliesMerge(t *testing.T) {
	dirs, err := filepath.Glob("../decoder/testdata/families/*")
	if err != nil || len(dirs) < 18 {
		t.Fatalf("%d models, %v", len(dirs), err)
	}
	for _, dir := range dirs {
		c, err := decoder.ReadConfig(dir)
		if err != nil {
			t.Fatal(err)
		}
		a := adapter(t, c)
		want := logits(t, dir, a)
		merged := merge(t, dir, c, a, MergeOptions{DType: tensor.F32, Threads: 2})
		if d := distance(want, logits(t, merged, nil)); !(d <= 1e-4) {
			t.Errorf("%s: merged logits are off by %g", dir, d)
		}
		if d := distance(want, logits(t, dir, nil)); d < 0.1 {
			t.Errorf("%s: the adapter changes logits by only %g", dir, d)
		}
		checkFiles(t, c, dir, merged)
		if c.Hidden%32 == 0 {
			continue // stored in 4 bits already
		}
		round := &artifact.Quantization{Scheme: "nf4", BlockSize: 64}
		rounded := merge(t, dir, c, a, MergeOptions{DType: tensor.F32, Threads: 1, Round: round})
		if d := distance(want, logits(t, rounded, nil)); !(d > 1e-3 && d < 20) {
			t.Errorf("%s: rounding the base changes logits by %g", dir, d)
		}
		checkFiles(t, c, dir, rounded)
	}
}

func checkFiles(t *testing.T, c decoder.Config, dir, merged string) {
	t.Helper()
	was, err := weights.List(dir)
	if err != nil {
		t.Fatal(err)
	}
	is := open(t, merged)
	for _, x := range c.Tensors() {
		if !slices.Contains(was, x.Name) {
			t.Errorf("%s has no %s", dir, x.Name)
		}
		shape, err := is.Shape(x.Name)
		if err != nil || !slices.Equal(shape, c.FileShape(x)) {
			t.Errorf("%s: %s has shape %v, want %v; %v", dir, x.Name, shape, c.FileShape(x), err)
		}
	}
}

// TestFanInFanOut says of an adapter for GPT-2 what PEFT must know of its base.
func TestFanInFanOut(t *testing.T) {
	for name, want := range map[string]bool{"gpt2": true, "gpt2-bare": true, "qwen2": false} {
		c, err := decoder.ReadConfig(filepath.Join("../decoder/testdata/families", name))
		if err != nil {
			t.Fatal(err)
		}
		dir := t.TempDir()
		if err := adapter(t, c).Write(dir, Card{}); err != nil {
			t.Fatal(err)
		}
		a, err := Read(dir)
		if err != nil {
			t.Fatal(err)
		}
		if a.Config.FanInFanOut != want {
			t.Errorf("%s: fan_in_fan_out is %t", name, a.Config.FanInFanOut)
		}
		if err := a.Check(c); err != nil {
			t.Error(err)
		}
		if first := a.Modules()[0]; want && first != "transformer.h.0.attn.c_attn" {
			t.Errorf("%s: first module is %s", name, first)
		}
	}
}
