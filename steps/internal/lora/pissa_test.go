package lora

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/pipe-run/pipe/steps/internal/decoder"
	"github.com/pipe-run/pipe/steps/internal/kernel"
	"github.com/pipe-run/pipe/steps/internal/tensor"
)

// TestPrincipal takes a matrix of known singular values apart: exactly where it
// is small, nearly where it is wide.
func TestPrincipal(t *testing.T) {
	for _, k := range []struct{ m, n, r int }{{12, 20, 3}, {20, 12, 12}, {200, 150, 8}, {150, 300, 1}} {
		q := min(k.m, k.n)
		s := kernel.Rand(1, "test", uint64(k.m))
		u, v := make([]float32, q*k.m), make([]float32, q*k.n)
		for _, x := range [][]float32{u, v} {
			for i := range x {
				x[i] = s.Normal()
			}
		}
		orthonormalise(u, q, k.m)
		orthonormalise(v, q, k.n)
		values := make([]float64, q)
		w := make([]float32, k.m*k.n)
		for i := range q {
			values[i] = 3 / math.Pow(float64(1+i), 0.7)
			for a := range k.m {
				for b := range k.n {
					w[a*k.n+b] += float32(values[i] * float64(u[i*k.m+a]) * float64(v[i*k.n+b]))
				}
			}
		}
		got, gu, gv, _ := principal(t.Context(), 2, kernel.Rand(2, "test", 0), w, k.m, k.n, k.r)
		for i := range k.r {
			if math.Abs(got[i]-values[i]) > 1e-4*values[0] {
				t.Errorf("%v: singular value %d is %v, want %v", k, i, got[i], values[i])
			}
			left, right := kernel.Dot64(gu[i*k.m:][:k.m], u[i*k.m:][:k.m]), kernel.Dot64(gv[i*k.n:][:k.n], v[i*k.n:][:k.n])
			if math.Abs(math.Abs(left)-1) > 1e-3 || math.Abs(left-right) > 1e-3 {
				t.Errorf("%v: vectors %d agree by %v and %v", k, i, left, right)
			}
		}
		again, au, av, _ := principal(t.Context(), 1, kernel.Rand(2, "test", 0), w, k.m, k.n, k.r)
		if !slices.Equal(got, again) || !slices.Equal(gu, au) || !slices.Equal(gv, av) {
			t.Errorf("%v: threads matter", k)
		}
	}
	// Of rank 1, and of rank 0.
	w := make([]float32, 6*5)
	for range 2 {
		s, u, v, _ := principal(t.Context(), 1, kernel.Rand(3, "test", 0), w, 6, 5, 3)
		for i, x := range slices.Concat(u, v) {
			if x != x {
				t.Fatalf("element %d is not a number", i)
			}
		}
		if s[1] > 1e-5 || s[2] > 1e-5 {
			t.Errorf("singular values %v of a matrix of rank 1", s)
		}
		for i := range w {
			w[i] = float32(1+i/5) * float32(2+i%5)
		}
	}
}

// principalAdapter is one of PiSSA at its start, with the model to train it on.
func principalAdapter(t *testing.T, base string, s Spec) (*Adapter, *decoder.Model) {
	t.Helper()
	m, err := decoder.Load(base, 1, decoder.Train)
	if err != nil {
		t.Fatal(err)
	}
	a := build(t, m.Config, s)
	if err := a.StartPrincipal(t.Context(), m.Config, base, 7, 2); err != nil {
		t.Fatal(err)
	}
	m.Subtract(a.Initial)
	return a, m
}

// TestPiSSAAgainstPEFT compares loss and gradients at the start.
func TestPiSSAAgainstPEFT(t *testing.T) {
	var all map[string]golden
	text, err := os.ReadFile("testdata/pissa.json")
	if err == nil {
		err = json.Unmarshal(text, &all)
	}
	if err != nil || len(all) != 2 {
		t.Fatalf("%d goldens, %v", len(all), err)
	}
	for name, want := range all {
		base := filepath.Join("../decoder/testdata/families", want.Model)
		s := Spec{Rank: 2, Alpha: 4}
		if name == "rslora" {
			s = Spec{Rank: 3, Alpha: 5, RSLoRA: true}
		}
		a, m := principalAdapter(t, base, s)
		checkPass(t, a, m, want)
	}
}

// TestOrdinary trains nothing in particular, and compares the model that was
// trained with the base and the adapter that is written.
func TestOrdinary(t *testing.T) {
	dir, c := model(t, tensor.BF16)
	for _, s := range []Spec{
		{Rank: 4, Alpha: 8},
		{Rank: 4, Alpha: 8, RSLoRA: true, RankPattern: map[string]int{"q_proj": 3}, AlphaPattern: map[string]float64{"v_proj": 5}},
	} {
		a, m := principalAdapter(t, dir, s)
		if err := m.Attach(a.Lookup); err != nil {
			t.Fatal(err)
		}
		if d := distance(scores(t, m), logits(t, dir, nil)); d > 1e-4 {
			t.Errorf("at its start the adapter changes logits by %g", d)
		}
		for i, path := range a.Modules() {
			for j, x := range [][]float32{a.Pairs[path].A, a.Pairs[path].B} {
				r := kernel.Rand(uint64(i), "test", uint64(j))
				for k := range x {
					x[k] += 0.1 * r.Normal()
				}
			}
		}
		out := t.TempDir()
		if err := a.Ordinary().Write(out, Card{}); err != nil {
			t.Fatal(err)
		}
		written, err := Read(out)
		if err != nil {
			t.Fatal(err)
		}
		trained := scores(t, m)
		if d := distance(trained, logits(t, dir, written)); d > 1e-3 {
			t.Errorf("the written adapter is off by %g", d)
		}
		if d := distance(trained, logits(t, dir, nil)); d < 0.1 {
			t.Errorf("the changes move logits by only %g", d)
		}
		a.Restart()
		if d := distance(scores(t, m), logits(t, dir, nil)); d > 1e-4 {
			t.Errorf("started again, the adapter changes logits by %g", d)
		}
		if n := len(build(t, c, s).Pairs); n != len(written.Pairs) {
			t.Errorf("%d pairs became %d", n, len(written.Pairs))
		}
	}
}

// TestPiSSAEnds: the factors of a large matrix take long, and are not waited for
// when nobody wants them.
func TestPiSSAEnds(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	w := make([]float32, 64*64)
	if _, _, _, err := principal(ctx, 1, kernel.Rand(1, "test", 0), w, 64, 64, 4); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	base, c := model(t, tensor.F32)
	a := build(t, c, Spec{Rank: 2, Alpha: 4})
	if err := a.StartPrincipal(ctx, c, base, 7, 2); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if err := a.Measure(ctx, c, base, 1); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}
