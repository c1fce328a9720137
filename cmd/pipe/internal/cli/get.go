package cli

import (
	"context"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/pipe-run/pipe/pipeline"
	"github.com/pipe-run/pipe/pipeline/plan"
	"github.com/pipe-run/pipe/pipeline/store/disk"
)

func (a *app) getCommand() *cobra.Command {
	var src source
	var board bool
	cmd := &cobra.Command{
		Use: "get FILE STEP[.OUT] DIR", Short: "Write an artifact to a folder", Args: cobra.ExactArgs(3),
		RunE: func(cmd *cobra.Command, args []string) error {
			src.file = args[0]
			s, err := a.openPipeline(cmd.Context(), src)
			if err != nil {
				return err
			}
			defer s.close()
			if entries, err := os.ReadDir(args[2]); err == nil && len(entries) > 0 {
				return usagef("%s is not empty: pipe get writes only to a new or empty folder", args[2])
			}
			if board {
				return s.getBoard(cmd.Context(), args[1], args[2], a.out)
			}
			art, err := s.artifact(cmd.Context(), args[1])
			if err != nil {
				return err
			}
			err = s.store.Checkout(cmd.Context(), art.Root, args[2], disk.CheckoutOptions{Mode: disk.Clone, Writable: true})
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(a.out, "%s: %s %s\n", args[2], art.Type, art.Root)
			return err
		},
	}
	src.tagFlag(cmd)
	cmd.Flags().BoolVar(&board, "tensorboard", false, "write what STEP measured as an event file of TensorBoard instead")
	return cmd
}

// artifact finds the cached output named STEP or STEP.OUT; a step with one
// output needs no name for it.
func (s *session) artifact(ctx context.Context, name string) (pipeline.Artifact, error) {
	step, out, _ := strings.Cut(name, ".")
	it, err := s.hit(ctx, step)
	if err != nil {
		return pipeline.Artifact{}, err
	}
	outs := slices.Sorted(maps.Keys(it.Result.Outputs))
	if out == "" && len(outs) == 1 {
		out = outs[0]
	}
	art, ok := it.Result.Outputs[out]
	switch {
	case ok:
		return art, nil
	case out == "":
		return art, usagef("step %s has several outputs: name one of %s.%s", step, step, strings.Join(outs, ", "+step+"."))
	}
	return art, usagef("step %s has no output %q%s", step, out, suggest(out, outs))
}

// hit plans a step and demands that it is cached.
func (s *session) hit(ctx context.Context, step string) (*plan.Item, error) {
	if err := s.target([]string{step}); err != nil {
		return nil, err
	}
	items, err := s.planner().Graph(ctx, s.graph)
	if err != nil {
		return nil, err
	}
	it := items[len(items)-1]
	for _, i := range items {
		if i.Node.Name == step {
			it = i
		}
	}
	if it.State != plan.Hit {
		return nil, fmt.Errorf("step %s has no cached result (%s); pipe run %s %s makes it", step, it.Reason, s.graph.File, step)
	}
	return it, nil
}
