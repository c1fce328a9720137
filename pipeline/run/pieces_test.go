package run_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/pipe-run/pipe/pipeline"
	"github.com/pipe-run/pipe/pipeline/run"
)

// misbehaveInPieces makes a step out of pieces, one for each byte of p.Path.
func misbehaveInPieces(ctx context.Context, p badParams, t *pipeline.Task) error {
	switch p.Do {
	case "steal-piece":
		_, err := t.Pieces.Save(ctx, []byte(`1`), t.State)
		return err
	case "spoil-piece":
		dir, err := t.Piece(ctx, "a", func(string) error { return errors.New("it was not kept") })
		if err != nil {
			return err
		}
		return errors.Join(tamper(filepath.Join(dir, "data")), os.WriteFile(filepath.Join(t.Out["out"], "data"), nil, 0o666))
	}
	parts := make([]string, len(p.Path))
	errs := make([]error, len(p.Path))
	var all sync.WaitGroup
	for i := range p.Path {
		all.Go(func() {
			key := p.Path[i : i+1]
			dir, err := t.Piece(ctx, key, func(dir string) error {
				t.Log.Info("computing " + key)
				return os.WriteFile(filepath.Join(dir, "data"), []byte(strings.ToUpper(key)), 0o666)
			})
			if err != nil {
				errs[i] = err
				return
			}
			b, err := os.ReadFile(filepath.Join(dir, "data"))
			parts[i], errs[i] = string(b), err
		})
	}
	all.Wait()
	if err := errors.Join(errs...); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(t.Out["out"], "data"), []byte(strings.Join(parts, "")), 0o666)
}

// keepPieces lets a place remember pieces.
func keepPieces(t *testing.T) *place {
	p := newPlace(t, t.TempDir())
	p.local.Lookup = func(ctx context.Context, a *pipeline.Action) (*pipeline.Result, error) {
		return p.store.Lookup(ctx, a.Key())
	}
	p.local.Record = func(ctx context.Context, a *pipeline.Action, r *pipeline.Result) error {
		return p.store.Record(ctx, a.Key(), r)
	}
	return p
}

// TestPieces: what an earlier step computed of a part is not computed again,
// and the bytes are the same either way.
func TestPieces(t *testing.T) {
	p, plain := keepPieces(t), newPlace(t, t.TempDir())
	for _, c := range []struct{ parts, computes string }{{"abcd", "abcd"}, {"abcdef", "ef"}, {"fa", ""}} {
		p.logs = nil
		r, err := p.execute(t.Context(), badAction("piece", c.parts))
		if err != nil {
			t.Fatal(err)
		}
		want, err := plain.execute(t.Context(), badAction("piece", c.parts))
		if err != nil {
			t.Fatal(err)
		}
		if r.Outputs["out"].Root != want.Outputs["out"].Root {
			t.Errorf("%s: other bytes with pieces than without", c.parts)
		}
		for _, part := range "abcdef" {
			line := fmt.Sprintf("info: computing %c", part)
			if got, want := strings.Count(strings.Join(p.logs, "\n"), line), strings.Count(c.computes, string(part)); got != want {
				t.Errorf("%s: part %c was computed %d times, want %d", c.parts, part, got, want)
			}
		}
	}
}

// TestPieceIsFiles: only what lies in tmp/ becomes a piece. One that a step
// writes into stays as it was or, where nothing keeps the step from it, is
// dropped.
func TestPieceIsFiles(t *testing.T) {
	p := keepPieces(t)
	if _, err := p.execute(t.Context(), badAction("steal-piece", "")); err == nil || !strings.Contains(err.Error(), "does not lie in tmp") {
		t.Errorf("state/ became a piece: %v", err)
	}
	if _, err := p.execute(t.Context(), badAction("piece", "a")); err != nil {
		t.Fatal(err)
	}
	if _, err := p.execute(t.Context(), badAction("spoil-piece", "")); err == nil {
		t.Error("a piece was written into, and nobody said so")
	}
	p.logs = nil
	if _, err := p.execute(t.Context(), badAction("piece", "a")); err != nil {
		t.Fatal(err)
	}
	if again := strings.Contains(strings.Join(p.logs, "\n"), "computing a"); again == run.Confined() {
		t.Errorf("the piece was computed again: %t; steps are confined: %t", again, run.Confined())
	}
}
