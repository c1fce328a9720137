package cli

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/pipe-run/pipe/pipeline"
	"github.com/pipe-run/pipe/pipeline/store/disk"
)

// folder writes an artifact to a folder of its own, for what reads folders.
// done removes it.
func (s *session) folder(ctx context.Context, root pipeline.Digest) (dir string, done func(), err error) {
	mode := disk.Link
	parent, err := os.MkdirTemp(filepath.Join(s.store.Dir(), "tmp"), "look-")
	if err != nil { // a cache that cannot be written to
		mode = disk.Copy
		if parent, err = os.MkdirTemp("", "pipe-look-"); err != nil {
			return "", nil, err
		}
	}
	dir = filepath.Join(parent, "artifact")
	done = func() {
		if mode == disk.Link {
			s.store.Release(context.Background(), dir)
		}
		os.RemoveAll(parent)
	}
	if err := s.store.Checkout(ctx, root, dir, disk.CheckoutOptions{Mode: mode}); err != nil {
		done()
		return "", nil, fmt.Errorf("reading %s: %w", root, err)
	}
	return dir, done, nil
}

// feeder finds the cached artifact that feeds an input of a step, or false
// when the step has no such input.
func (s *session) feeder(ctx context.Context, step, input string) (pipeline.Artifact, bool, error) {
	ref, ok := s.graph.Node(step).Inputs[input]
	if !ok {
		return pipeline.Artifact{}, false, nil
	}
	it, err := s.hit(ctx, ref.Step)
	if err != nil {
		return pipeline.Artifact{}, false, err
	}
	return it.Result.Outputs[ref.Output], true, nil
}
