package train

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/pipe-run/pipe/pipeline"
)

// resumable are trainings that use what a checkpoint must remember.
func resumable() map[string]Params {
	with := func(p Params, change func(*Params)) Params {
		change(&p)
		return p
	}
	return map[string]Params{
		"lora": loraParams(),
		"full": fullParams(),
		"8 bits, best, wsd": with(fullParams(), func(p *Params) {
			p.Optimizer, p.Keep, p.ValidateEvery, p.Schedule, p.Decay = "adamw8bit", keepBest, 2, "wsd", &Span{Updates: 4}
		}),
		"sgd, paged": with(loraParams(), func(p *Params) {
			p.Optimizer, p.Momentum, p.Nesterov, p.PagedState, p.MinLearningRate = "sgd", 0.9, true, true, 0.1
		}),
		"order": with(loraParams(), func(p *Params) {
			p.LengthGrouped, p.LongestFirst, p.MaxTokensPerBatch, p.PagedState = true, true, 40, true
		}),
		"early": with(fullParams(), func(p *Params) {
			p.LearningRate, p.ValidateEvery, p.Keep, p.EarlyStopping = 0.3, 1, keepBest, &EarlyStopping{Patience: 5, MinDelta: 0.3}
		}),
		"dropout": with(loraParams(), func(p *Params) { p.LoRA.Dropout = 0.1 }),
	}
}

// TestResumeEqualsUninterrupted stops training after random updates, again and
// again, and compares the outputs byte for byte.
func TestResumeEqualsUninterrupted(t *testing.T) {
	for name, p := range resumable() {
		if testing.Short() && !slices.Contains([]string{"8 bits, best, wsd", "order", "early"}, name) {
			continue
		}
		out := map[string]string{"lora": "adapter", "full": "model"}[p.Method]
		in := inputs(t)
		in["validation"] = tinyTokens(t, 5, false)
		if p.Optimizer == "adamw8bit" {
			in["model"] = widerModel(t)
		}
		p.MaxUpdates, p.GradientAccumulation, p.BatchSize = 17, 2, 3
		want := newJob(t, in, out).must(t, p)
		if n := strings.Count(want[logFile], "validationTokens"); n < 3 {
			t.Fatalf("%s: %d validations, want 3: %s", name, n, want[logFile])
		}
		r := rand.New(rand.NewPCG(5, 6))
		rounds := 3
		if testing.Short() {
			rounds = 1
		}
		for round := range rounds {
			j := newJob(t, in, out)
			stops := 0
			for {
				ctx, cancel := context.WithCancel(t.Context())
				left := 1 + r.IntN(8)
				j.stop = func(f pipeline.Fact) {
					if m, ok := f.(pipeline.Metric); ok && (m.Name == "train/loss" || m.Name == "validation/loss") {
						if left--; left == 0 {
							cancel()
						}
					}
				}
				err := j.train(ctx, p)
				cancel()
				if err == nil {
					break
				}
				if !errors.Is(err, context.Canceled) {
					t.Fatal(err)
				}
				stops++
			}
			if got := j.files(t); stops == 0 || !equalFiles(got, want) {
				t.Errorf("%s, round %d: differs after %d interruptions:\n%s\n%s", name, round, stops, got[logFile], want[logFile])
			}
			if strings.Contains(j.log.String(), "ignored") {
				t.Errorf("%s: log %s", name, j.log.String())
			}
		}
	}
}

// TestBestWeightsThatAreLost: a checkpoint that names them is worth nothing then.
func TestBestWeightsThatAreLost(t *testing.T) {
	in := inputs(t)
	in["validation"] = tinyTokens(t, 5, false)
	p := loraParams()
	p.Keep, p.ValidateEvery, p.MaxUpdates = keepBest, 1, 6
	want := newJob(t, in, "adapter").must(t, p)
	for name, harm := range map[string]func(path string) error{
		"gone":    os.Remove,
		"damaged": func(path string) error { return os.WriteFile(path, make([]byte, 1000), 0o644) },
	} {
		ctx, cancel := context.WithCancel(t.Context())
		j := newJob(t, in, "adapter")
		j.stop = func(f pipeline.Fact) {
			if u, ok := f.(pipeline.Progress); ok && u.Done == 4 {
				cancel()
			}
		}
		if err := j.train(ctx, p); !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
		found, err := filepath.Glob(filepath.Join(j.task.State, "best-*"))
		if err != nil || len(found) != 1 {
			t.Fatalf("best weights %v, %v", found, err)
		}
		if err := harm(found[0]); err != nil {
			t.Fatal(err)
		}
		j.stop = nil
		if !equalFiles(j.must(t, p), want) || !strings.Contains(j.log.String(), "the checkpoint is ignored") {
			t.Errorf("%s: log %s", name, j.log.String())
		}
	}
}

func equalFiles(a, b map[string]string) bool {
	if len(a) != len(b) {
		return false
	}
	for name := range a {
		if a[name] != b[name] {
			return false
		}
	}
	return true
}

// TestPeriodicCheckpoint: a kill that leaves no time to save loses no more than
// the updates since the last checkpoint.
func TestPeriodicCheckpoint(t *testing.T) {
	in := inputs(t)
	p := loraParams()
	want := newJob(t, in, "adapter").must(t, p)
	p.CheckpointEvery = 4
	j := newJob(t, in, "adapter")
	state := t.TempDir() // what a kill after update 6 would leave
	j.stop = func(f pipeline.Fact) {
		if u, ok := f.(pipeline.Progress); ok && u.Done == 6 {
			b, err := os.ReadFile(filepath.Join(j.task.State, checkpointFile))
			if err != nil {
				t.Error(err)
			}
			if err := os.WriteFile(filepath.Join(state, checkpointFile), b, 0o644); err != nil {
				t.Error(err)
			}
		}
	}
	if !equalFiles(j.must(t, p), want) {
		t.Error("checkpoints change the result")
	}
	again := newJob(t, in, "adapter")
	again.task.State = state
	if !equalFiles(again.must(t, p), want) {
		t.Error("differs after a resumption")
	}
	if first := again.facts[0].(pipeline.Progress); first.Done != 5 {
		t.Errorf("continued with update %d, want 5", first.Done)
	}
}

// TestDamagedCheckpointIsIgnored flips a bit at many places, cuts the file, and
// leaves one of another training.
func TestDamagedCheckpointIsIgnored(t *testing.T) {
	in := inputs(t)
	p := loraParams()
	p.MaxUpdates = 3
	want := newJob(t, in, "adapter").must(t, p)
	ctx, cancel := context.WithCancel(t.Context())
	j := newJob(t, in, "adapter")
	j.stop = func(pipeline.Fact) { cancel() }
	if err := j.train(ctx, p); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(filepath.Join(j.task.State, checkpointFile))
	if err != nil {
		t.Fatal(err)
	}
	resume := func(name string, content []byte, p Params) {
		j := newJob(t, in, "adapter")
		if err := os.WriteFile(filepath.Join(j.task.State, checkpointFile), content, 0o644); err != nil {
			t.Fatal(err)
		}
		got := j.must(t, p)
		ignored := strings.Contains(j.log.String(), "checkpoint is ignored")
		if ignored != (name != "whole") {
			t.Errorf("%s: log %s", name, j.log.String())
		}
		if p.Seed == 42 && !equalFiles(got, want) {
			t.Errorf("%s: the result differs", name)
		}
	}
	resume("whole", whole, p)
	for at := 0; at < len(whole); at += len(whole)/7 + 1 {
		b := bytes.Clone(whole)
		b[at] ^= 4
		resume(fmt.Sprintf("bit of byte %d", at), b, p)
	}
	for _, n := range []int{0, 10, 31, len(whole) - 1} {
		resume(fmt.Sprintf("cut to %d", n), whole[:n], p)
	}
	p.Seed = 43
	resume("another seed", whole, p)
}
