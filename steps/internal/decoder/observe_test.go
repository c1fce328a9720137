package decoder

import (
	"context"
	"slices"
	"testing"
)

func TestObserve(t *testing.T) {
	eachFamily(t, func(t *testing.T, dir string, g familyGolden) {
		m, err := Load(dir, 2, Infer)
		if err != nil {
			t.Fatal(err)
		}
		b, err := NewBatch(m.Config, g.Documents[0], nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		last := []int32{int32(len(b.IDs) - 1)}
		want, err := m.NewScorer(2).Logits(context.Background(), b, last)
		if err != nil {
			t.Fatal(err)
		}
		var seen []string
		m.Observe(func(module string, rows int, x, y []float32) {
			seen = append(seen, module)
			i := slices.IndexFunc(m.Modules(), func(mod Module) bool { return mod.Path == module })
			if mod := m.Modules()[i]; rows != len(b.IDs) || len(x) < rows*mod.In || len(y) != rows*mod.Out {
				t.Errorf("%s [%d %d]: %d rows, %d in, %d out", module, mod.Out, mod.In, rows, len(x), len(y))
			}
		})
		got, err := m.NewScorer(2).Logits(context.Background(), b, last)
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("an observed model computes something else, %v", err)
		}
		if _, err := m.NewScorer(2).Logits(context.Background(), b, nil); err != nil {
			t.Error(err)
		}
		var modules []string
		for _, mod := range m.Modules() {
			modules = append(modules, mod.Path)
		}
		slices.Sort(seen)
		slices.Sort(modules)
		if !slices.Equal(slices.Compact(seen), modules) {
			t.Errorf("saw %v, want %v", seen, modules)
		}
	})
}
