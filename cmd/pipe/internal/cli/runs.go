package cli

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/pipe-run/pipe/cmd/pipe/internal/view"
	"github.com/pipe-run/pipe/pipeline/history"
)

// shownRuns is how many runs pipe runs lists by default.
const shownRuns = 20

func (a *app) runsCommand() *cobra.Command {
	var asJSON bool
	var limit int
	cmd := &cobra.Command{
		Use: "runs [FILE]", Short: "List earlier runs, the latest first", Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if limit < 0 {
				return usagef("-n must be at least 0, got %d", limit)
			}
			s, err := a.open()
			if err != nil {
				return err
			}
			defer s.close()
			file := ""
			if len(args) == 1 {
				if file, err = filepath.Abs(args[0]); err != nil {
					return err
				}
			}
			runs, err := s.past.history.Runs(cmd.Context(), file, limit)
			if err != nil {
				return err
			}
			if asJSON {
				return a.printJSON(runs)
			}
			return a.printRuns(runs)
		},
	}
	jsonFlag(cmd, &asJSON)
	cmd.Flags().IntVarP(&limit, "limit", "n", shownRuns, "how many; 0 for all")
	return cmd
}

func (a *app) printRuns(runs []history.Run) error {
	if len(runs) == 0 {
		_, err := fmt.Fprintln(a.out, "no runs yet")
		return err
	}
	t := tabwriter.NewWriter(a.out, 0, 0, 2, ' ', 0)
	for _, r := range runs {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\n", r.ID, r.Started.Local().Format(time.DateTime), r.Status, r.Name, view.Duration(r.Seconds), counts(r))
	}
	return t.Flush()
}

// counts says how the steps of a run ended.
func counts(r history.Run) string {
	var parts []string
	for _, p := range []struct {
		n    int
		what string
	}{{r.Ran, "ran"}, {r.Cached, "cached"}, {r.Failed, "failed"}, {r.Skipped, "skipped"}, {r.Interrupted, "interrupted"}} {
		if p.n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", p.n, p.what))
		}
	}
	return strings.Join(parts, ", ")
}

// findRun finds a run by name, the beginning of one, or "last".
func (s *session) findRun(ctx context.Context, id string) (*history.Run, error) {
	r, err := s.past.history.Run(ctx, id)
	if errors.Is(err, history.ErrNotFound) {
		return nil, usagef("%w; pipe runs lists them", err)
	}
	return r, err
}
