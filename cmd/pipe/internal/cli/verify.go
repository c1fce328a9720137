package cli

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"

	"github.com/spf13/cobra"

	"github.com/pipe-run/pipe/pipeline"
	"github.com/pipe-run/pipe/pipeline/plan"
	"github.com/pipe-run/pipe/pipeline/run"
)

// A verdict is what pipe verify found of one step.
type verdict struct {
	Step    string   `json:"step"`
	Verdict string   `json:"verdict"` // "same", "differs", "not cached" or "failed"
	Differs []string `json:"differs,omitempty"`
	Message string   `json:"message,omitempty"`
}

func (a *app) verifyCommand() *cobra.Command {
	var src source
	var asJSON bool
	cmd := &cobra.Command{
		Use: "verify FILE [STEP…]", Short: "Run cached steps again and compare what they make", Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			src.file = args[0]
			verdicts, err := a.verify(cmd.Context(), src, args[1:])
			if err != nil {
				return err
			}
			if asJSON {
				if err := a.printJSON(verdicts); err != nil {
					return err
				}
			}
			bad := 0 // a step that is not cached was not verified either
			for _, v := range verdicts {
				if v.Verdict != "same" {
					bad++
				}
				if !asJSON {
					fmt.Fprintf(a.out, "%s: %s", v.Step, v.Verdict)
					for _, d := range v.Differs {
						fmt.Fprintf(a.out, " %s", d)
					}
					if v.Message != "" {
						fmt.Fprintf(a.out, ": %s", v.Message)
					}
					fmt.Fprintln(a.out)
				}
			}
			if bad > 0 {
				return exitError{exitFailed}
			}
			return nil
		},
	}
	src.tagFlag(cmd)
	jsonFlag(cmd, &asJSON)
	return cmd
}

func (a *app) verify(ctx context.Context, src source, names []string) ([]verdict, error) {
	s, err := a.openPipeline(ctx, src)
	if err != nil {
		return nil, err
	}
	defer s.close()
	if err := s.target(names); err != nil {
		return nil, err
	}
	items, err := s.planner().Graph(ctx, s.graph)
	if err != nil {
		return nil, err
	}
	downloads, err := s.store.Downloads()
	if err != nil {
		return nil, err
	}
	local := &run.Local{Kinds: s.kinds, Store: s.store, Secret: os.LookupEnv, Downloads: downloads}
	verdicts := []verdict{}
	for _, it := range items {
		if len(names) > 0 && !slices.Contains(names, it.Node.Name) {
			continue
		}
		v, err := s.verifyStep(ctx, local, it)
		if err != nil {
			return nil, err
		}
		verdicts = append(verdicts, v)
	}
	return verdicts, nil
}

// verifyStep executes a hit again, under its lock, and records nothing.
func (s *session) verifyStep(ctx context.Context, local *run.Local, it *plan.Item) (verdict, error) {
	v := verdict{Step: it.Node.Name, Verdict: "same"}
	if it.State != plan.Hit {
		v.Verdict, v.Message = "not cached", it.Reason
		return v, nil
	}
	unlock, err := s.store.Lock(ctx, it.Key)
	if err != nil {
		return v, err
	}
	defer unlock()
	// Nothing that an earlier attempt left may help: a checkpoint, too, is
	// what is to be verified.
	clean := func() error {
		_, err := s.store.Release(context.WithoutCancel(ctx), filepath.Join(s.store.Dir(), "work", it.Key.String()))
		return err
	}
	if err := clean(); err != nil {
		return v, err
	}
	defer clean()
	again, err := local.Execute(ctx, it.Action, runtime.GOMAXPROCS(0), func(pipeline.Event) {})
	if ctx.Err() != nil {
		return v, run.ErrInterrupted
	}
	if err != nil {
		var field *pipeline.FieldError
		if errors.As(err, &field) {
			err = field
		}
		v.Verdict, v.Message = "failed", err.Error()
		return v, nil
	}
	for _, out := range slices.Sorted(maps.Keys(again.Outputs)) {
		if again.Outputs[out].Root != it.Result.Outputs[out].Root {
			v.Verdict = "differs"
			v.Differs = append(v.Differs, fmt.Sprintf("%s.%s: cached %s, now %s", it.Node.Name, out, it.Result.Outputs[out].Root, again.Outputs[out].Root))
		}
	}
	return v, nil
}
