package train

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/pipe-run/pipe/pipeline"
)

// TestTidy: a training that goes on removes what kills left half written, and
// nothing that it needs.
func TestTidy(t *testing.T) {
	in := inputs(t)
	in["validation"] = tinyTokens(t, 5, false)
	p := loraParams()
	p.ValidateEvery, p.Keep, p.CheckpointEvery = 1, keepBest, 1
	want := newJob(t, in, "adapter").must(t, p)
	j := newJob(t, in, "adapter")
	ctx, cancel := context.WithCancel(t.Context())
	j.stop = func(f pipeline.Fact) {
		if m, ok := f.(pipeline.Metric); ok && m.Name == "train/loss" && m.At == 5 {
			cancel()
		}
	}
	if err := j.train(ctx, p); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	left := []string{"checkpoint-123", "best-99", "best-4-55"}
	for _, name := range left {
		if err := os.WriteFile(filepath.Join(j.task.State, name), []byte("half"), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	if !equalFiles(j.must(t, p), want) {
		t.Error("other bytes after an interruption")
	}
	for _, name := range left {
		if _, err := os.Stat(filepath.Join(j.task.State, name)); err == nil {
			t.Errorf("%s is still there", name)
		}
	}
}
