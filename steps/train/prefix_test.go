package train

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/pipe-run/pipe/pipeline"
)

// drawer keeps pieces in a folder, as the cache does.
type drawer struct{ dir string }

func (d drawer) path(key json.RawMessage) string {
	return filepath.Join(d.dir, pipeline.SumBytes(key).String())
}

func (d drawer) Find(_ context.Context, key json.RawMessage) (string, error) {
	if _, err := os.Stat(d.path(key)); err != nil {
		return "", pipeline.ErrNotFound
	}
	return d.path(key), nil
}

func (d drawer) Save(_ context.Context, key json.RawMessage, dir string) (string, error) {
	if err := os.RemoveAll(d.path(key)); err != nil {
		return "", err
	}
	return d.path(key), os.Rename(dir, d.path(key))
}

// withPieces is a job that remembers pieces in d.
func withPieces(t *testing.T, in map[string]string, output string, d drawer) *job {
	j := newJob(t, in, output)
	j.task.Pieces, j.task.Digests = d, map[string]pipeline.Digest{}
	for name, dir := range in {
		j.task.Digests[name] = pipeline.SumBytes([]byte(dir))
	}
	return j
}

// first returns the first update that was computed.
func (j *job) first() int {
	for _, f := range j.facts {
		if p, ok := f.(pipeline.Progress); ok {
			return int(p.Done)
		}
	}
	return 0
}

// TestLongerTrainingContinues: what a shorter training left is not computed
// again, and the bytes are those of a training that did everything itself.
func TestLongerTrainingContinues(t *testing.T) {
	constant := func(p Params) Params {
		p.Schedule, p.Warmup, p.MaxUpdates = "constant", Span{Updates: 3}, 0
		return p
	}
	for name, c := range map[string]struct {
		base          Params
		shorter, then func(*Params)
		first         int // update that the longer training begins with
	}{
		"epochs": {constant(loraParams()),
			func(p *Params) { p.Epochs = 2 }, func(p *Params) { p.Epochs = 3 }, 11},
		"updates": {constant(fullParams()),
			func(p *Params) { p.MaxUpdates = 7 }, func(p *Params) { p.MaxUpdates = 12 }, 8},
		"fewer epochs": {constant(loraParams()),
			func(p *Params) { p.Epochs = 3 }, func(p *Params) { p.Epochs = 2 }, 0},
		"wsd until it decays": {constant(loraParams()),
			func(p *Params) { p.Schedule, p.Epochs, p.Decay = "wsd", 2, &Span{Updates: 3} },
			func(p *Params) { p.Schedule, p.Epochs, p.Decay = "wsd", 4, &Span{Ratio: 0.1} }, 8},
		"constant to wsd": {constant(loraParams()),
			func(p *Params) { p.Epochs = 2 }, func(p *Params) { p.Schedule, p.Epochs = "wsd", 4 }, 11},
		"best and 8 bits": {constant(loraParams()),
			func(p *Params) { p.Optimizer, p.Keep, p.ValidateEvery, p.MaxUpdates = "adamw8bit", keepBest, 2, 9 },
			func(p *Params) { p.Optimizer, p.Keep, p.ValidateEvery, p.MaxUpdates = "adamw8bit", keepBest, 2, 11 }, 10},
		"cosine leaves nothing": {loraParams(),
			func(p *Params) { p.MaxUpdates = 7 }, func(p *Params) { p.MaxUpdates = 12 }, 1},
		"another warm-up": {constant(loraParams()),
			func(p *Params) { p.MaxUpdates = 7 }, func(p *Params) { p.MaxUpdates, p.Warmup = 12, Span{Updates: 4} }, 1},
		"another seed": {constant(loraParams()),
			func(p *Params) { p.MaxUpdates = 7 }, func(p *Params) { p.MaxUpdates, p.Seed = 12, 1 }, 1},
	} {
		if testing.Short() && !slices.Contains([]string{"epochs", "wsd until it decays", "cosine leaves nothing"}, name) {
			continue
		}
		in := inputs(t)
		in["validation"] = tinyTokens(t, 5, false)
		out := map[string]string{"lora": "adapter", "full": "model"}[c.base.Method]
		d := drawer{t.TempDir()}
		short, long := c.base, c.base
		c.shorter(&short)
		c.then(&long)
		alone := newJob(t, in, out).must(t, short)
		if !equalFiles(withPieces(t, in, out, d).must(t, short), alone) {
			t.Errorf("%s: leaving a state changes the result", name)
		}
		want := newJob(t, in, out).must(t, long)
		j := withPieces(t, in, out, d)
		if !equalFiles(j.must(t, long), want) {
			t.Errorf("%s: the result differs from that of a training alone", name)
		}
		if first := j.first(); first != c.first {
			t.Errorf("%s: continued with update %d, want %d", name, first, c.first)
		}
	}
}

// TestPiecesThatAreGoneOrDamaged cost time, nothing else.
func TestPiecesThatAreGoneOrDamaged(t *testing.T) {
	in := inputs(t)
	p := loraParams()
	p.Schedule, p.MaxUpdates = "constant", 4
	for name, harm := range map[string]func(path string, content []byte) error{
		"gone":    func(path string, _ []byte) error { return os.RemoveAll(filepath.Dir(path)) },
		"damaged": func(path string, b []byte) error { b[len(b)/2] ^= 1; return os.WriteFile(path, b, 0o644) },
		"cut":     func(path string, b []byte) error { return os.WriteFile(path, b[:len(b)-1], 0o644) },
	} {
		d := drawer{t.TempDir()}
		withPieces(t, in, "adapter", d).must(t, p)
		found, err := filepath.Glob(filepath.Join(d.dir, "*", checkpointFile))
		if err != nil || len(found) != 1 {
			t.Fatalf("%s: pieces %v, %v", name, found, err)
		}
		content, err := os.ReadFile(found[0])
		if err != nil {
			t.Fatal(err)
		}
		if err := harm(found[0], bytes.Clone(content)); err != nil {
			t.Fatal(err)
		}
		long := p
		long.MaxUpdates = 6
		j := withPieces(t, in, "adapter", d)
		if !equalFiles(j.must(t, long), newJob(t, in, "adapter").must(t, long)) {
			t.Errorf("%s: the result differs", name)
		}
		if warned := strings.Contains(j.log.String(), "is ignored"); j.first() != 1 || warned != (name != "gone") {
			t.Errorf("%s: began with update %d, log %s", name, j.first(), j.log.String())
		}
	}
}

// TestWithoutDigestsNothingIsReused: then nobody knows what a piece belongs to.
func TestWithoutDigestsNothingIsReused(t *testing.T) {
	in, d := inputs(t), drawer{t.TempDir()}
	p := loraParams()
	p.Schedule = "constant"
	j := withPieces(t, in, "adapter", d)
	delete(j.task.Digests, "tokens")
	j.must(t, p)
	if left, _ := os.ReadDir(d.dir); len(left) > 0 {
		t.Errorf("left %v", left)
	}
}
